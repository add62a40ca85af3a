"""Combinational pieces of binary32 arithmetic that both lanes share.

Only what the lanes need: no infinities, no subnormals, no generic floating-point unit. A number
is a sign, a 24-bit mantissa whose leading one is explicit, and an unbiased exponent.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from tilewright.hw.rtl.signals import loaded

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


def normalize(
    module: Module, value: Value, name: str, levels: range | None = None
) -> tuple[Value, Value]:
    """Shift left until the top bit is one; return (shifted, position of the leading one).

    A zero stays zero, with position 0. Width is a power of two, at least 2. `levels` are those of
    the shift, from 2^level on; a part of them gives those bits of the position.
    """
    width = len(value)
    if levels is None:
        levels = range((width - 1).bit_length())
    assert width >= 1 << len(levels)
    position_bits = []
    for level in reversed(levels):
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
    return kept + _rounds_up(kept, guard, sticky)


def _rounds_up(kept: Value, guard: Value, sticky: Value) -> Value:
    return guard & (sticky | kept[0])


def round_product(exact: Value) -> Value:
    """Return a product, its leading one in the top bit or the one below, rounded to 24 bits; bit 24
    is a carry. It is rounded for both positions: the top bit comes late."""
    fits, spills = (round_half_even(*cut) for cut in _cuts(exact))
    return Mux(exact[-1], spills, fits)


def cut_product(module: Module, name: str, exact: Value, **along: Value) -> list[Signal]:
    """Return registers in front of the rounding of such a product: the 24 bits that are kept,
    whether one is to be added to them, its top bit; then what goes along."""
    (kept, *below), (large_kept, *large_below) = _cuts(exact)
    is_large = exact[-1]
    parts = {
        "": Mux(is_large, large_kept, kept),
        "_up": Mux(is_large, _rounds_up(large_kept, *large_below), _rounds_up(kept, *below)),
        "_large": is_large,
        **{f"_{part}": value for part, value in along.items()},
    }
    return loaded(module, **{f"{name}_cut{part}": value for part, value in parts.items()})


def _cuts(exact: Value) -> tuple[tuple[Value, Value, Value], tuple[Value, Value, Value]]:
    """Bits kept, the one below and whether there is any below that, for both positions."""
    fits = exact[-25:-1], exact[-26], exact[:-26].any()
    spills = exact[-24:], exact[-25], exact[:-25].any()
    return fits, spills


def rounded_exponent(
    exponent: Value, large: Value, carry: Value, is_exact: Value | None, *, is_late: int
) -> Value:
    """Return the exponent of a rounded number: one more for a product that is large, and for a
    carry, unless it is exact. A carry that comes late chooses one of two."""
    if not is_late:
        shift = large + carry
        return exponent + (shift if is_exact is None else Mux(is_exact, 0, shift))
    counts = Const(1) if is_exact is None else ~is_exact
    return Mux(carry & counts, exponent + large + 1, exponent + (large & counts))


def round_in_place(module: Module, total: Value) -> Value:
    """Return an exact sum of two mantissas, its bit 26 that of the larger, rounded to 24 bits."""
    carried, full = total[27], total[26]
    keep_guard = ~carried & ~full
    guard = Mux(carried, total[3], Mux(full, total[2], total[1]))
    sticky = total[0] | (~keep_guard & total[1]) | (carried & total[2])
    lowest = Mux(carried, total[4], Mux(full, total[3], total[2]))
    increment = guard & (sticky | lowest)
    addend = Cat(increment & keep_guard, increment & full & ~carried, increment & carried)
    kept = Cat(total[2] & keep_guard, total[3] & ~carried, total[4:])
    rounded = Signal(27)
    module.d.comb += rounded.eq(kept + addend)
    return rounded


def signed_sum(magnitude: Value, increment: Value, negative: Value, offset: Value) -> Value:
    """Return +-(magnitude + increment) + offset with a single carry chain."""
    inverted = Cat(*(bit ^ negative for bit in magnitude), negative).as_signed()
    return inverted + offset + (increment ^ negative)


def clamp(value: Value, low: Value, high: Value) -> Value:
    """Return min(max(value, low), high) as an int8."""
    raised = Mux(value < low, low, value)
    return Mux(raised > high, high, raised)[0:8].as_signed()


def clamp_at_once(value: Value, low: Value, high: Value) -> Value:
    """Return the same from three comparisons side by side."""
    below, above = value < low, (value > high) | ((value < low) & (low > high))
    return Mux(above, high, Mux(below, low, value))[0:8].as_signed()


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
