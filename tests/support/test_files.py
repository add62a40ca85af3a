"""A result appears whole or not at all."""

import os

import pytest

from tilewright.support.errors import InputError
from tilewright.support.files import (
    check_folder,
    check_target,
    check_targets,
    write_file,
    write_folder,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_file_writes_text_and_bytes(tmp_path):
    write_file(tmp_path / "a.txt", "text")
    write_file(tmp_path / "b.bin", b"\x00\x01")
    assert (tmp_path / "a.txt").read_text() == "text"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\x01"
    assert names(tmp_path) == ["a.txt", "b.bin"]


def test_write_file_replaces_and_leaves_nothing_else(tmp_path):
    write_file(tmp_path / "a", "old")
    write_file(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == ["a"]


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_file(tmp_path / "a", "old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_check_target_rejects_folders_and_missing_folders(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_target(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        check_target(tmp_path / "missing" / "file")


def test_check_targets_rejects_inputs_and_the_same_output_twice(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("")
    (tmp_path / "link").symlink_to(one)
    check_targets([two, None], [one, None])
    with pytest.raises(InputError, match="one: is an input as well; choose another file"):
        check_targets([one], [one])
    with pytest.raises(InputError, match="link: is an input as well"):
        check_targets([tmp_path / "link"], [one])
    with pytest.raises(InputError, match="two: is another output as well"):
        check_targets([two, tmp_path / "." / "two"], [one])
    with pytest.raises(InputError, match="is a folder"):
        check_targets([tmp_path], [])


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_file(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_targets([pipe, pipe], [])
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_write_folder_makes_the_folder_and_keeps_other_files(tmp_path):
    target = tmp_path / "deep" / "folder"
    write_folder(target, {"a": "1", "b": b"2"})
    (target / "mine").write_text("kept")
    write_folder(target, {"a": "3"})
    assert names(target) == ["a", "b", "mine"]
    assert (target / "a").read_text() == "3"
    assert names(tmp_path) == ["deep"]


def test_write_folder_rejects_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_folder(tmp_path / "file", {"a": ""})


def test_write_folder_replaces_nothing_where_a_file_is_a_folder(tmp_path):
    write_folder(tmp_path, {"a": "old"})
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="b: is a folder; remove it"):
        write_folder(tmp_path, {"a": "new", "b": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a", "b"]


def test_a_failing_write_folder_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_folder(tmp_path / "out", {"a": "fine", "b": None})
    assert names(tmp_path) == []


def test_check_folder_rejects_a_folder_in_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/sub: .*file is a file; give a folder"):
        check_folder(tmp_path / "file" / "sub")
    with pytest.raises(InputError, match="file: is a file"):
        check_folder(tmp_path / "file")
    assert check_folder(tmp_path / "new" / "deep") == tmp_path.resolve()
