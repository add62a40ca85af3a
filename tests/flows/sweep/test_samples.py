"""Samples of a space: corners first, each config once, the same at every time."""

import itertools

import pytest

from tilewright.flows.sweep.samples import MAX_DRAWN, different, drawn, spread
from tilewright.flows.sweep.space import Space
from tilewright.hw.spec.config import PRESETS

RANGES = {"rows": (4, 8, 12, 16), "cols": (4, 8, 12, 16), "queue_depth": (1, 2, 4)}


def names(candidates):
    return [candidate.name for candidate in candidates]


def test_samples_have_all_corners_and_are_different():
    found = spread(different(Space(ranges=RANGES).candidates()), 20)
    corners = itertools.product((4, 16), (4, 16), (1, 4))
    asked = {tuple(candidate.asked[name] for name in RANGES) for candidate in found}
    assert len(asked) == 20
    assert asked >= set(corners)


def test_the_first_two_are_opposite_corners():
    found = spread(different(Space(ranges=RANGES).candidates()), 6)
    assert [tuple(each.asked[name] for name in RANGES) for each in found[:2]] == [
        (4, 4, 1), (16, 16, 4)]  # fmt: skip


def test_the_choice_is_always_the_same():
    space = Space(ranges=RANGES)
    first, second = (spread(different(space.candidates()), 15) for _ in range(2))
    assert names(first) == names(second)


def test_every_base_has_samples():
    bases = tuple(PRESETS[name] for name in ("nano", "edge", "base"))
    found = spread(different(Space(bases=bases, ranges=RANGES).candidates()), 10)
    assert {candidate.base.name for candidate in found} == {"nano", "edge", "base"}


def test_what_is_no_config_is_no_sample_and_fewer_than_asked_for_are_all():
    given = different(Space(ranges={"rows": (4, 8, 200)}).candidates())
    assert len(given) == 2
    assert len(spread(given, 10)) == 2


def test_what_a_config_picks_by_itself_may_be_asked_for():
    space = Space(asked={"depthwise_taps": -1, "tile_rows": 0}, ranges=RANGES)
    assert len(spread(different(space.candidates()), 10)) == 10


def test_a_config_that_two_points_ask_for_is_one():
    bases = (PRESETS["nano"], PRESETS["nano"].replace(name="other"))
    assert len(different(Space(bases=bases, ranges={"queue_depth": (1, 2)}).candidates())) == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_of_a_large_space_some_are_drawn_with_its_corners(seed):
    many = tuple(range(1, 129))
    space = Space(ranges={"rows": many, "cols": many, "queue_depth": (1, 2, 4)})
    found = list(drawn(space, seed))
    assert names(found) == names(drawn(space, seed))
    assert MAX_DRAWN <= len(found) < MAX_DRAWN + 20
    asked = {(each.asked["rows"], each.asked["cols"], each.asked["queue_depth"]) for each in found}
    assert asked >= set(itertools.product((1, 128), (1, 128), (1, 4)))
