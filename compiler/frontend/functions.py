"""Which float values are functions of one activation, stored or made by an operator.

Operators whose other operands are constants of one element make a function of a function. What is
taken up exactly (a sum or product by a convolution, a clamp, a slope) is at the same time such a
function of the value in front of it, which is the function's root.
"""

import numpy as np

from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Linear,
    Producer,
    Real,
    Value,
)


def is_function(reals: list[Real]) -> bool:
    """Whether all are functions of one value: a stored one, or one that an operator makes."""
    first = reals[0]
    if is_dequantized(first):
        return all(_same_place(real, first) for real in reals)
    root = root_of(first)
    return root is not None and all(
        root_of(real) is root and np.array_equal(real.index, first.index) for real in reals
    )


def is_dequantized(value: Value | None) -> bool:
    """Whether `value` is the float form of a stored activation, perhaps behind unary operators."""
    return isinstance(value, Real) and isinstance(value.producer, Dequantized)


def is_open_linear(real: Real) -> bool:
    """Whether it is a convolution's value as it is: no function, clamp or slope behind it."""
    return isinstance(real.producer, Linear) and real.is_plain and _is_open(real)


def root_of(real: Real) -> Producer | None:
    """Of whose value, not yet rounded, `real` is a function; None if of none."""
    if real.root is not None:
        return real.root
    is_stored = isinstance(real.producer, Deferred | Dequantized)
    return real.producer if not is_stored and _is_open(real) else None


def _is_open(real: Real) -> bool:
    producer = real.producer
    is_clamped = real.low > -np.inf or real.high < np.inf
    return not is_clamped and not (isinstance(producer, Linear) and producer.slope is not None)


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
