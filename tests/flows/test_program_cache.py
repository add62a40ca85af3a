"""A cached compile gives the bytes of a fresh one, and notices everything that changes them."""

import dataclasses

import onnx
import pytest

from tilewright.compiler.options import ImportOptions
from tilewright.compiler.plan import schedule_cache
from tilewright.flows import program_cache
from tilewright.flows.models import ReferenceTarget, compile_file
from tilewright.flows.session import Session
from tilewright.hw.spec.config import PRESETS
from tilewright.support.cache import CACHE_VARIABLE
from tilewright.support.errors import ModelError

NANO = PRESETS["nano"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def programs(folder):
    return sorted(folder.glob("programs/*"))


def test_the_second_compile_comes_from_the_cache(digits):
    fresh = compile_file(digits, NANO, cached=True)
    again = compile_file(digits, NANO, cached=True)
    assert not fresh.is_cached
    assert again.is_cached
    assert again.program.to_bytes() == fresh.program.to_bytes()
    assert again.program.to_bytes() == compile_file(digits, NANO).program.to_bytes()


def test_without_the_cache_nothing_is_kept(digits, folder):
    assert not compile_file(digits, NANO).is_cached
    assert not folder.exists()


def test_a_cached_model_still_has_its_reference(digits):
    compile_file(digits, NANO, cached=True)
    again = compile_file(digits, NANO, cached=True)
    assert again.read is None
    assert again.imported.sections[0].graph.nodes
    assert ReferenceTarget(again.imported)


def test_every_part_of_the_key_counts(digits, tmp_path, monkeypatch):
    compile_file(digits, NANO, cached=True)
    renamed = tmp_path / "other.onnx"
    renamed.write_bytes(digits.read_bytes())
    model = onnx.load(digits)
    model.producer_name = "another"
    changed = tmp_path / "sub" / digits.name
    changed.parent.mkdir()
    onnx.save(model, changed)
    assert not compile_file(renamed, NANO, cached=True).is_cached
    assert not compile_file(changed, NANO, cached=True).is_cached
    assert not compile_file(digits, NANO.replace(queue_depth=4), cached=True).is_cached
    assert not compile_file(digits, NANO.replace(name="other"), cached=True).is_cached
    monkeypatch.setattr(program_cache, "tool_digest", lambda: "other sources")
    assert not compile_file(digits, NANO, cached=True).is_cached


def test_strict_is_refused_from_the_cache_too(make_model):
    path = make_model()
    for _ in range(2):
        compile_file(path, NANO, cached=True)
        with pytest.raises(ModelError, match="strict"):
            compile_file(path, NANO, ImportOptions(strict=True), cached=True)


def test_a_damaged_program_is_compiled_again(digits, folder):
    fresh = compile_file(digits, NANO, cached=True)
    (path,) = programs(folder)
    path.write_bytes(path.read_bytes()[:-100])
    again = compile_file(digits, NANO, cached=True)
    assert not again.is_cached
    assert again.program.to_bytes() == fresh.program.to_bytes()
    assert compile_file(digits, NANO, cached=True).is_cached


def test_a_whole_entry_that_is_no_program_is_compiled_again(digits, folder):
    compile_file(digits, NANO, cached=True)
    (path,) = programs(folder)
    schedule_cache.save("programs", path.name, b"TILEWRT\x1a and something else")
    assert not compile_file(digits, NANO, cached=True).is_cached


def test_a_model_with_external_data_is_not_cached(digits, tmp_path, folder):
    path = tmp_path / "external.onnx"
    model = onnx.load(digits)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=16)
    for _ in range(2):
        assert not compile_file(path, NANO, cached=True).is_cached
    assert programs(folder) == []


def test_timing_from_the_cache_equals_the_model(digits, monkeypatch):
    program = compile_file(digits, NANO).program
    fresh = program_cache.timed(program)
    assert program_cache.timed(program, cached=True) == fresh
    assert program_cache.timed(program, latency=200, cached=True).cycles > fresh.cycles
    monkeypatch.setattr(program_cache, "_timing", None)
    assert program_cache.timed(program, cached=True) == fresh
    changed = dataclasses.replace(program, layers=program.layers[:-1])
    with pytest.raises(TypeError):
        program_cache.timed(changed, cached=True)


def test_compile_command_uses_the_cache_unless_told_not_to(tilewright, digits, tmp_path, folder):
    words = ("compile", digits, "--preset", "nano", "-o", tmp_path / "digits.tw")
    assert "compiled in" in tilewright(*words, "--no-cache").out.replace("\n", " ")
    assert not folder.exists()
    first = tilewright(*words)
    data = (tmp_path / "digits.tw").read_bytes()
    again = tilewright(*words)
    assert "from the cache in" in again.out.replace("\n", " ")
    assert (tmp_path / "digits.tw").read_bytes() == data
    assert again.out.split("instructions,")[0] == first.out.split("instructions,")[0]


@pytest.mark.parametrize("command", ["run", "cosim", "compile"])
def test_commands_that_compile_can_leave_the_cache_out(tilewright, command):
    assert "--no-cache" in tilewright(command, "--help").out


def test_session_can_leave_the_cache_out(digits, folder):
    Session(digits, NANO, cached=False)
    assert not folder.exists()
    Session(digits, NANO)
    assert len(programs(folder)) == 1
