"""A result appears whole or not at all."""

import pytest

from tilewright.flows.files import check_target, write_file, write_folder
from tilewright.hw.spec.errors import InputError


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


def test_a_failing_write_folder_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_folder(tmp_path / "out", {"a": "fine", "b": None})
    assert names(tmp_path) == []
