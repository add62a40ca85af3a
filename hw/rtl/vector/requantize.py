"""Stage 1 of the vector unit: int32 accumulator to int8, exactly as `numerics.requantize`.

The binary32 roundings are reproduced by integers: |accumulator + bias| is rounded to 24
significant bits (the conversion to binary32), multiplied exactly by the scale's 24-bit mantissa,
rounded to 24 bits (the product's rounding), then to an integer. From 2^9 on the result saturates,
so only the exponents -1..8 need a shift.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.vector.rounding import (
    INTEGER_BITS,
    clamp,
    normalize,
    register,
    round_half_even,
    shift_right_sticky,
    signed_sum,
    unpack_scale,
)

HALF_MANTISSA_BITS = 12
SATURATING_EXPONENT = INTEGER_BITS
VANISHING_EXPONENT = -3
"""A product with this exponent stays below 0.5 even after both roundings carried."""


class RequantizeLane(wiring.Component):
    """One result a cycle, LATENCY cycles from the accumulator to the result.

    Stage k loads its registers at the end of a cycle in which enable[k] is 1; a value that enters
    with enable[0] in cycle t moves on with enable[k] in cycle t + k. A stage that is not enabled
    toggles nothing. Operands are sampled by the stage that uses them, so that they need no
    pipeline of their own in every lane.

    Members
    -------
    enable : In(LATENCY)
    accumulator, bias : In(signed(32)), sampled with enable[0]; their sum wraps
    scale : In(32), binary32, sampled with enable[SCALE_STAGE]
    zero_point : In(signed(8)), sampled with enable[ZERO_POINT_STAGE]
    low, high : In(signed(8)), sampled with enable[CLAMP_STAGE]
    result : Out(signed(8)), valid in the cycle after enable[LATENCY - 1], held until the next
    """

    SCALE_STAGE = 4
    ZERO_POINT_STAGE = 8
    CLAMP_STAGE = 9
    LATENCY = 10

    enable: In(LATENCY)
    accumulator: In(signed(32))
    bias: In(signed(32))
    scale: In(32)
    zero_point: In(signed(8))
    low: In(signed(8))
    high: In(signed(8))
    result: Out(signed(8))

    def elaborate(self, platform):
        m = Module()
        converted = self._convert_to_float(m)
        product = self._multiply(m, *converted)
        self._round_and_place(m, *product)
        return m

    def _convert_to_float(self, m):
        """Stages 0 to 3: sum, magnitude, normalization, rounding to 24 bits."""
        total = register(signed(32), "total")
        with m.If(self.enable[0]):
            m.d.sync += total.eq(self.accumulator + self.bias)

        negative = register(1, "negative_magnitude")
        magnitude = register(32, "magnitude")
        with m.If(self.enable[1]):
            m.d.sync += [negative.eq(total[31]), magnitude.eq(abs(total))]

        shifted, position = normalize(m, magnitude, "normalize")
        normal_negative = register(1, "normal_negative")
        normal = register(32, "normal")
        normal_exponent = register(5, "normal_exponent")
        with m.If(self.enable[2]):
            m.d.sync += [
                normal_negative.eq(negative),
                normal.eq(shifted),
                normal_exponent.eq(position),
            ]

        rounded = Signal(25)
        m.d.comb += rounded.eq(round_half_even(normal[8:], normal[7], normal[:7].any()))
        float_negative = register(1, "float_negative")
        float_nonzero = register(1, "float_nonzero")
        float_fraction = register(23, "float_fraction")
        float_exponent = register(6, "float_exponent")
        with m.If(self.enable[3]):
            m.d.sync += [
                float_negative.eq(normal_negative),
                float_nonzero.eq(normal[31]),
                float_fraction.eq(rounded[:23]),
                float_exponent.eq(normal_exponent + rounded[24]),
            ]
        mantissa = Cat(float_fraction, Const(1, 1))
        return float_negative, float_nonzero, mantissa, float_exponent

    def _multiply(self, m, float_negative, float_nonzero, mantissa, float_exponent):
        """Stages 4 and 5: the exact product, its exponent reduced to a shift and two flags."""
        usable, scale_negative, scale_mantissa, scale_exponent = unpack_scale(self.scale)
        zero = ~float_nonzero | ~usable
        exponent = Signal(signed(8))
        m.d.comb += exponent.eq(float_exponent + scale_exponent)
        half = HALF_MANTISSA_BITS
        low_product = register(24 + half, "low_product")
        high_product = register(24 + half, "high_product")
        partial_negative = register(1, "partial_negative")
        partial_exponent = register(signed(5), "partial_exponent")
        partial_saturates = register(1, "partial_saturates")
        partial_vanishes = register(1, "partial_vanishes")
        with m.If(self.enable[4]):
            m.d.sync += [
                low_product.eq(mantissa * scale_mantissa[:half]),
                high_product.eq(mantissa * scale_mantissa[half:]),
                partial_negative.eq(float_negative ^ scale_negative),
                partial_exponent.eq(exponent),
                partial_saturates.eq(~zero & (exponent >= SATURATING_EXPONENT)),
                partial_vanishes.eq(zero | (exponent <= VANISHING_EXPONENT)),
            ]

        product = Signal(48)
        m.d.comb += product.eq(low_product + (high_product << half))
        product_top = register(26, "product_top")
        product_sticky = register(1, "product_sticky")
        product_negative = register(1, "product_negative")
        product_exponent = register(signed(5), "product_exponent")
        product_saturates = register(1, "product_saturates")
        product_vanishes = register(1, "product_vanishes")
        with m.If(self.enable[5]):
            m.d.sync += [
                product_top.eq(product[22:]),
                product_sticky.eq(product[:22].any()),
                product_negative.eq(partial_negative),
                product_exponent.eq(partial_exponent),
                product_saturates.eq(partial_saturates),
                product_vanishes.eq(partial_vanishes),
            ]
        flags = (product_negative, product_saturates, product_vanishes)
        return product_top, product_sticky, product_exponent, flags

    def _round_and_place(self, m, product_top, product_sticky, product_exponent, flags):
        """Stages 6 to 9: rounding to 24 bits, to an integer, zero point, clamp."""
        large = product_top[25]
        kept = Mux(large, product_top[2:], product_top[1:25])
        guard = Mux(large, product_top[1], product_top[0])
        sticky = product_sticky | (large & product_top[0])
        rounded = Signal(25)
        m.d.comb += rounded.eq(round_half_even(kept, guard, sticky))
        float_fraction = register(23, "result_fraction")
        float_shift = register(4, "result_shift")
        float_negative = register(1, "result_negative")
        float_saturates = register(1, "result_saturates")
        float_vanishes = register(1, "result_vanishes")
        negative, saturates, vanishes = flags
        exponent = Signal(signed(6))
        m.d.comb += exponent.eq(product_exponent + (large + rounded[24]))
        with m.If(self.enable[6]):
            m.d.sync += [
                float_fraction.eq(rounded[:23]),
                float_shift.eq(SATURATING_EXPONENT - 1 - exponent),
                float_negative.eq(negative),
                float_saturates.eq(saturates | (~vanishes & (exponent >= SATURATING_EXPONENT))),
                float_vanishes.eq(vanishes | (~saturates & (exponent < -1))),
            ]

        # The mantissa with exponent 8 has its nine integer bits on top, then guard and sticky.
        significant = Cat(float_fraction[14:], Const(1, 1))
        shifted, lost = shift_right_sticky(m, significant, float_shift, "integer")
        saturated = float_saturates.replicate(INTEGER_BITS)
        integer = register(INTEGER_BITS, "integer")
        integer_guard = register(1, "integer_guard")
        integer_sticky = register(1, "integer_sticky")
        integer_negative = register(1, "integer_negative")
        with m.If(self.enable[7]):
            m.d.sync += [
                integer.eq(Mux(float_vanishes, 0, shifted[1:] | saturated)),
                integer_guard.eq(shifted[0] & ~float_vanishes & ~float_saturates),
                integer_sticky.eq(lost | float_fraction[:14].any()),
                integer_negative.eq(float_negative),
            ]

        carry = integer_guard & (integer_sticky | integer[0])
        placed = register(signed(INTEGER_BITS + 3), "placed")
        with m.If(self.enable[8]):
            m.d.sync += placed.eq(signed_sum(integer, carry, integer_negative, self.zero_point))
        result = register(signed(8), "result_register")
        with m.If(self.enable[9]):
            m.d.sync += result.eq(clamp(placed, self.low, self.high))
        m.d.comb += self.result.eq(result)
