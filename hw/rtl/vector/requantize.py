"""Stage 1 of the vector unit: int32 accumulator to int8, exactly as `numerics.requantize`.

The binary32 roundings are reproduced by integers: |accumulator + bias| is rounded to 24
significant bits (the conversion to binary32), multiplied exactly by the scale's 24-bit mantissa,
rounded to 24 bits (the product's rounding), then to an integer. From 2^9 on the result saturates,
so only the exponents -1..8 need a shift. The rounded product itself leaves as well, for a stage 2
that takes it unrounded.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import bits
from tilewright.hw.rtl.signals import register
from tilewright.hw.rtl.vector.rounding import (
    EXPONENT_BIAS,
    INTEGER_BITS,
    MANTISSA_BITS,
    clamp,
    normalize,
    round_half_even,
    shift_right_sticky,
    signed_sum,
    times,
    unpack_scale,
)
from tilewright.hw.spec.config import Config

PART_BITS = (7, 9, 8)
"""Bits of the scale's mantissa that each stage of the product multiplies by: together all.

The first stage has the least time, since it also chooses what rounding adds.
"""
PRODUCT_BITS = MANTISSA_BITS + 2
"""Of the exact product: what rounding looks at, besides whether any bit below is set."""
SATURATING_EXPONENT = INTEGER_BITS
ZERO_EXPONENT = -EXPONENT_BIAS
"""The exponent of a product that is zero: as binary32 it, and two more, are of no usable scale."""
VANISHING_EXPONENT = -3
"""A product with this exponent is at most 0.5, which rounds to 0, even if both roundings carry."""


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
    lowest_parts : In(2 * PART_BITS[0]), sampled with enable[BANK_STAGE]; the lowest bits of scales
    scales : In(2 * 32), binary32 of bank 0 and 1, sampled with enable[SCALE_STAGE]
    zero_point, low, high : In(signed(8)), sampled with enable[CLAMP_STAGE]
    keep_product : In(1), sampled with enable[PRODUCT_STAGE]
    result : Out(signed(8)), valid in the cycle after enable[LATENCY - 1], held until the next
    product : Out(32), with the result: binary32, before rounding, of the last value with
        keep_product; a zero is some number below all usable scales
    """

    BANK_STAGE = 1
    SCALE_STAGE = 2
    PRODUCT_STAGE = 6
    CLAMP_STAGE = 7
    LATENCY = 8

    enable: In(LATENCY)
    accumulator: In(signed(32))
    bias: In(signed(32))
    bank: In(1)
    by_sign: In(1)
    lowest_parts: In(2 * PART_BITS[0])
    scales: In(2 * 32)
    zero_point: In(signed(8))
    low: In(signed(8))
    high: In(signed(8))
    keep_product: In(1)
    result: Out(signed(8))
    product: Out(32)

    def __init__(self, *, config: Config):
        self._multiplier_bits = config.multiplier_bits
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        scale, lowest_part, *converted = self._convert_to_float(m)
        product = self._multiply(m, scale, lowest_part, *converted)
        rounded, exponent, flags = self._round(m, *product)
        self._keep(m, rounded, exponent, flags[0])
        self._place(m, rounded, exponent, flags)
        return m

    def _convert_to_float(self, m):
        """Stages 0 and 1: magnitude of the sum, normalized; whether its 24 bits round up."""
        total = Signal(signed(32))
        m.d.comb += total.eq(self.accumulator + self.bias)
        negative = register(1, "negative")
        magnitude = register(32, "magnitude")
        with m.If(self.enable[0]):
            m.d.sync += [negative.eq(total[31]), magnitude.eq(abs(total))]

        normal, position = normalize(m, magnitude, "normalize")
        chosen = Signal()
        scale_bank = register(1, "scale_bank")
        lowest_part = register(PART_BITS[0], "lowest_part")
        nonzero = register(1, "nonzero")
        fraction = register(MANTISSA_BITS - 1, "fraction")
        increment = register(1, "increment")
        exponent = register(5, "exponent")
        float_negative = register(1, "float_negative")
        m.d.comb += chosen.eq(self.bank ^ (self.by_sign & negative))
        with m.If(self.enable[self.BANK_STAGE]):
            m.d.sync += [
                scale_bank.eq(chosen),
                lowest_part.eq(self.lowest_parts.word_select(chosen, PART_BITS[0])),
                nonzero.eq(normal[31]),
                fraction.eq(normal[8:31]),
                increment.eq(normal[7] & (normal[:7].any() | normal[8])),
                exponent.eq(position),
                float_negative.eq(negative),
            ]
        scale = Mux(scale_bank, self.scales[32:], self.scales[:32])
        return scale, lowest_part, Cat(fraction, nonzero), increment, exponent, float_negative

    def _multiply(self, m, scale, lowest_part, factor, increment, exponent, negative):
        """Stages 2 to 4: the exact product of the rounded sum, some bits of the scale a stage.

        The lowest ones stand in a register: the choice of a scale is not in front of the product.
        Rounding up adds the scale once.
        """
        usable, scale_negative, mantissa, scale_exponent = unpack_scale(scale)
        product_exponent = Signal(signed(8))
        zero = ~factor[-1] | ~usable
        m.d.comb += product_exponent.eq(Mux(zero, ZERO_EXPONENT, exponent + scale_exponent))
        order = Cat(product_exponent, negative ^ scale_negative)
        carried, sticky = Mux(increment, mantissa, 0), Const(0, 1)
        for stage, part_bits in enumerate(PART_BITS):
            product = Signal(MANTISSA_BITS + part_bits, name=f"sum{stage}")
            part = lowest_part if stage == 0 else mantissa[:part_bits]
            m.d.comb += product.eq(times(factor, part, self._multiplier_bits) + carried)
            lost = product[:part_bits] if stage < len(PART_BITS) - 1 else product[:-PRODUCT_BITS]
            moving = {
                "factor": factor,
                "mantissa": mantissa[part_bits:],
                "carried": product[len(lost) :],
                "sticky": sticky | lost.any(),
                "order": order,
            }
            factor, mantissa, carried, sticky, order = behind = [
                register(len(value), f"{name}{stage + 1}") for name, value in moving.items()
            ]
            with m.If(self.enable[self.SCALE_STAGE + stage]):
                m.d.sync += [
                    place.eq(value) for place, value in zip(behind, moving.values(), strict=True)
                ]
        return carried, sticky, order[:-1].as_signed(), order[-1]

    def _round(self, m, product_top, product_sticky, product_exponent, negative):
        """Stage 5: the product rounded to 24 bits; whether its integer is beyond or below all."""
        large = product_top[25]
        kept = Mux(large, product_top[2:], product_top[1:25])
        guard = Mux(large, product_top[1], product_top[0])
        sticky = product_sticky | (large & product_top[0])
        rounded = register(MANTISSA_BITS + 1, "rounded")
        large_exponent = register(signed(8), "large_exponent")
        flags = register(3, "rounded_flags")
        with m.If(self.enable[self.CLAMP_STAGE - 2]):
            m.d.sync += [
                rounded.eq(round_half_even(kept, guard, sticky)),
                large_exponent.eq(product_exponent + large),
                flags.eq(
                    Cat(
                        negative,
                        product_exponent >= SATURATING_EXPONENT,
                        product_exponent <= VANISHING_EXPONENT,
                    )
                ),
            ]
        return rounded, large_exponent, flags

    def _keep(self, m, rounded, large_exponent, negative):
        """Stages 6 and 7: the product as binary32."""
        field = Signal(8)
        kept, product = register(32, "kept_product"), register(32, "product_register")
        m.d.comb += [
            field.eq(large_exponent + rounded[MANTISSA_BITS] + EXPONENT_BIAS),
            self.product.eq(product),
        ]
        with m.If(self.enable[self.PRODUCT_STAGE] & self.keep_product):
            m.d.sync += kept.eq(Cat(rounded[: MANTISSA_BITS - 1], field, negative))
        with m.If(self.enable[self.CLAMP_STAGE]):
            m.d.sync += product.eq(kept)

    def _place(self, m, rounded, large_exponent, flags):
        """Stages 6 and 7: rounding to an integer, zero point and clamp."""
        negative, saturates, vanishes = flags
        exponent = Signal(signed(6))
        saturated, vanished = bits("saturated", "vanished")
        m.d.comb += [
            exponent.eq(large_exponent[:6].as_signed() + rounded[MANTISSA_BITS]),
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
        with m.If(self.enable[self.CLAMP_STAGE - 1]):
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
