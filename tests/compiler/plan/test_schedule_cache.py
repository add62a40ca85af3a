"""The cache on disk gives back what was put in, or nothing; it never gives something else."""

import multiprocessing
import os

import pytest

from tilewright.compiler.plan import schedule_cache
from tilewright.support.cache import CACHE_VARIABLE


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "compiled"


class Maker:
    """Counts how often its value was made."""

    def __init__(self, value):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        return self.value


def test_environment_variable_moves_the_cache(folder):
    assert schedule_cache.folder() == folder


def test_without_the_variable_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE)
    assert "tilewright" in schedule_cache.folder().parts


def test_a_value_is_made_once_a_key():
    maker = Maker({"tile": 7})
    with schedule_cache.enabled():
        for parts in (("a", "b"), ("a", "b"), ("ab", ""), ("a", "c")):
            assert schedule_cache.memoised("plans", parts, maker) == {"tile": 7}
    assert maker.times == 3


def test_nothing_is_kept_outside_the_block(folder):
    maker = Maker({})
    for _ in range(2):
        schedule_cache.memoised("plans", ("a",), maker)
    with schedule_cache.enabled(False):
        schedule_cache.memoised("plans", ("a",), maker)
    assert maker.times == 3
    assert not folder.exists()


def test_a_block_ends_with_its_exception():
    with pytest.raises(RuntimeError), schedule_cache.enabled():
        raise RuntimeError
    maker = Maker({})
    for _ in range(2):
        schedule_cache.memoised("plans", ("a",), maker)
    assert maker.times == 2


def test_an_exception_is_not_kept():
    def fail():
        raise ValueError("does not fit")

    with schedule_cache.enabled():
        for _ in range(2):
            with pytest.raises(ValueError, match="does not fit"):
                schedule_cache.memoised("plans", ("a",), fail)
        assert schedule_cache.memoised("plans", ("a",), lambda: {"x": 1}) == {"x": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:5] + bytes([data[5] ^ 1]) + data[6:],
        lambda data: data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
    ],
    ids=["empty", "truncated", "longer", "checksum", "content"],
)
def test_a_damaged_entry_is_none_and_is_replaced(folder, damage):
    maker = Maker({"tile": 7})
    with schedule_cache.enabled():
        schedule_cache.memoised("plans", ("a",), maker)
        (path,) = folder.glob("*/*")
        path.write_bytes(damage(path.read_bytes()))
        for _ in range(2):
            assert schedule_cache.memoised("plans", ("a",), maker) == {"tile": 7}
    assert maker.times == 2


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_an_entry_of_another_form_is_none(content):
    schedule_cache.save("plans", schedule_cache.key("a"), content)
    with schedule_cache.enabled():
        assert schedule_cache.memoised("plans", ("a",), lambda: {"x": 1}) == {"x": 1}


def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with schedule_cache.enabled():
        assert schedule_cache.memoised("plans", ("a",), lambda: {"x": 1}) == {"x": 1}


def test_a_write_that_fails_leaves_nothing(folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    schedule_cache.save("plans", "a", b"content")
    assert list(folder.glob("*/*")) == []


def test_the_oldest_go_first(folder):
    for age, name in enumerate("abcd"):
        schedule_cache.save("programs", name, bytes(10_000))
        os.utime(folder / "programs" / name, (1000 - age, 1000 - age))
    assert schedule_cache.load("programs", "d") is not None  # used now, so the newest
    schedule_cache.remove_oldest(2 * (10_000 + 32 + schedule_cache.BLOCK_BYTES))
    assert sorted(path.name for path in folder.glob("*/*")) == ["a", "d"]


def test_a_program_entry_keeps_the_limit(folder, monkeypatch):
    monkeypatch.setattr(schedule_cache, "LIMIT_BYTES", 100_000)
    for number in range(20):
        schedule_cache.save("programs", f"{number:02}", bytes(20_000))
        os.utime(folder / "programs" / f"{number:02}", (number, number))
    assert sorted(path.name for path in folder.glob("*/*")) == ["16", "17", "18", "19"]


def test_the_key_depends_on_the_sources(monkeypatch):
    first = schedule_cache.key("a")
    monkeypatch.setattr(schedule_cache, "source_digest", lambda: "other")
    assert schedule_cache.key("a") != first


def _hammer(seed):
    with schedule_cache.enabled():
        for number in range(40):
            name = f"{(number + seed) % 5}"
            content = schedule_cache.memoised("plans", (name,), lambda: {"x": [1] * 20_000})
            assert content == {"x": [1] * 20_000}
    return True


def test_readers_see_whole_entries_while_others_write():
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_hammer, range(3)) == [True] * 3
