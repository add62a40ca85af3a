"""Stage 1 of the vector unit: int32 accumulator to int8, exactly as `numerics.requantize`.

The binary32 roundings are reproduced by integers: |accumulator + bias| is rounded to 24
significant bits (the conversion to binary32), multiplied exactly by the scale's 24-bit mantissa,
rounded to 24 bits (the product's rounding), then to an integer. From 2^9 on the result saturates,
so only the exponents -1..8 need a shift.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import bits
from tilewright.hw.rtl.signals import register
from tilewright.hw.rtl.vector.rounding import (
    INTEGER_BITS,
    clamp,
    normalize,
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
    bank, by_sign : In(1), sampled with enable[BANK_STAGE]; which of the scales the value takes;
        with by_sign a negative sum takes the other one
    scales : In(2 * 32), binary32 of bank 0 and 1, sampled with enable[SCALE_STAGE]
    zero_point, low, high : In(signed(8)), sampled with enable[CLAMP_STAGE]
    result : Out(signed(8)), valid in the cycle after enable[LATENCY - 1], held until the next
    """

    BANK_STAGE = 1
    SCALE_STAGE = 2
    CLAMP_STAGE = 5
    LATENCY = 6

    enable: In(LATENCY)
    accumulator: In(signed(32))
    bias: In(signed(32))
    bank: In(1)
    by_sign: In(1)
    scales: In(2 * 32)
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
        """Stages 0 and 1: magnitude of the sum, normalized and rounded to 24 bits."""
        total = Signal(signed(32))
        m.d.comb += total.eq(self.accumulator + self.bias)
        negative = register(1, "negative")
        magnitude = register(32, "magnitude")
        with m.If(self.enable[0]):
            m.d.sync += [negative.eq(total[31]), magnitude.eq(abs(total))]

        normal, position = normalize(m, magnitude, "normalize")
        rounded = Signal(25)
        m.d.comb += rounded.eq(round_half_even(normal[8:], normal[7], normal[:7].any()))
        float_negative = register(1, "float_negative")
        float_nonzero = register(1, "float_nonzero")
        float_fraction = register(23, "float_fraction")
        float_exponent = register(6, "float_exponent")
        scale_bank = register(1, "scale_bank")
        with m.If(self.enable[1]):
            m.d.sync += [
                scale_bank.eq(self.bank ^ (self.by_sign & negative)),
                float_negative.eq(negative),
                float_nonzero.eq(normal[31]),
                float_fraction.eq(rounded[:23]),
                float_exponent.eq(position + rounded[24]),
            ]
        scale = Mux(scale_bank, self.scales[32:], self.scales[:32])
        return scale, float_negative, float_nonzero, float_fraction, float_exponent

    def _multiply(self, m, scale, float_negative, float_nonzero, float_fraction, float_exponent):
        """Stages 2 and 3: the exact product, its exponent reduced to a shift and two flags."""
        usable, scale_negative, scale_mantissa, scale_exponent = unpack_scale(scale)
        zero = ~float_nonzero | ~usable
        exponent = Signal(signed(8))
        m.d.comb += exponent.eq(float_exponent + scale_exponent)
        half = HALF_MANTISSA_BITS
        factor = register(23, "factor")
        high_scale = register(23 - half, "high_scale")
        low_product = register(24 + half, "low_product")
        partial_negative = register(1, "partial_negative")
        partial_exponent = register(signed(5), "partial_exponent")
        partial_saturates = register(1, "partial_saturates")
        partial_vanishes = register(1, "partial_vanishes")
        with m.If(self.enable[self.SCALE_STAGE]):
            m.d.sync += [
                factor.eq(float_fraction),
                high_scale.eq(scale_mantissa[half:]),
                low_product.eq(Cat(float_fraction, Const(1, 1)) * scale_mantissa[:half]),
                partial_negative.eq(float_negative ^ scale_negative),
                partial_exponent.eq(exponent),
                partial_saturates.eq(~zero & (exponent >= SATURATING_EXPONENT)),
                partial_vanishes.eq(zero | (exponent <= VANISHING_EXPONENT)),
            ]

        high_product = Signal(36)
        scale = Cat(high_scale, Const(1, 1))
        m.d.comb += high_product.eq(Cat(factor, Const(1, 1)) * scale + low_product[half:])
        product_top = register(26, "product_top")
        product_sticky = register(1, "product_sticky")
        product_negative = register(1, "product_negative")
        product_exponent = register(signed(5), "product_exponent")
        product_saturates = register(1, "product_saturates")
        product_vanishes = register(1, "product_vanishes")
        with m.If(self.enable[3]):
            m.d.sync += [
                product_top.eq(high_product[10:]),
                product_sticky.eq(low_product[:half].any() | high_product[:10].any()),
                product_negative.eq(partial_negative),
                product_exponent.eq(partial_exponent),
                product_saturates.eq(partial_saturates),
                product_vanishes.eq(partial_vanishes),
            ]
        flags = (product_negative, product_saturates, product_vanishes)
        return product_top, product_sticky, product_exponent, flags

    def _round_and_place(self, m, product_top, product_sticky, product_exponent, flags):
        """Stages 4 and 5: rounding to 24 bits, to an integer, zero point, clamp."""
        negative, saturates, vanishes = flags
        large = product_top[25]
        kept = Mux(large, product_top[2:], product_top[1:25])
        guard = Mux(large, product_top[1], product_top[0])
        sticky = product_sticky | (large & product_top[0])
        rounded = Signal(25)
        exponent = Signal(signed(6))
        saturated, vanished = bits("saturated", "vanished")
        m.d.comb += [
            rounded.eq(round_half_even(kept, guard, sticky)),
            exponent.eq(product_exponent + (large + rounded[24])),
            saturated.eq(saturates | (~vanishes & (exponent >= SATURATING_EXPONENT))),
            vanished.eq(vanishes | (~saturates & (exponent < -1))),
        ]

        # The mantissa with exponent 8 has its nine integer bits on top, then guard and sticky.
        significant = Cat(rounded[14:23], Const(1, 1))
        shift = (SATURATING_EXPONENT - 1 - exponent)[:4]
        shifted, lost = shift_right_sticky(m, significant, shift, "integer")
        integer = register(INTEGER_BITS, "integer")
        integer_guard = register(1, "integer_guard")
        integer_sticky = register(1, "integer_sticky")
        integer_negative = register(1, "integer_negative")
        with m.If(self.enable[4]):
            m.d.sync += [
                integer.eq(Mux(vanished, 0, shifted[1:] | saturated.replicate(INTEGER_BITS))),
                integer_guard.eq(shifted[0] & ~vanished & ~saturated),
                integer_sticky.eq(lost | rounded[:14].any()),
                integer_negative.eq(negative),
            ]

        carry = integer_guard & (integer_sticky | integer[0])
        placed = Signal(signed(INTEGER_BITS + 3))
        result = register(signed(8), "result_register")
        m.d.comb += [
            placed.eq(signed_sum(integer, carry, integer_negative, self.zero_point)),
            self.result.eq(result),
        ]
        with m.If(self.enable[self.CLAMP_STAGE]):
            m.d.sync += result.eq(clamp(placed, self.low, self.high))
