"""Areas of many configs: few are synthesized, the others fitted to them, and limits hold."""

import dataclasses
import json
import logging

import pytest

from tilewright.flows.sweep.flow import Wishes, carry_out, check
from tilewright.flows.sweep.job import Model, Result
from tilewright.flows.sweep.limits import parse_limit
from tilewright.flows.sweep.pareto import pareto_front
from tilewright.flows.sweep.space import Space
from tilewright.flows.sweep.sweep import Outcome, Sweep
from tilewright.flows.synthesis.kept import PartFigures
from tilewright.flows.synthesis.synthesis import Synthesis
from tilewright.flows.synthesis.timing import LongestPath, Timing
from tilewright.support.errors import InputError

RANGES = {"rows": (4, 8, 12, 16, 24, 32), "cols": (4, 8, 12, 16, 24, 32), "queue_depth": (1, 2, 4)}
COMPOSED = "composed of synthesized parts"


def area_of(config):
    """What the synthesis of these tests says."""
    return 20000 + 700 * config.rows * config.cols + 900 * config.queue_depth


@pytest.fixture
def synthesized(monkeypatch):
    """The configs that were synthesized, by a formula."""
    found = []

    def synthesize(config, target, jobs):
        found.append(config.name)
        array = PartFigures(
            name="array", count=1, figures={"nand2": area_of(config) - 20000, "memory_bits": 8}
        )
        rest = PartFigures(name="rest", count=2, figures={"nand2": 10000, "memory_bits": 4})
        path = LongestPath(nanoseconds=5 + config.rows / 8, start="a", end="b")
        timing = Timing(path=path, buffers=0)
        return Synthesis(config=config, target=target, is_flat=False, tools=("none",),
                         parts=(array, rest), timing=timing)  # fmt: skip

    monkeypatch.setattr("tilewright.flows.sweep.area.synthesize", synthesize)
    return found


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep in which cycles fall where the array grows."""

    def with_cycles(self, points):
        def result(config):
            return Result(cycles=10**7 // (config.rows * config.cols) + config.queue_depth)

        return Outcome(
            points=tuple(dataclasses.replace(p, result=result(p.candidate.config)) for p in points),
            is_interrupted=False,
        )

    monkeypatch.setattr("tilewright.flows.sweep.running.Runner.with_cycles", with_cycles)
    (tmp_path / "m.onnx").write_bytes(b"model")
    model = Model(path=tmp_path / "m.onnx", name="m")
    return Sweep(models=(model,), space=Space(ranges=RANGES))


def rows_of(sweep, **wishes):
    wishes = check(sweep, Wishes(target="osu018", **wishes))
    return [point.row() for point in carry_out(sweep, wishes, store=None).points]


def test_of_many_configs_few_are_synthesized_and_the_others_fitted(sweep, synthesized, caplog):
    caplog.set_level(logging.INFO)
    rows = rows_of(sweep, num_synthesized=12)
    assert len(rows) == 108
    fitted = [row for row in rows if row["area_source"] != COMPOSED]
    assert len(synthesized) == len(set(synthesized)) == len(rows) - len(fitted)
    assert {row["config"] for row in rows if row["area_source"] == COMPOSED} == set(synthesized)
    assert 12 <= len(synthesized) <= 12 + 8
    assert "12 of 108 configs are synthesized, others fitted to them" in caplog.text
    assert (
        "errors of the fit, each config left out: nand2 0.0% median, 0.0% at most;" in caplog.text
    )
    assert "fitted area was off by 0.0 % on average" in caplog.text
    for row in fitted:
        for source in (row["area_source"], row["clock_source"]):
            assert source == "fitted to 12 composed configs (error 0.0% median, 0.0% at most)"


def test_fitted_figures_are_those_of_the_hardware(sweep, synthesized):
    for point in carry_out(sweep, Wishes(target="osu018", num_synthesized=16), store=None).points:
        row, config = point.row(), point.candidate.config
        assert row["area"] == pytest.approx(area_of(config), abs=2)
        assert row["clock_mhz"] == pytest.approx(1000 / (5 + config.rows / 8), abs=0.2)
        assert point.synthesis.totals["memory_bits"] == 16
        assert row["total_area"] == row["area"] + row["sram_area"]


def test_nothing_on_the_front_is_fitted_where_it_has_few(sweep, synthesized):
    sweep = dataclasses.replace(sweep, space=Space(ranges={"rows": (4, 8, 16, 32), "cols": (8, 32),
                                                           "queue_depth": (1, 2, 4)}))  # fmt: skip
    front = pareto_front(rows_of(sweep, num_synthesized=8))
    assert {row["area_source"] for row in front} == {COMPOSED}


def test_a_second_sweep_asks_for_the_same_syntheses(sweep, synthesized):
    rows_of(sweep, num_synthesized=12)
    first = synthesized.copy()
    synthesized.clear()
    rows_of(sweep, num_synthesized=12)
    assert synthesized == first


def test_limits_hold_for_fitted_figures(sweep, synthesized):
    limits = (parse_limit("area=200000", is_upper=True),)
    rows = rows_of(dataclasses.replace(sweep, limits=limits), num_synthesized=12)
    for row in rows:
        assert row["within_limits"] == (row["area"] <= 200000)
    assert any(row["within_limits"] and row["area_source"] != COMPOSED for row in rows)


def test_of_no_more_configs_than_samples_all_are_synthesized(sweep, synthesized):
    small = dataclasses.replace(sweep, space=Space(ranges={"queue_depth": (1, 2, 4)}))
    rows = rows_of(small, num_synthesized=3)
    assert len(synthesized) == 3
    assert {row["area_source"] for row in rows} == {COMPOSED}


def test_a_search_with_a_limit_by_area_ends_and_synthesizes_few(sweep, synthesized):
    limits = (parse_limit("area=150000", is_upper=True),)
    rows = rows_of(dataclasses.replace(sweep, limits=limits), num_synthesized=10, num_searched=60)
    assert 30 < len(rows) <= 60
    assert 10 <= len(synthesized) <= 18
    assert all(row["area"] <= 150000 for row in pareto_front(rows))


def test_a_search_of_few_configs_synthesizes_those_alone(sweep, synthesized):
    rows = rows_of(sweep, num_searched=5)
    assert {row["config"] for row in rows} == set(synthesized)


def test_ctrl_c_in_a_synthesis_leaves_cycles(sweep, synthesized, monkeypatch):
    def interrupted(config, target, jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr("tilewright.flows.sweep.area.synthesize", interrupted)
    outcome = carry_out(sweep, Wishes(target="osu018"), store=None)
    assert outcome.is_interrupted
    assert len(outcome.points) == 108
    assert {point.row()["area"] for point in outcome.points} == {None}


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (
            Wishes(target="ecp5", num_synthesized=5),
            "to fit the others takes 6 configs or more, got 5",
        ),
        (Wishes(num_synthesized=9), "--synth-configs N needs --synth TARGET"),
    ],
)
def test_too_few_samples_and_no_target_are_refused(sweep, wishes, message):
    with pytest.raises(InputError, match=message):
        check(sweep, wishes)


def test_the_command_marks_what_is_fitted(tilewright, digits, synthesized, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tilewright.flows.synthesis.synthesis.check_target", lambda target: None)
    words = ("--preset", "nano", "--rows", "2:8:2", "--cols", "2:8:2", "--fidelity", "closed")
    synth = ("--synth", "osu018", "--synth-configs", 6)
    result = tilewright("sweep", digits, *words, *synth, "--json", "s.json", "-o", "found")
    assert result.status == 0, result
    points = json.loads((tmp_path / "s.json").read_text())["points"]
    fitted = [point for point in points if point["area_source"] != COMPOSED]
    assert len(points) - len(fitted) == len(synthesized)
    said = " ".join(result.out.split())
    assert f"~ area of {len(fitted)} of 16 points fitted to 6 composed configs (error" in said
    assert f"~{fitted[0]['area']:,}" in said
    assert "points fitted to 6 composed configs" in (tmp_path / "found/index.html").read_text()
