"""Combinational pieces of binary32 arithmetic that both lanes share.

Only what the lanes need: no infinities, no subnormals, no generic floating-point unit. A number
is a sign, a 24-bit mantissa whose leading one is explicit, and an unbiased exponent.
"""

from functools import reduce
from operator import add

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

MANTISSA_BITS = 24
INTEGER_BITS = 9
"""An int8 plus a zero point saturates from 2^8 on, so nine bits of integer decide everything."""
EXPONENT_BIAS = 127
MINIMUM_EXPONENT = -64
MAXIMUM_EXPONENT = 63
"""Exponents of the usable scales: magnitudes in [2^-64, 2^64)."""


def unpack_scale(scale: Value) -> tuple[Value, Value, Value, Value]:
    """Split binary32 into (usable, negative, mantissa[24], exponent signed[7]).

    Not usable (acts as 0): magnitude outside [2^-64, 2^64), infinite or not a number.
    """
    field = scale[23:31]
    usable = (field >= MINIMUM_EXPONENT + EXPONENT_BIAS) & (
        field <= MAXIMUM_EXPONENT + EXPONENT_BIAS
    )
    exponent = (field - EXPONENT_BIAS)[0:7].as_signed()
    return usable, scale[31], Cat(scale[0:23], Const(1, 1)), exponent


def times(factor: Value, other: Value, multiplier_bits: int) -> Value:
    """Return the product as the sum of products with so many bits of `other` each."""
    parts = [
        factor * other[first : first + multiplier_bits] << first
        for first in range(0, len(other), multiplier_bits)
    ]
    return reduce(add, parts)


def normalize(module: Module, value: Value, name: str) -> tuple[Value, Value]:
    """Shift left until the top bit is one; return (shifted, position of the leading one).

    A zero stays zero, with position 0. Width is a power of two, at least 2.
    """
    width = len(value)
    levels = (width - 1).bit_length()
    assert width == 1 << levels
    position_bits = []
    for level in reversed(range(levels)):
        step = 1 << level
        occupied = Signal(name=f"{name}_occupied{step}")
        shifted = Signal(width, name=f"{name}_shifted{step}")
        module.d.comb += [
            occupied.eq(value[width - step :].any()),
            shifted.eq(Mux(occupied, value, value << step)),
        ]
        position_bits.append(occupied)
        value = shifted
    return value, Cat(*reversed(position_bits))


def round_half_even(kept: Value, guard: Value, sticky: Value) -> Value:
    """Return kept, plus one where the bits below it (guard, sticky) call for it; one bit wider."""
    return kept + (guard & (sticky | kept[0]))


def signed_sum(magnitude: Value, increment: Value, negative: Value, offset: Value) -> Value:
    """Return +-(magnitude + increment) + offset with a single carry chain."""
    inverted = Cat(*(bit ^ negative for bit in magnitude), negative).as_signed()
    return inverted + offset + (increment ^ negative)


def clamp(value: Value, low: Value, high: Value) -> Value:
    """Return min(max(value, low), high) as an int8."""
    raised = Mux(value < low, low, value)
    return Mux(raised > high, high, raised)[0:8].as_signed()


def shift_right_sticky(
    module: Module, value: Value, amount: Value, name: str
) -> tuple[Value, Value]:
    """Return (value >> amount, whether a one was shifted out), by logarithmic stages."""
    lost = Const(0, 1)
    for level in range(len(amount)):
        step = min(1 << level, len(value))
        shifted = Signal(len(value), name=f"{name}_right{1 << level}")
        sticky = Signal(name=f"{name}_sticky{1 << level}")
        module.d.comb += [
            shifted.eq(Mux(amount[level], value[step:], value)),
            sticky.eq(lost | (amount[level] & value[:step].any())),
        ]
        value, lost = shifted, sticky
    return value, lost
