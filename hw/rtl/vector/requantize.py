"""Stage 1 of the vector unit: int32 accumulator to int8, exactly as `numerics.requantize`.

The binary32 roundings are reproduced by integers: |accumulator + bias| is rounded to 24
significant bits (the conversion to binary32), multiplied exactly by the scale's 24-bit mantissa,
rounded to 24 bits (the product's rounding), then to an integer. From 2^9 on the result saturates,
so only the exponents -1..8 need a shift. The rounded product itself leaves as well, for a stage 2
that takes it unrounded.
"""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import bits
from tilewright.hw.rtl.product import (
    Addends,
    partial_products,
    recode,
    sum_shifted,
    times,
)
from tilewright.hw.rtl.signals import loaded, register
from tilewright.hw.rtl.vector.rounding import (
    EXPONENT_BIAS,
    INTEGER_BITS,
    MANTISSA_BITS,
    clamp,
    clamp_at_once,
    normalize,
    round_half_even,
    shift_right_sticky,
    signed_sum,
    unpack_scale,
)
from tilewright.hw.rtl.vector.stages import requantize_stages
from tilewright.hw.spec.config import Config

PART_BITS = (7, 9, 8)
"""Bits of the scale's mantissa that each stage of the product multiplies by: together all.

The first stage has the least time, since it also chooses what rounding adds.
"""
RECODED_PART_BITS = (10, 10, 4)
"""The same of recoded digits, an even number each.

The last stage has the least time: there carries run through the whole sum.
"""
NEAR_LEVELS = 3
"""Levels of the normalization's shift in its second stage, if it has two."""
PRODUCT_BITS = MANTISSA_BITS + 2
"""Of the exact product: what rounding looks at, besides whether any bit below is set."""
SATURATING_EXPONENT = INTEGER_BITS
ZERO_EXPONENT = -EXPONENT_BIAS
"""The exponent of a product that is zero: as binary32 it, and two more, are of no usable scale."""
VANISHING_EXPONENT = -3
"""A product with this exponent is at most 0.5, which rounds to 0, even if both roundings carry."""


def lowest_part_bits(config: Config) -> int:
    """Return the bits of the scale's mantissa that the first stage of the product multiplies by."""
    return (RECODED_PART_BITS if config.recodes else PART_BITS)[0]


