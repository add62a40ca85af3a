"""Stage 2 of the vector unit: two int8 operands, exactly as `numerics.add`, `numerics.multiply`.

One datapath serves both. Left and right are binary32 numbers:

    add       left = fl((q1 - z1) * r1)               right = fl((q2 - z2) * r2)
    multiply  left = fl((q1 - z1) * (q2 - z2) * r1)   right = zo

and the result is rint(fl(left + right)), plus zo after the rounding for add, clamped. Two
multipliers of 8 x 24 bits give both products of an add or the halves of one 16 x 24 product. The
adder needs no normalization of its result: where more than one leading bit cancels the sum is
exact, so its rounding knows three positions only, and an integer is what follows.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.product import product_register
from tilewright.hw.rtl.signals import loaded, register
from tilewright.hw.rtl.vector.rounding import (
    INTEGER_BITS,
    MANTISSA_BITS,
    clamp,
    clamp_at_once,
    cut_product,
    normalize,
    round_in_place,
    round_product,
    rounded_exponent,
    shift_right_sticky,
    signed_sum,
    unpack_scale,
)
from tilewright.hw.rtl.vector.stages import operand_stages
from tilewright.hw.spec.config import Config

SIDES = ("left", "right")
SCALE_LAYOUT = data.StructLayout({"negative": 1, "mantissa": MANTISSA_BITS, "exponent": signed(7)})
ZERO_EXPONENT = -128
"""The exponent of a zero operand: below that of every other number."""
NEAR_LEVELS = 2
"""Levels of the normalization's shift in its second stage, if it has two."""
LARGEST_SHIFT = MANTISSA_BITS + 3
"""Alignment from here on leaves only the sticky bit."""
INTEGER_POSITION = 32
"""Sums whose larger operand has a higher exponent are zero or saturate."""
VANISHING_EXPONENT = -3
"""Two operands of this exponent sum to at most 0.5, which rounds to 0."""


