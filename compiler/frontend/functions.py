"""Which float values are functions of one activation, stored or made by a convolution."""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.layout import is_dequantized
from tilewright.compiler.frontend.values import Dequantized, Linear, Real, Value


def is_function(reals: list[Real]) -> bool:
    """Whether all are functions of one value: a stored one, or one that a convolution makes."""
    first = reals[0]
    is_linear = all(is_open_linear(replace(real, is_plain=True)) for real in reals)
    if not is_linear:
        return all(is_dequantized(real) and _same_place(real, first) for real in reals)
    return all(
        real.producer is first.producer and np.array_equal(real.index, first.index)
        for real in reals
    )


def is_open_linear(real: Real) -> bool:
    """Whether it is a convolution's value as it is: no function, clamp or slope behind it."""
    is_clamped = real.low > -np.inf or real.high < np.inf
    is_open = real.is_plain and not is_clamped
    return isinstance(real.producer, Linear) and is_open and real.producer.slope is None


def _same_place(value: Value | None, other: Real) -> bool:
    """Whether both are computed element by element from the same stored activation."""
    if not isinstance(value, Real):
        return False
    first, second = value.producer, other.producer
    if not isinstance(first, Dequantized) or not isinstance(second, Dequantized):
        return False
    return (
        first.source.origin == second.source.origin
        and first.source.quantization == second.source.quantization
        and np.array_equal(value.index, other.index)
    )
