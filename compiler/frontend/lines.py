"""Functions of one value that are two lines through 0, clamped: LeakyRelu however it is written.

Or one rising line anywhere, clamped on both sides: HardSigmoid. A function is taken for what its
results are, not for the operators that it consists of.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.request import Function
from tilewright.compiler.frontend.values import Linear, Real
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record

SMALL, LARGE = 2.0**-24, 2.0**60
SAMPLES = 1 << 10
RELATIVE_ERROR = 2.0**-21
"""Between two orders of the same multiplications, of binary32."""
FEWEST_SAMPLES = 8
"""Of a rising line between its clamps."""
LARGEST_MOVE = 1 / 16
"""Of a step of the result: what half a step of an accumulator may be, by which a line moves."""


@record(frozen=True, kw_only=True)
class Line:
    """v * rise from 0 on, v * fall below it, clamped; both slopes >= 0, not both 0."""

    rise: float
    fall: float
    low: float
    high: float

    @property
    def halves(self) -> Iterator[tuple[float, float, float]]:
        """(gain, low, high) of the lines that the function is the sum of."""
        if self.rise == self.fall:
            yield self.rise, self.low, self.high
            return
        if self.rise:
            yield self.rise, max(self.low, 0.0), self.high
        if self.fall:
            yield self.fall, self.low, min(self.high, 0.0)


def samples() -> NDArray[np.float32]:
    """Values of every magnitude that a function is looked at with, ascending: 2 * SAMPLES."""
    grid = np.geomspace(SMALL, LARGE, SAMPLES).astype(np.float32)
    return np.concatenate([-grid[::-1], grid])


def line_of(function: Function) -> Line | None:
    """The line that `function` is, None if it is none."""
    values = np.append(samples(), np.array([-2 * LARGE, 2 * LARGE], np.float32))
    results = function(values).astype(np.float64)
    slope_below, slope_above = (results[SAMPLES - 1 : SAMPLES + 1] / [-SMALL, SMALL]).tolist()
    low = results[0] if results[0] == results[-2] else -np.inf
    high = results[2 * SAMPLES - 1] if results[2 * SAMPLES - 1] == results[-1] else np.inf
    if not np.isfinite(results).all() or min(slope_below, slope_above) < 0 or low > high:
        return None
    slopes = np.where(values < 0, slope_below, slope_above)
    expected = np.clip(values * slopes, low, high)
    is_line = (np.abs(results - expected) <= RELATIVE_ERROR * np.abs(expected)).all()
    if not is_line or not max(slope_below, slope_above):
        return None
    return Line(rise=slope_above, fall=slope_below, low=float(low), high=float(high))


def with_line(real: Real, line: Line) -> Real | None:
    """What is the function `line` of a convolution's value, by scales; None if it falls only."""
    producer = real.producer
    assert isinstance(producer, Linear)
    if not line.rise:
        return None
    slope = line.fall / line.rise
    return replace(
        real,
        is_plain=True,
        low=line.low,
        high=line.high,
        producer=replace(
            producer,
            weight_scale=(producer.weight_scale * line.rise).astype(np.float32),
            slope=None if slope == 1 else np.full(producer.shape[0], slope, np.float32),
        ),
    )


@record(frozen=True, kw_only=True)
class Ramp:
    """v * rise + offset, clamped on both sides; rise > 0."""

    rise: float
    offset: float
    low: float
    high: float


def ramp_of(function: Function) -> Ramp | None:
    """The ramp that `function` is, None if it is none."""
    values = samples()
    results = function(values).astype(np.float64)
    low, high = float(results[0]), float(results[-1])
    inner = np.flatnonzero((results > low) & (results < high))
    is_clamped = results[1] == low and results[-2] == high
    if not np.isfinite(results).all() or not is_clamped or len(inner) < FEWEST_SAMPLES:
        return None
    ends = inner[[0, -1]]
    rise = float(np.diff(results[ends])[0] / np.diff(values[ends].astype(np.float64))[0])
    offset = float(results[ends[0]] - values[ends[0]] * rise)
    expected = np.clip(values * rise + offset, low, high)
    is_ramp = (np.abs(results - expected) <= RELATIVE_ERROR * (high - low)).all()
    return Ramp(rise=rise, offset=offset, low=low, high=high) if is_ramp and rise > 0 else None


def with_ramp(real: Real, ramp: Ramp, target: Quantization) -> Real | None:
    """What is the function `ramp` of a convolution's value, by its scales and bias, as a clamp.

    None where the bias, rounded to steps of the accumulators, moves it too far for `target`.
    """
    producer = real.producer
    assert isinstance(producer, Linear)
    scale = (producer.weight_scale * ramp.rise).astype(np.float32)
    scaled = replace(producer, weight_scale=scale)
    if producer.slope is not None or scaled.steps.max() / 2 > LARGEST_MOVE * target.scale:
        return None
    return replace(
        real,
        is_plain=True,
        low=ramp.low,
        high=ramp.high,
        producer=replace(scaled, bias=producer.bias + ramp.offset / scaled.steps),
    )
