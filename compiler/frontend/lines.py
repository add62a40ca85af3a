"""Functions of one value that are two lines through 0, clamped: LeakyRelu however it is written.

A function is taken for what its results are, not for the operators that it consists of.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.request import Function
from tilewright.compiler.frontend.values import Linear, Real
from tilewright.support.records import record

SMALL, LARGE = 2.0**-24, 2.0**60
SAMPLES = 1 << 10
RELATIVE_ERROR = 2.0**-21
"""Between two orders of the same multiplications, of binary32."""


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


def line_of(function: Function) -> Line | None:
    """The line that `function` is, None if it is none."""
    grid = np.geomspace(SMALL, LARGE, SAMPLES).astype(np.float32)
    values = np.concatenate([-grid[::-1], grid, np.array([-2 * LARGE, 2 * LARGE], np.float32)])
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
