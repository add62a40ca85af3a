"""The words of a walk as intervals: bases, runs and strides become starts and a length."""

from operator import itemgetter

import numpy as np

from tilewright.hw.spec.loops import Addresses, Axis, Loop, Walk

Dimension = tuple[int, int]
"""(count, stride) of one loop."""

Starts = int | Addresses
"""Where intervals of one length start; a number where there is one interval."""


def affine(base: Starts, run: int, dimensions: list[Dimension]) -> tuple[Starts, int]:
    """Return (starts, length) whose intervals cover base + every loop's steps + [0, run).

    Loops whose step does not pass the run are folded into it, so dense regions are one interval.
    """
    for count, stride in sorted(dimensions, key=itemgetter(1)):
        if count == 1:
            continue
        if stride <= run:
            run += stride * (count - 1)
        else:
            base = _spread(base, np.arange(count, dtype=np.int64) * stride)
    return base, run


def _spread(starts: Starts, steps: Addresses) -> Addresses:
    """Return every sum of a start and a step."""
    if isinstance(starts, int):
        return starts + steps
    return (starts[:, None] + steps).reshape(-1)


def merge(starts: Addresses, ends: Addresses) -> tuple[Addresses, Addresses]:
    """Return the union of intervals, sorted, disjoint and not adjacent."""
    if starts.size > 1:
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        first = np.concatenate(([True], starts[1:] > ends[:-1]))
        starts, ends = starts[first], ends[np.concatenate((first[1:], [True]))]
    return starts, ends


def wrap(starts: Addresses, length: int, modulus: int) -> tuple[Addresses, Addresses]:
    """Reduce intervals modulo `modulus`; those that cross it are cut in two."""
    if length >= modulus and starts.size:
        return np.zeros(1, np.int64), np.full(1, modulus, np.int64)
    starts = starts % modulus
    ends = starts + length
    crossing = ends > modulus
    if crossing.any():
        wrapped = ends[crossing] - modulus
        starts = np.concatenate((starts, np.zeros(wrapped.size, np.int64)))
        ends = np.concatenate((np.minimum(ends, modulus), wrapped))
    return starts, ends


def intervals(walk: Walk) -> tuple[Starts, int]:
    """Return (starts, length): the words of a walk before they wrap, some of them more than once.

    Addresses may be negative or pass the memory's size.
    """
    base: Starts = walk.base
    run, dimensions = walk.run, []
    for loop in walk.loops:
        if loop.along is None and loop.moves > 1:
            base += min(loop.stride, 0) * (loop.moves - 1)
            dimensions.append((loop.moves, abs(loop.stride)))
    if walk.is_ring:
        return affine(base, 0, dimensions)[0], run
    for axis in walk.window:
        positions, length = axis_positions(axis, walk.loops)
        if isinstance(positions, int):
            base = base + positions * axis.pitch
        else:
            base = _spread(base, positions * axis.pitch)
        if not length:
            return 0, 0
        if axis.pitch == 1 and run == 1:
            run = length
        else:
            dimensions.append((length, axis.pitch))
    return affine(base, run, dimensions)


def axis_positions(axis: Axis, loops: tuple[Loop, ...]) -> tuple[Starts, int]:
    """Return (starts, length): the coordinates in [0, size) that the loops along an axis visit.

    One run when they are contiguous, else one start a coordinate; length 0 where there is none.
    """
    along = [(loop.count, loop.stride) for loop in loops if loop.along == axis.name]
    starts, length = affine(axis.origin, 1, along)
    if isinstance(starts, int):
        first, end = max(starts, 0), min(starts + length, axis.size)
        return first, max(end - first, 0)
    positions = (starts[:, None] + np.arange(length)).reshape(-1)
    positions = np.unique(positions[(positions >= 0) & (positions < axis.size)])
    return positions, int(positions.size > 0)
