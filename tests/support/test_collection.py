"""Garbage is collected rarely in a block, and as before behind it."""

import gc

import pytest

from tilewright.support.collection import ALLOCATIONS, rare_collection


@pytest.fixture(autouse=True)
def _thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_thresholds_return_behind_the_block_whatever_happens():
    @rare_collection()
    def failing():
        assert gc.get_threshold() == (ALLOCATIONS, 10, 10)
        raise ValueError("inside")

    gc.set_threshold(700, 10, 10)
    with pytest.raises(ValueError, match="inside"):
        failing()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("given", [0, 10 * ALLOCATIONS])
def test_who_collects_more_rarely_or_never_is_left_alone(given):
    gc.set_threshold(given, 10, 10)
    with rare_collection():
        assert gc.get_threshold()[0] == given
