"""Smooth functions of a convolution's unrounded value: tables of 256 levels for parts of its range.

The range in which the int8 result changes is cut into pieces so that the largest rise of the result
from level to level is as small as possible: where the function is flat, levels lie far apart
(graph.pieces).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.request import Function
from tilewright.compiler.frontend.room import extreme_sums
from tilewright.compiler.frontend.table import quantize_all
from tilewright.compiler.frontend.values import Linear, UnsupportedError
from tilewright.compiler.graph.graph import Piece
from tilewright.hw.spec.tensor import Quantization

Floats = NDArray[np.float64]

FEW_PIECES, MANY_PIECES = 4, 8
"""Many halve the error, but double the cycles of 1x1 convolutions (docs/compiler.md)."""
LEVELS = 256
SAMPLES = 1 << 14
CUT_STEPS = 24
DENSITY = 10.0
"""How much denser the samples lie around 0: by sinh(DENSITY) / DENSITY."""
NEGLIGIBLE_STEPS = 0.03
"""How near the result is to its last one where the outer pieces end, in steps of it."""
SHIFTS = np.array([0.0, 0.25, -0.25, 0.5, -0.5])
"""How far an end of a piece may move, in levels of the finer piece at it."""
LARGEST_RISE = 127
"""Of the result within a piece, in steps."""
LARGEST_ERROR_STEPS = 0.9
"""Of the real value, in steps of the result; below 1, the rounded result is off by 1 at most."""


def pieces_of(
    function: Function, producer: Linear, target: Quantization, is_fine: bool = False
) -> tuple[Piece, ...]:
    """Return the pieces of `function` of the producer's value, stored with `target`.

    is_fine: take many, where few would do.

    Raises:
        UnsupportedError: too steep or not finite; too few accumulator steps in a level.
    """
    steps, sums, inputs, results = _sampled(function, producer, target)
    low, high = _extremes(steps, sums)
    slopes = np.abs(np.diff(results)) / np.diff(inputs)
    limit = (LARGEST_ERROR_STEPS - float(slopes.max() * steps.max()) / 2) * 2 * (LEVELS - 1)
    exact = _exact_ends(sums, steps, inputs, results)
    if exact is not None:
        return _tables(function, exact, (low, high), target)
    reason = UnsupportedError(
        f"its function is too steep for {MANY_PIECES} tables of {LEVELS} levels; put a "
        "QuantizeLinear and DequantizeLinear in front of it"
    )
    for count in (MANY_PIECES,) if is_fine else (FEW_PIECES, MANY_PIECES):
        rise, cuts = _cut(inputs, slopes, count)
        if rise > limit:
            continue
        try:
            return _tables(function, _settled(inputs, results, cuts), (low, high), target)
        except UnsupportedError as error:
            reason = error
    raise reason


def level_error(function: Function, producer: Linear, target: Quantization, count: int) -> float:
    """How far `count` pieces' levels are from the function, in steps of `target`, not rounded.

    Raises UnsupportedError: the function is not finite.
    """
    steps, sums, inputs, results = _sampled(function, producer, target)
    if _exact_ends(sums, steps, inputs, results) is not None:
        return 0.0
    slopes = np.abs(np.diff(results)) / np.diff(inputs)
    rise, _ = _cut(inputs, slopes, count)
    return (rise / (LEVELS - 1) + float(slopes.max() * steps.max())) / 2


def _sampled(
    function: Function, producer: Linear, target: Quantization
) -> tuple[Floats, tuple[Floats, Floats], Floats, Floats]:
    """A step of each channel's accumulator, its extreme sums, samples of all and their results."""
    steps = producer.steps
    sums = extreme_sums(producer)
    inputs = _inputs(function, target, *_extremes(steps, sums))
    return steps, sums, inputs, _in_steps(function, inputs, target)


def _extremes(steps: Floats, sums: tuple[Floats, Floats]) -> tuple[float, float]:
    return float((sums[0] * steps).min()), float((sums[1] * steps).max())


def _exact_ends(
    sums: tuple[Floats, Floats], steps: Floats, inputs: Floats, results: Floats
) -> Floats | None:
    """Where pieces end of which each level is one value of the accumulators; None: they are more.

    So few are the values of a mean of few pixels.
    """
    step = float(steps[0])
    first = max(float(sums[0].min()), np.floor(inputs[0] / step))
    last = min(float(sums[1].max()), np.ceil(inputs[-1] / step))
    count = max(int(np.ceil((last - first) / (LEVELS - 1))), 1)
    if count > FEW_PIECES or (steps != step).any():
        return None
    ends = (first + (LEVELS - 1) * np.arange(count + 1)) * step
    rises = np.abs(np.diff(np.interp(ends, inputs, results)))
    return ends if rises.max() <= LARGEST_RISE else None