class RequantizeLane(wiring.Component):
    """One result a cycle, `stages.latency` cycles from the accumulator to the result.

    Stage k loads its registers at the end of a cycle in which enable[k] is 1; a value that enters
    with enable[0] in cycle t moves on with enable[k] in cycle t + k. A stage that is not enabled
    toggles nothing. Operands are sampled by the stage that uses them, so that they need no
    pipeline of their own in every lane.

    Members
    -------
    enable : In(stages.latency)
    accumulator, bias : In(signed(32)), sampled with enable[0]; their sum wraps
    bank, by_sign : In(1), sampled with enable[stages.bank]; which of the scales the value takes;
        with by_sign a negative sum takes the other one
    lowest_parts : In(2 * lowest_part_bits), sampled with enable[stages.bank]; the lowest bits of
        scales
    scales : In(2 * 32), binary32 of bank 0 and 1, sampled with enable[stages.scale]
    zero_point : In(signed(8)), sampled with enable[stages.place]
    low, high : In(signed(8)), sampled with enable[stages.clamp]
    keep_product : In(1), sampled with enable[stages.integer]
    result : Out(signed(8)), valid in the cycle after the last enable, held until the next
    product : Out(32), with the result: binary32, before rounding, of the last value with
        keep_product; a zero is some number below all usable scales
    """

    def __init__(self, *, config: Config):
        self._config = config
        self.stages = requantize_stages(config)
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config: Config) -> dict[str, wiring.Member]:
        """Return the members."""
        return {
            "enable": In(requantize_stages(config).latency),
            "accumulator": In(signed(32)),
            "bias": In(signed(32)),
            "bank": In(1),
            "by_sign": In(1),
            "lowest_parts": In(2 * lowest_part_bits(config)),
            "scales": In(2 * 32),
            "zero_point": In(signed(8)),
            "low": In(signed(8)),
            "high": In(signed(8)),
            "keep_product": In(1),
            "result": Out(signed(8)),
            "product": Out(32),
        }

    def elaborate(self, platform):
        m = Module()
        converted = self._convert_to_float(m)
        if self._config.path_registers:
            multiply = self._multiply_apart
        else:
            multiply = self._multiply_recoded if self._config.recodes else self._multiply
        rounded, exponent, flags = self._round(m, *multiply(m, *converted))
        self._place(m, *self._find_exponent(m, rounded, exponent, flags))
        return m

    def _load(self, m, stage, **values):
        """Registers that `stage` loads with the values."""
        with m.If(self.enable[stage]):
            return loaded(m, **values)

    def _behind(self, m, stage, **values):
        """With path registers the values a stage later, which `stage` loads; else as they are."""
        return self._load(m, stage, **values) if self._config.path_registers else values.values()

    def _convert_to_float(self, m):
        """Magnitude of the sum, normalized; whether its 24 bits round up; the chosen scale."""
        total = Signal(signed(32))
        m.d.comb += total.eq(self.accumulator + self.bias)
        negative = register(1, "negative")
        magnitude = register(32, "magnitude")
        with m.If(self.enable[0]):
            m.d.sync += [negative.eq(total[31]), magnitude.eq(abs(total))]

        chosen = Signal()
        scale_bank = register(1, "scale_bank")
        lowest = self.lowest_parts.word_select(chosen, len(self.lowest_parts) // 2)
        if self._config.recodes:
            lowest = recode(lowest)
        lowest_part = register(len(lowest), "lowest_part")
        m.d.comb += chosen.eq(self.bank ^ (self.by_sign & negative))
        with m.If(self.enable[self.stages.bank]):
            m.d.sync += [
                scale_bank.eq(chosen),
                lowest_part.eq(lowest),
            ]
        scale = Mux(scale_bank, self.scales[32:], self.scales[:32])
        (scale,) = self._behind(m, self.stages.scale, chosen_scale=scale)
        return scale, lowest_part, *self._normalize(m, magnitude, negative)

    def _normalize(self, m, magnitude, negative):
        """Factor, increment, exponent and sign of the sum."""
        levels = range(len(magnitude).bit_length() - 1)
        near, far = levels[:NEAR_LEVELS], levels[NEAR_LEVELS:]
        shifted, far_position = normalize(m, magnitude, "normalize", far)
        shifted, far_position, negative = self._behind(
            m, self.stages.bank, shifted=shifted, far_position=far_position, shifted_sign=negative
        )
        normal, near_position = normalize(m, shifted, "normalize", near)
        nonzero = register(1, "nonzero")
        fraction = register(MANTISSA_BITS - 1, "fraction")
        increment = register(1, "increment")
        exponent = register(5, "exponent")
        float_negative = register(1, "float_negative")
        with m.If(self.enable[self.stages.multiply - 1]):
            m.d.sync += [
                nonzero.eq(normal[31]),
                fraction.eq(normal[8:31]),
                increment.eq(normal[7] & (normal[:7].any() | normal[8])),
                exponent.eq(Cat(near_position, far_position)),
                float_negative.eq(negative),
            ]
        return Cat(fraction, nonzero), increment, exponent, float_negative

    def _multiply(self, m, scale, lowest_part, factor, increment, exponent, negative):
        """The exact product of the rounded sum, some bits of the scale a stage.

        The lowest ones stand in a register: the choice of a scale is not in front of the product.
        Rounding up adds the scale once.
        """
        mantissa, order = self._unpack(m, scale, factor, exponent, negative)
        carried, sticky = Mux(increment, mantissa, 0), Const(0, 1)
        for stage, part_bits in enumerate(PART_BITS):
            product = Signal(MANTISSA_BITS + part_bits, name=f"sum{stage}")
            part = lowest_part if stage == 0 else mantissa[:part_bits]
            m.d.comb += product.eq(times(factor, part, self._config.multiplier_bits) + carried)
            lost = product[:part_bits] if stage < len(PART_BITS) - 1 else product[:-PRODUCT_BITS]
            moving = {
                "factor": factor,
                "mantissa": mantissa[part_bits:],
                "carried": product[len(lost) :],
                "sticky": sticky | lost.any(),
                "order": order,
            }
            factor, mantissa, carried, sticky, order = self._load(
                m,
                self.stages.multiply + stage,
                **{f"{name}{stage + 1}": value for name, value in moving.items()},
            )
        return carried, sticky, order[:-1].as_signed(), order[-1]

    def _multiply_recoded(self, m, scale, digits, factor, increment, exponent, negative):
        """The same by digits, which stand in registers.

        A sum may be below zero: until the last it is kept too large by its highest bit. It leaves
        in two words, so that no carry runs through all of it. The leading one is no digit's.
        """
        mantissa, order = self._unpack(m, scale, factor, exponent, negative)
        carried, sticky, excess = [Mux(increment, mantissa, 0)], Const(0, 1), 0
        rest = Cat(mantissa[RECODED_PART_BITS[0] - 1 : -1], Const(0, 1))
        for stage, (part_bits, next_bits) in enumerate(itertools.pairwise(RECODED_PART_BITS)):
            width = MANTISSA_BITS + part_bits + 1
            addends = Addends(m, f"sum{stage}", width)
            addends.multiply(Cat(factor, Const(0, 1)), digits)
            kept_excess, place = 1 << width - 1, width // 2
            other_excess = Const(kept_excess - excess - addends.excess, width)
            low, high = addends.split_total(place, *carried, other_excess)
            moving = {
                "factor": factor,
                "low": low[part_bits:],
                "high": high,
                "sticky": sticky | low[:part_bits].any(),
                "order": order,
                "digits": recode(rest[1 : 1 + next_bits], rest[0]),
                "rest": rest[next_bits:],
            }
            factor, low, high, sticky, order, digits, rest = self._load(
                m,
                self.stages.multiply + stage,
                **{f"{name}{stage + 1}": value for name, value in moving.items()},
            )
            carried, excess = [low, high << place - part_bits], kept_excess >> part_bits
        addends = Addends(m, "sum", MANTISSA_BITS + RECODED_PART_BITS[-1])
        addends.multiply(Cat(factor, Const(0, 1)), digits)
        leading = factor << RECODED_PART_BITS[-1] - 1
        product = addends.total(*carried, leading, Const(-excess - addends.excess))
        top, sticky, order = self._load(
            m,
            self.stages.round - 1,
            top=product[-PRODUCT_BITS:],
            product_sticky=sticky | product[:-PRODUCT_BITS].any(),
            product_order=order,
        )
        return top, sticky, order[:-1].as_signed(), order[-1]

    def _multiply_apart(self, m, scale, lowest_part, factor, increment, exponent, negative):
        """The same with registers behind the multipliers: each stage adds the products before."""
        mantissa, order = self._unpack(m, scale, factor, exponent, negative)
        first, sticky = self.stages.multiply, Const(0, 1)
        carried, order = self._load(m, first, carried0=Mux(increment, mantissa, 0), order0=order)
        for stage, part_bits in enumerate(PART_BITS):
            parts, positions = zip(
                *partial_products(factor, mantissa[:part_bits], self._config.multiplier_bits),
                strict=True,
            )
            names = [f"product{stage}_{position}" for position in positions]
            parts = self._load(m, first + stage, **dict(zip(names, parts, strict=True)))
            factor, mantissa = self._load(
                m,
                first + stage,
                **{f"factor{stage + 1}": factor, f"mantissa{stage + 1}": mantissa[part_bits:]},
            )
            product = Signal(MANTISSA_BITS + part_bits, name=f"sum{stage}")
            m.d.comb += product.eq(sum_shifted(zip(parts, positions, strict=True)) + carried)
            lost = product[:part_bits] if stage < len(PART_BITS) - 1 else product[:-PRODUCT_BITS]
            carried, sticky, order = self._load(
                m,
                first + stage + 1,
                **{
                    f"carried{stage + 1}": product[len(lost) :],
                    f"sticky{stage + 1}": sticky | lost.any(),
                    f"order{stage + 1}": order,
                },
            )
        return carried, sticky, order[:-1].as_signed(), order[-1]

    def _unpack(self, m, scale, factor, exponent, negative):
        """The scale's mantissa, and the product's exponent and sign."""
        usable, scale_negative, mantissa, scale_exponent = unpack_scale(scale)
        product_exponent = Signal(signed(8))
        zero = ~factor[-1] | ~usable
        m.d.comb += product_exponent.eq(Mux(zero, ZERO_EXPONENT, exponent + scale_exponent))
        return mantissa, Cat(product_exponent, negative ^ scale_negative)

    def _round(self, m, product_top, product_sticky, product_exponent, negative):
        """The product rounded to 24 bits; whether its integer is beyond or below all."""
        large = product_top[25]
        kept = Mux(large, product_top[2:], product_top[1:25])
        guard = Mux(large, product_top[1], product_top[0])
        sticky = product_sticky | (large & product_top[0])
        rounded = register(MANTISSA_BITS + 1, "rounded")
        large_exponent = register(signed(8), "large_exponent")
        flags = register(3, "rounded_flags")
        with m.If(self.enable[self.stages.round]):
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

    def _find_exponent(self, m, rounded, large_exponent, flags):
        """Where the product's integer lies; the product as binary32, which `_keep` keeps."""
        negative, saturates, vanishes = flags
        exponent = Signal(signed(6))
        saturated, vanished = bits("saturated", "vanished")
        field = Signal(8)
        m.d.comb += [
            exponent.eq(large_exponent[:6].as_signed() + rounded[MANTISSA_BITS]),
            saturated.eq(saturates | (~vanishes & (exponent >= SATURATING_EXPONENT))),
            vanished.eq(vanishes | (~saturates & (exponent < -1))),
            field.eq(large_exponent + rounded[MANTISSA_BITS] + EXPONENT_BIAS),
        ]
        shift = (SATURATING_EXPONENT - 1 - exponent)[:4]
        fraction, field, shift, saturated, vanished, negative = self._behind(
            m,
            self.stages.integer - 1,
            product_fraction=rounded[: MANTISSA_BITS - 1],
            product_field=field,
            product_shift=shift,
            product_saturated=saturated,
            product_vanished=vanished,
            product_negative=negative,
        )
        self._keep(m, Cat(fraction, field, negative))
        return fraction, shift, saturated, vanished, negative

    def _keep(self, m, new):
        """The product as binary32 until the result is there."""
        kept, product = register(32, "kept_product"), register(32, "product_register")
        with m.If(self.enable[self.stages.integer] & self.keep_product):
            m.d.sync += kept.eq(new)
        (kept,) = self._behind(m, self.stages.place, placed_product=kept)
        with m.If(self.enable[self.stages.clamp]):
            m.d.sync += product.eq(kept)
        m.d.comb += self.product.eq(product)

    def _place(self, m, fraction, shift, saturated, vanished, negative):
        """Rounding to an integer, zero point and clamp."""
        # The mantissa with exponent 8 has its nine integer bits on top, then guard and sticky.
        significant = Cat(fraction[14:23], Const(1, 1))
        shifted, lost = shift_right_sticky(m, significant, shift, "integer")
        integer = register(INTEGER_BITS, "integer")
        integer_guard = register(1, "integer_guard")
        integer_sticky = register(1, "integer_sticky")
        integer_negative = register(1, "integer_negative")
        with m.If(self.enable[self.stages.integer]):
            m.d.sync += [
                integer.eq(Mux(vanished, 0, shifted[1:] | saturated.replicate(INTEGER_BITS))),
                integer_guard.eq(shifted[0] & ~vanished & ~saturated),
                integer_sticky.eq(lost | fraction[:14].any()),
                integer_negative.eq(negative),
            ]

        carry = integer_guard & (integer_sticky | integer[0])
        placed = Signal(signed(INTEGER_BITS + 3))
        result = register(signed(8), "result_register")
        m.d.comb += [
            placed.eq(signed_sum(integer, carry, integer_negative, self.zero_point)),
            self.result.eq(result),
        ]
        (placed,) = self._behind(m, self.stages.place, placed_integer=placed)
        limit = clamp_at_once if self._config.path_registers else clamp
        with m.If(self.enable[self.stages.clamp]):
            m.d.sync += result.eq(limit(placed, self.low, self.high))
