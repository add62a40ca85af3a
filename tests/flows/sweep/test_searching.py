"""The search finds what a grid of all points has as best, and keeps limits."""

import dataclasses

import pytest

from tilewright.flows.sweep.flow import Wishes, check
from tilewright.flows.sweep.job import Model, Result
from tilewright.flows.sweep.limits import parse_limit
from tilewright.flows.sweep.pareto import pareto_front
from tilewright.flows.sweep.searching import POPULATION, search
from tilewright.flows.sweep.space import Space
from tilewright.flows.sweep.sweep import Outcome, Sweep
from tilewright.support.errors import InputError

RANGES = {
    "rows": (4, 8, 12, 16, 24, 32),
    "cols": (4, 8, 12, 16, 24, 32),
    "queue_depth": (2, 4, 8, 16, 32),
    "axi_outstanding": (16, 32, 64),
}


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"model")
    model = Model(path=tmp_path / "m.onnx", name="m")
    return Sweep(models=(model,), space=Space(ranges=RANGES))


def measure(points):
    """Cycles that grow where the array shrinks, and queues and bursts are not in the middle."""

    def result(config):
        away = abs(config.queue_depth - 8) + abs(config.axi_outstanding - 32)
        return Result(cycles=10**6 // (config.rows * config.cols) + 40 * away)

    return Outcome(
        points=tuple(dataclasses.replace(p, result=result(p.candidate.config)) for p in points),
        is_interrupted=False,
    )


def front(points):
    return [(row["multipliers"], row["cycles"]) for row in pareto_front([p.row() for p in points])]


def test_a_search_of_a_third_finds_most_of_the_front_of_all_points(sweep):
    best = set(front(measure(sweep.points()).points))
    found = search(sweep, 180, measure).points
    assert len(found) == len({point.candidate.name for point in found}) == 180
    assert len(best & set(front(found))) > len(best) / 2


def test_the_best_of_a_search_keep_the_limits(sweep):
    limits = (parse_limit("multipliers=100", is_upper=True),
              parse_limit("cycles=20000", is_upper=False))  # fmt: skip
    found = search(dataclasses.replace(sweep, limits=limits), 60, measure).points
    kept = front(found)
    assert kept
    assert all(size <= 100 and cycles >= 20000 for size, cycles in kept)
    assert {p.row()["within_limits"] for p in found} == {True, False}


def test_the_same_seed_asks_for_the_same_points(sweep):
    first, second = (search(sweep, 100, measure).points for _ in range(2))
    assert [p.candidate.name for p in first] == [p.candidate.name for p in second]


def test_an_interrupted_search_has_what_was_measured(sweep):
    given = iter((measure, lambda points: dataclasses.replace(
        measure(points[:3]), is_interrupted=True)))  # fmt: skip
    outcome = search(sweep, 100, lambda points: next(given)(points))
    assert outcome.is_interrupted
    assert POPULATION / 2 < len(outcome.points) <= POPULATION + 3


def test_a_space_smaller_than_the_search_ends(sweep):
    small = dataclasses.replace(sweep, space=Space(ranges={"queue_depth": (2, 4, 8)}))
    assert len(search(small, 50, measure).points) == 3


def test_more_points_than_a_grid_may_have_are_searched(sweep):
    many = tuple(range(1, 70))
    large = Space(ranges={"rows": many, "cols": many, "activation_kib": many})
    assert check(dataclasses.replace(sweep, space=large), Wishes()).num_searched == 500
    assert check(sweep, Wishes()).num_searched is None


@pytest.mark.parametrize(
    ("figure", "needed"),
    [("area", "--synth TARGET"), ("seconds", "--synth TARGET or --clock MHZ")],
)
def test_limits_of_what_nobody_knows_are_refused(sweep, figure, needed):
    limited = dataclasses.replace(sweep, limits=(parse_limit(f"{figure}=3", is_upper=True),))
    with pytest.raises(InputError, match=f"a limit of {figure} needs {needed}"):
        check(limited, Wishes())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=3", "--at-most: no figure 'speed'; the figures are cycles, "),
        ("area=fast", "--at-most: FIGURE=VALUE with a number, got 'area=fast'"),
        ("area=nan", "--at-most: FIGURE=VALUE with a number, got 'area=nan'"),
    ],
)
def test_limits_that_are_none_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_limit(text, is_upper=True)


def test_a_search_of_several_latencies_is_refused(sweep):
    with pytest.raises(InputError, match="a search has one --latency, got 2"):
        check(dataclasses.replace(sweep, latencies=(1, 2)), Wishes(num_searched=5))


def test_a_search_that_finds_no_config_says_why(sweep):
    none = dataclasses.replace(sweep, space=Space(ranges={"rows": tuple(range(200, 300))}))
    with pytest.raises(InputError, match="is a config, the last one because rows must be 1 to 128"):
        search(none, 5, measure)