def _tables(
    function: Function, ends: Floats, extremes: tuple[float, float], target: Quantization
) -> tuple[Piece, ...]:
    """The pieces between neighbouring `ends`; beyond them, the results of the extremes.

    Raises UnsupportedError: one rises too far.
    """
    pieces: list[Piece] = []
    for first, last in pairwise(ends):
        step = (last - first) / (LEVELS - 1)
        levels = np.clip(np.linspace(first, last, LEVELS), *extremes)
        if first == ends[0]:
            levels[0] = extremes[0]
        if last == ends[-1]:
            levels[-1] = extremes[1]
        stored = quantize_all(function(levels.astype(np.float32)), target)
        rises = stored.astype(np.int16) - stored[0]
        if pieces and np.abs(rises).max() > LARGEST_RISE:
            raise UnsupportedError(f"its function rises by more than {LARGEST_RISE} steps at once")
        middle = first + LEVELS // 2 * step
        pieces.append(Piece(middle=float(middle), step=float(np.float32(step)), results=stored))
    return tuple(pieces)


def _cut(inputs: Floats, slopes: Floats, count: int) -> tuple[float, list[int]]:
    """The largest slope * length of `count` pieces, and the samples at which they start and end."""
    low, high = 0.0, float(slopes.max() * (inputs[-1] - inputs[0])) + 1e-9
    for _ in range(CUT_STEPS):
        middle = (low + high) / 2
        is_enough = len(_greedy_cuts(inputs, slopes, middle, count)) <= count + 1
        low, high = (low, middle) if is_enough else (middle, high)
    return high, _greedy_cuts(inputs, slopes, high, count)


def _greedy_cuts(inputs: Floats, slopes: Floats, limit: float, count: int) -> list[int]:
    """Cuts of pieces as long as their largest slope times their length is within the limit."""
    cuts = [0]
    while cuts[-1] < len(slopes) and len(cuts) <= count + 1:
        start = cuts[-1]
        rises = np.maximum.accumulate(slopes[start:]) * (inputs[start + 1 :] - inputs[start])
        cuts.append(start + max(int(np.searchsorted(rises, limit, side="right")), 1))
    return cuts


def _settled(inputs: Floats, results: Floats, cuts: list[int]) -> Floats:
    """Where pieces end: near the cuts, so that as few samples as possible are rounded elsewhere.

    A level has one result; of the samples next to it some have another one, and how many depends on
    where the levels fall.
    """
    ends = inputs[cuts]
    levels = np.diff(ends) / (LEVELS - 1)
    finer = np.minimum(np.append(levels, np.inf), np.append(np.inf, levels))
    choices = ends[:, None] + finer[:, None] * SHIFTS
    wrong, ways = np.zeros(len(SHIFTS)), []
    for number, (first, last) in enumerate(pairwise(cuts)):
        part = slice(first, last + 1)
        costs = [
            [_num_wrong(inputs[part], results[part], start, end) for end in choices[number + 1]]
            for start in choices[number]
        ]
        totals = wrong[:, None] + costs
        ways.append(totals.argmin(axis=0))
        wrong = totals.min(axis=0)
    chosen = [int(wrong.argmin())]
    for way in reversed(ways):
        chosen.append(int(way[chosen[-1]]))
    settled: Floats = choices[np.arange(len(cuts)), chosen[::-1]]
    return settled


def _num_wrong(inputs: Floats, results: Floats, start: float, end: float) -> int:
    """How many samples have another result than their level between two ends of a piece."""
    step = (end - start) / (LEVELS - 1)
    nearest = start + np.rint((inputs - start) / step) * step
    stored = np.rint(np.interp(nearest, inputs, results))
    return int(np.count_nonzero(stored != np.rint(results)))


def _inputs(function: Function, target: Quantization, low: float, high: float) -> Floats:
    """Samples of the part of low ... high in which the result changes."""
    reach = max(-low, high, 1.0)
    wide = reach * np.sinh(DENSITY * np.linspace(-1, 1, SAMPLES)) / np.sinh(DENSITY)
    wide = np.unique(np.clip(wide, low, high))
    results = _in_steps(function, wide, target)
    moved = [np.flatnonzero(np.abs(results - results[end]) > NEGLIGIBLE_STEPS) for end in (0, -1)]
    if not moved[0].size:
        return (low + high) / 2 + np.linspace(-1.0, 1.0, SAMPLES)
    first, last = max(int(moved[0][0]) - 1, 0), min(int(moved[1][-1]) + 1, len(wide) - 1)
    return np.linspace(wide[first], wide[last], SAMPLES)


def _in_steps(function: Function, inputs: Floats, target: Quantization) -> Floats:
    """The results in steps of `target`, saturated but not rounded."""
    results = function(inputs.astype(np.float32)).astype(np.float64)
    if not np.isfinite(results).all():
        raise UnsupportedError("its function is not finite for every value")
    return np.clip(results / target.scale + target.zero_point, -128.5, 127.5)
