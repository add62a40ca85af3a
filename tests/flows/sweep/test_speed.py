"""When a sweep's processes get native code: asked for, there already, or worth its build."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from tilewright.flows import native
from tilewright.flows.sweep.job import Result
from tilewright.flows.sweep.speed import PAYS_SECONDS, Speed
from tilewright.support.errors import ToolError

BUILD = Path("/a/build")


def jobs(number, fidelity="replay"):
    return [SimpleNamespace(setup=SimpleNamespace(fidelity=fidelity))] * number


@pytest.fixture(autouse=True)
def builds(monkeypatch):
    """What was built; nothing is there before."""
    made = []

    def build():
        made.append(BUILD)
        return BUILD

    monkeypatch.setattr(native, "find", lambda: made[-1] if made else None)
    monkeypatch.setattr(native, "build", build)
    return made


def tried(speed, seconds):
    """Note what four points took."""
    for _ in range(4):
        speed.note(Result(compile_seconds=seconds / 2, run_seconds=seconds / 2))


def test_a_few_points_tell_whether_a_build_pays(builds):
    speed = Speed(num_processes=2)
    assert speed.next_part(jobs(100)) == (4, None)
    tried(speed, 2.4 * PAYS_SECONDS / 100)
    assert speed.next_part(jobs(96)) == (96, BUILD)
    assert builds == [BUILD]


def test_a_sweep_that_is_over_soon_has_no_build(builds):
    speed = Speed(num_processes=2)
    assert speed.next_part(jobs(100))[0] == 4
    tried(speed, 1.6 * PAYS_SECONDS / 100)
    assert speed.next_part(jobs(96)) == (96, None)
    assert Speed(num_processes=2).next_part(jobs(4)) == (4, None)
    assert builds == []


def test_a_build_that_is_there_is_used_by_more_than_a_few_points(builds):
    builds.append(BUILD)
    assert Speed(num_processes=2).next_part(jobs(5)) == (5, BUILD)
    assert Speed(num_processes=2).next_part(jobs(4)) == (4, None)
    assert Speed(num_processes=2, wanted=False).next_part(jobs(5)) == (5, None)


def test_native_code_is_built_where_it_is_asked_for_but_not_for_the_rtl(builds, capsys):
    assert Speed(num_processes=2, wanted=True).next_part(jobs(1, "rtl")) == (1, None)
    assert builds == []
    assert Speed(num_processes=2, wanted=True).next_part(jobs(1)) == (1, BUILD)
    assert "is built, once" in capsys.readouterr().err
    Speed(num_processes=2, wanted=True).next_part(jobs(1))
    assert builds == [BUILD]


def test_a_build_that_fails_is_an_error_only_where_it_is_asked_for(monkeypatch, caplog):
    def fail():
        raise ToolError("there is no C compiler")

    monkeypatch.setattr(native, "build", fail)
    with pytest.raises(ToolError, match="no C compiler"):
        Speed(num_processes=1, wanted=True).next_part(jobs(1))
    speed = Speed(num_processes=1)
    tried(speed, PAYS_SECONDS)
    with caplog.at_level(logging.WARNING):
        assert speed.next_part(jobs(10)) == (10, None)
        assert speed.next_part(jobs(10)) == (10, None)
    assert caplog.text.count("no native code, points take twice as long: there is no C") == 1
