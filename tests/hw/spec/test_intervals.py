"""Intervals against sets of single words."""

import numpy as np
import pytest

from tilewright.hw.spec.intervals import merge, wrap


def covered(starts, ends):
    return [word for s, e in zip(starts, ends, strict=True) for word in range(s, e)]


def test_merged_intervals_are_sorted_disjoint_and_not_adjacent() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        starts = rng.integers(0, 60, 12)
        ends = starts + rng.integers(1, 9, 12)
        first, behind = merge(starts, ends)
        assert covered(first, behind) == sorted(set(covered(starts, ends)))
        assert (first[1:] > behind[:-1]).all()


@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 25])
def test_wrapped_intervals_cover_the_words_modulo_the_modulus(length: int) -> None:
    starts = np.array([-3, 0, 4, 8, 9, 10, 1, 27])
    words = {word % 10 for word in covered(starts, starts + length)}
    first, ends = wrap(starts, length, 10)
    assert set(covered(first, ends)) == words
    assert (first < ends).all()


def test_no_interval_wraps_to_none() -> None:
    first, ends = wrap(np.zeros(0, np.int64), 12, 10)
    assert first.size == ends.size == 0
