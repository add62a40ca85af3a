"""Nobody looks for cycles in a block, and whoever did does so behind it."""

import gc

import pytest

from tilewright.support.collector import no_collections


@pytest.fixture(autouse=True)
def _as_before():
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


def test_collection_returns_behind_a_function_whatever_happens():
    @no_collections()
    def failing():
        assert not gc.isenabled()
        raise ValueError("inside")

    gc.enable()
    with pytest.raises(ValueError, match="inside"):
        failing()
    assert gc.isenabled()


def test_who_never_collects_is_left_alone():
    gc.disable()
    with no_collections():
        assert not gc.isenabled()
    assert not gc.isenabled()