class OperandLane(wiring.Component):
    """One result a cycle, `stages.latency` cycles from the operands to the result.

    A value moves on by a stage in every cycle: nothing stalls the lane, a valid bit beside it says
    when a result is there. Operands are sampled by the stage that uses them.

    Members
    -------
    first, second, first_zero_point, second_zero_point : In(signed(8)), sampled by stage 0
    multiply : In(1), sampled by stage 0: 0 adds, 1 multiplies
    addend : In(signed(8)), sampled by stage 0; the zero point of a product
    first_scale : In(32), binary32, sampled by stage 0
    second_scale : In(32), binary32, sampled by stage stages.scale
    zero_point : In(signed(8)), sampled by stage stages.place; of a sum, 0 for a product
    low, high : In(signed(8)), sampled by stage stages.clamp
    result : Out(signed(8)), stages.latency cycles behind the operands
    """

    def __init__(self, *, config: Config):
        self._config = config
        self.stages = operand_stages(config)
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config: Config) -> dict[str, wiring.Member]:
        """Return the members."""
        return {
            "first": In(signed(8)),
            "second": In(signed(8)),
            "first_zero_point": In(signed(8)),
            "second_zero_point": In(signed(8)),
            "multiply": In(1),
            "addend": In(signed(8)),
            "first_scale": In(32),
            "second_scale": In(32),
            "zero_point": In(signed(8)),
            "low": In(signed(8)),
            "high": In(signed(8)),
            "result": Out(signed(8)),
        }

    def elaborate(self, platform):
        m = Module()
        self._multiply = [self.multiply]
        integers = self._subtract(m)
        normal = self._normalize(m, *integers)
        products = self._form_products(m, *normal)
        numbers = self._add_products(m, *products)
        ordered = self._order(m, *self._round_products(m, *numbers))
        aligned = self._align(m, *ordered)
        total = self._sum(m, *aligned)
        self._round_and_place(m, *total)
        return m

    def _multiplies(self, m, stage):
        """Whether the value in a stage is a product."""
        known = self._multiply
        while len(known) <= stage:
            known.append(register(1, f"multiply{len(known)}"))
            m.d.sync += known[-1].eq(known[-2])
        return known[stage]

    def _behind(self, m, **values):
        """With path registers the values a cycle later; else as they are."""
        return loaded(m, **values) if self._config.path_registers else values.values()

    def _subtract(self, m):
        """Zero points off; sign and magnitude of the left and the right integer."""
        parts = []
        for name in ("first", "second"):
            value, zero_point = getattr(self, name), getattr(self, f"{name}_zero_point")
            difference = Signal(signed(9), name=f"{name}_difference")
            magnitude = Signal(8, name=f"{name}_magnitude")
            # Both differences side by side: no carry of a negation behind that of the first.
            m.d.comb += [
                difference.eq(value - zero_point),
                magnitude.eq(Mux(difference[8], zero_point - value, difference)),
            ]
            parts.append((difference[8], magnitude))
        (first_negative, first), (second_negative, second) = parts

        multiply = self._multiplies(m, 0)
        left = register(16, "left")
        right = register(8, "right")
        signs = register(2, "signs")
        left_negative = first_negative ^ (multiply & second_negative)
        right_negative = Mux(multiply, self.addend[7], second_negative)
        right_value = Mux(multiply, abs(self.addend), second)
        sign_values = Cat(left_negative, right_negative)
        if self._config.path_registers:
            first, factor, right_value, sign_values = self._behind(
                m,
                first_factor=first,
                second_factor=Mux(multiply, second, 1 << 8),
                right_value=right_value,
                sign_values=sign_values,
            )
            left_value = first * factor
        else:
            left_value = Mux(multiply, first * second, first << 8)
        m.d.sync += [
            left.eq(left_value),
            right.eq(right_value),
            signs.eq(sign_values),
        ]
        return left, right, signs

    def _normalize(self, m, left, right, signs):
        """Leading ones to the top, exponents."""
        sides = []
        for value, name in ((left, "left"), (right, "right")):
            levels = range(len(value).bit_length() - 1)
            shifted, far = normalize(m, value, name, levels[NEAR_LEVELS:])
            shifted, far = self._behind(
                m, **{f"{name}_shifted": shifted, f"{name}_far_position": far}
            )
            shifted, near = normalize(m, shifted, name, levels[:NEAR_LEVELS])
            sides += [shifted, Cat(near, far)]
        left_shifted, left_position, right_shifted, right_position = sides
        (signs,) = self._behind(m, shifted_signs=signs)
        multiply = self._multiplies(m, self.stages.scale)
        left_normal = register(16, "left_normal")
        right_normal = register(8, "right_normal")
        left_exponent = register(4, "left_exponent")
        right_exponent = register(3, "right_exponent")
        normal_signs = register(2, "normal_signs")
        m.d.sync += [
            left_normal.eq(left_shifted),
            right_normal.eq(right_shifted),
            # An add's left integer was placed eight bits up.
            left_exponent.eq(Mux(multiply, left_position, left_position[:3])),
            right_exponent.eq(right_position),
            normal_signs.eq(signs),
        ]
        if self._config.path_registers:
            right_part = register(8, "right_part")
            m.d.sync += right_part.eq(Mux(multiply, left_shifted[:8], right_shifted))
        else:
            multiply = self._multiplies(m, self.stages.scale + 1)
            right_part = Mux(multiply, left_normal[:8], right_normal)
        return left_normal, right_normal, right_part, left_exponent, right_exponent, normal_signs

    def _form_products(self, m, left, right, right_part, left_position, right_position, signs):
        """Two products, exponents of both sides."""
        multiply = self._multiplies(m, self.stages.scale + 1)
        left_scale, right_scale = self._take_scales(m)
        addend = register(8, "addend_magnitude")
        exponents = [register(signed(8), f"{side}_product_exponent") for side in SIDES]
        product_signs = register(2, "product_signs")
        left_zero = ~left[15] | ~left_scale.mantissa[-1]
        right_zero = ~right[7] | ~(multiply | right_scale.mantissa[-1])
        right_exponent = right_scale.exponent + right_position
        m.d.sync += [
            addend.eq(right),
            exponents[0].eq(Mux(left_zero, ZERO_EXPONENT, left_scale.exponent + left_position)),
            exponents[1].eq(Mux(right_zero, ZERO_EXPONENT, right_exponent)),
            product_signs.eq(signs ^ Cat(left_scale.negative, right_scale.negative)),
        ]
        left_product = product_register(
            m, left_scale.mantissa, left[8:], "left_product", config=self._config
        )
        right_product = product_register(
            m, right_scale.mantissa, right_part, "right_product", config=self._config
        )
        addend, product_signs, *exponents = self._behind(
            m,
            sum_addend=addend,
            sum_of_products_signs=product_signs,
            left_sum_exponent=exponents[0],
            right_sum_exponent=exponents[1],
        )
        return left_product, right_product, addend, exponents, product_signs

    def _take_scales(self, m):
        """What the left and the right product take of the scales.

        An unusable scale's mantissa is 0. Both halves of a product take the first scale's, whose
        sign and exponent are the left one's alone. The first scale may be the value's own.
        """
        multiply = self._multiplies(m, self.stages.scale)
        first_scale = register(32, "first_scale_register")
        m.d.sync += first_scale.eq(self.first_scale)
        for stage in range(1, self.stages.scale):
            (first_scale,) = self._behind(m, **{f"first_scale{stage}": first_scale})
        usable, negative, mantissa, exponent = unpack_scale(first_scale)
        left = negative, Mux(usable, mantissa, 0), exponent
        usable, negative, mantissa, exponent = unpack_scale(self.second_scale)
        right = (
            negative & ~multiply,
            Mux(multiply, left[1], Mux(usable, mantissa, 0)),
            Mux(multiply, 0, exponent),
        )
        scales = []
        for side, values in zip(SIDES, (left, right), strict=True):
            scale = Signal(SCALE_LAYOUT, name=f"{side}_scale", reset_less=True)
            m.d.sync += scale.as_value().eq(Cat(*values))
            scales.append(scale)
        return scales

    def _add_products(self, m, left_product, right_product, addend, exponents, signs):
        """Both exact numbers, of a product the sum of its halves and the addend."""
        multiply = self._multiplies(m, self.stages.add)
        wide = register(40, "wide")
        narrow = register(32, "narrow")
        exact_exponents = [register(signed(8), f"{side}_exact_exponent") for side in SIDES]
        exact_signs = register(2, "exact_signs")
        m.d.sync += [
            wide.eq((left_product << 8) + Mux(multiply, right_product, 0)),
            narrow.eq(Mux(multiply, addend << 24, right_product)),
            exact_signs.eq(signs),
            *(behind.eq(each) for behind, each in zip(exact_exponents, exponents, strict=True)),
        ]
        return (wide, narrow), exact_exponents, exact_signs

    def _round_products(self, m, numbers, exponents, signs):
        """Both numbers rounded to 24 bits; the addend of a product is exact."""
        config, stage = self._config, self.stages.add + 1
        multiply, late = self._multiplies(m, stage + config.wire_registers), config.path_registers
        rounded_numbers = []
        for side, (name, exact) in enumerate(zip(SIDES, numbers, strict=True)):
            # The addend stands at the top with its exponent as given.
            large, is_exact = exact[-1], multiply if side == 1 else None
            exact_exponent, sign = exponents[side], signs[side]
            rounded = Signal(25, name=f"{name}_rounded")
            if config.wire_registers:
                kept, increment, large, exact_exponent, sign = cut_product(
                    m, name, exact, exponent=exact_exponent, sign=sign
                )
                m.d.comb += rounded.eq(kept + increment)
            else:
                m.d.comb += rounded.eq(round_product(exact))
            mantissa = register(24, f"{name}_mantissa")
            float_exponent = register(signed(8), f"{name}_float_exponent")
            float_sign = register(1, f"{name}_float_sign")
            exponent = rounded_exponent(exact_exponent, large, rounded[24], is_exact, is_late=late)
            m.d.sync += [
                mantissa.eq(Cat(rounded[:23], rounded[23] | rounded[24])),
                float_exponent.eq(exponent),
                float_sign.eq(sign),
            ]
            rounded_numbers.append((float_sign, float_exponent, mantissa))
        return rounded_numbers

    def _order(self, m, left, right):
        """The larger one first, and how far the smaller one is to be shifted."""
        left_sign, left_exponent, left_mantissa = left
        right_sign, right_exponent, right_mantissa = right
        swap = Signal()
        difference = Signal(signed(9))
        distance = Signal(9)
        shift = Signal(5)
        m.d.comb += [
            difference.eq(left_exponent - right_exponent),
            swap.eq(difference[8] | ((difference == 0) & (left_mantissa < right_mantissa))),
            distance.eq(abs(difference)),
            shift.eq(Mux(distance >= LARGEST_SHIFT, LARGEST_SHIFT, distance)),
        ]
        large = register(MANTISSA_BITS, "large")
        small = register(MANTISSA_BITS, "small")
        small_shift = register(5, "small_shift")
        exponent = register(signed(8), "large_exponent")
        signs = register(2, "ordered_signs")
        m.d.sync += [
            large.eq(Mux(swap, right_mantissa, left_mantissa)),
            small.eq(Mux(swap, left_mantissa, right_mantissa)),
            small_shift.eq(shift),
            exponent.eq(Mux(swap, right_exponent, left_exponent)),
            signs.eq(Cat(Mux(swap, right_sign, left_sign), left_sign ^ right_sign)),
        ]
        return large, small, small_shift, exponent, signs

    def _align(self, m, large, small, shift, exponent, signs):
        """The smaller one shifted to the exponent of the larger one."""
        shifted, lost = shift_right_sticky(m, Cat(Const(0, 2), small), shift, "align")
        augend = register(MANTISSA_BITS, "augend")
        aligned = register(MANTISSA_BITS + 3, "aligned")
        sum_exponent = register(signed(8), "sum_exponent")
        sum_signs = register(2, "sum_signs")
        m.d.sync += [
            augend.eq(large),
            aligned.eq(Cat(lost, shifted)),
            sum_exponent.eq(exponent),
            sum_signs.eq(signs),
        ]
        return augend, aligned, sum_exponent, *sum_signs

    def _sum(self, m, augend, aligned, exponent, sign, subtract):
        """The exact sum in units of 2^(exponent - 26)."""
        inverted = Cat(*(bit ^ subtract for bit in aligned), subtract)
        total = register(28, "total")
        shift = register(6, "integer_shift")
        vanishes = register(1, "total_vanishes")
        too_large = register(1, "total_too_large")
        total_sign = register(1, "total_sign")
        m.d.sync += [
            total.eq(Cat(Const(0, 3), augend) + inverted + subtract),
            shift.eq(INTEGER_POSITION - exponent),
            vanishes.eq(exponent <= VANISHING_EXPONENT),
            too_large.eq(exponent > INTEGER_POSITION),
            total_sign.eq(sign),
        ]
        return total, shift, vanishes, too_large, total_sign

    def _round_and_place(self, m, total, shift, vanishes, too_large, sign):
        """Rounded to 24 bits, to an integer; zero point of a sum, clamp."""
        # Nine bits and a guard bit below the point.
        rounded = round_in_place(m, total)
        width = 9 + len(rounded)
        rounded, shift, reached, vanishes, overflows, sign = self._behind(
            m,
            rounded_total=rounded,
            rounded_shift=shift,
            rounded_reached=(Const(-1, width) << shift)[:width],
            rounded_vanishes=vanishes,
            rounded_overflows=too_large & total.any(),
            rounded_sign=sign,
        )
        scaled = Cat(Const(0, 9), rounded)
        shifted = (scaled >> shift)[: 1 + INTEGER_BITS]
        # What the shift leaves out at either end is marked meanwhile: the sum comes late.
        lost = (scaled & ~reached).any()
        above = scaled[1 + INTEGER_BITS :] & reached
        overflows = overflows | above.any()
        saturated = (overflows & ~vanishes).replicate(INTEGER_BITS)
        integer = register(INTEGER_BITS, "integer")
        integer_carry = register(1, "integer_carry")
        integer_negative = register(1, "integer_negative")
        m.d.sync += [
            integer.eq(Mux(vanishes, 0, shifted[1 : 1 + INTEGER_BITS]) | saturated),
            integer_carry.eq(
                ~overflows & ~vanishes & shifted[0] & (lost | shifted[1]),
            ),
            integer_negative.eq(sign),
        ]

        placed = Signal(signed(INTEGER_BITS + 3))
        result = register(signed(8), "result_register")
        m.d.comb += [
            placed.eq(signed_sum(integer, integer_carry, integer_negative, self.zero_point)),
            self.result.eq(result),
        ]
        (placed,) = self._behind(m, placed_integer=placed)
        limit = clamp_at_once if self._config.path_registers else clamp
        m.d.sync += result.eq(limit(placed, self.low, self.high))
