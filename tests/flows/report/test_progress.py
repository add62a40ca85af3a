"""Progress off a terminal: lines on stderr, with an estimate of what is left."""

import time

import pytest

from tilewright.flows.report import progress
from tilewright.flows.report.display import duration
from tilewright.flows.report.progress import Pace, counted, status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"), (9.96, "10.0 s"), (12.4, "12 s"), (61, "1 min 1 s"),
        (599, "9 min 59 s"), (600, "10 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_pace_expects_the_rest_to_take_as_long_as_what_is_done():
    now = iter([100.0, 100.0, 130.0, 220.0])
    pace = Pace(4, clock=lambda: next(now))
    assert pace.sentence(0) == "0.0 s"
    assert pace.sentence(1) == "30 s, about 1 min 30 s left"
    assert pace.sentence(4) == "2 min 0 s"


def test_a_step_is_a_line(capsys):
    with counted("point", 2) as advance:
        advance("4x4 10 cycles")
        advance("")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("point 1 of 2: 4x4 10 cycles; 0.0 s, about ")
    assert second == "point 2 of 2: 0.0 s"


def test_quick_steps_have_no_lines_of_their_own(capsys):
    with counted("sample", 1000, every_seconds=60) as advance:
        for _ in range(1000):
            advance("")
    assert capsys.readouterr().err == ""


def test_a_first_step_that_takes_long_has_a_line_and_no_other_one_has(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LONG_SECONDS", 0.2)
    with counted("point", 2, every_seconds=60) as advance:
        advance("")
        time.sleep(0.5)
        advance("")
    assert capsys.readouterr().err == ""
    with counted("point", 2, every_seconds=60) as advance:
        time.sleep(0.5)
        advance("")
    assert capsys.readouterr().err == "point 1 of 2 ...\n"


def test_what_takes_long_is_a_line(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LONG_SECONDS", 0.01)
    with status("building [x]"):
        time.sleep(0.5)
    assert capsys.readouterr().err == "building [x] ...\n"


def test_what_is_quick_is_none(capsys):
    with status("building"):
        pass
    assert capsys.readouterr().err == ""
