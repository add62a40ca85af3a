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
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.signals import register
from tilewright.hw.rtl.vector.rounding import (
    INTEGER_BITS,
    MANTISSA_BITS,
    clamp,
    normalize,
    round_half_even,
    shift_right_sticky,
    signed_sum,
    unpack_scale,
)

ZERO_EXPONENT = -128
"""The exponent of a zero operand: below that of every other number."""
LARGEST_SHIFT = MANTISSA_BITS + 3
"""Alignment from here on leaves only the sticky bit."""
INTEGER_POSITION = 32
"""Sums whose larger operand has a higher exponent are zero or saturate."""
VANISHING_EXPONENT = -3
"""Two operands of this exponent sum to at most 0.5, which rounds to 0."""


class OperandLane(wiring.Component):
    """One result a cycle, LATENCY cycles from the operands to the result.

    Stage k loads its registers at the end of a cycle in which enable[k] is 1; a stage that is not
    enabled toggles nothing. Operands are sampled by the stage that uses them.

    Members
    -------
    enable : In(LATENCY)
    first, second, first_zero_point, second_zero_point : In(signed(8)), sampled with enable[0]
    multiply : In(1), sampled with enable[0]: 0 adds, 1 multiplies
    addend : In(signed(8)), sampled with enable[0]; the zero point of a product
    first_scale, second_scale : In(32), binary32, sampled with enable[SCALE_STAGE]
    zero_point : In(signed(8)), sampled with enable[CLAMP_STAGE]; of a sum, 0 for a product
    low, high : In(signed(8)), sampled with enable[CLAMP_STAGE]
    result : Out(signed(8)), valid in the cycle after enable[LATENCY - 1], held until the next
    """

    SCALE_STAGE = 2
    CLAMP_STAGE = 7
    LATENCY = 8

    enable: In(LATENCY)
    first: In(signed(8))
    second: In(signed(8))
    first_zero_point: In(signed(8))
    second_zero_point: In(signed(8))
    multiply: In(1)
    addend: In(signed(8))
    first_scale: In(32)
    second_scale: In(32)
    zero_point: In(signed(8))
    low: In(signed(8))
    high: In(signed(8))
    result: Out(signed(8))

    def elaborate(self, platform):
        m = Module()
        multiply = self.multiply
        self._multiply_at = [multiply]
        for stage in range(3):
            behind = register(1, f"multiply{stage + 1}")
            with m.If(self.enable[stage]):
                m.d.sync += behind.eq(multiply)
            self._multiply_at.append(behind)
            multiply = behind
        integers = self._subtract(m)
        normal = self._normalize(m, *integers)
        products = self._multiply(m, *normal)
        left, right = self._round_products(m, *products)
        aligned = self._align(m, left, right)
        total = self._sum(m, *aligned)
        self._round_and_place(m, *total)
        return m

    def _subtract(self, m):
        """Stage 0: zero points off; sign and magnitude of the left and the right integer."""
        parts = []
        for name in ("first", "second"):
            difference = Signal(signed(9), name=f"{name}_difference")
            magnitude = Signal(8, name=f"{name}_magnitude")
            m.d.comb += [
                difference.eq(getattr(self, name) - getattr(self, f"{name}_zero_point")),
                magnitude.eq(abs(difference)),
            ]
            parts.append((difference[8], magnitude))
        (first_negative, first), (second_negative, second) = parts

        multiply = self._multiply_at[0]
        left = register(16, "left")
        right = register(8, "right")
        signs = register(2, "signs")
        left_negative = first_negative ^ (multiply & second_negative)
        right_negative = Mux(multiply, self.addend[7], second_negative)
        with m.If(self.enable[0]):
            m.d.sync += [
                left.eq(Mux(multiply, first * second, first << 8)),
                right.eq(Mux(multiply, abs(self.addend), second)),
                signs.eq(Cat(left_negative, right_negative)),
            ]
        return left, right, signs

    def _normalize(self, m, left, right, signs):
        """Stage 1: leading ones to the top, exponents."""
        left_shifted, left_position = normalize(m, left, "left")
        right_shifted, right_position = normalize(m, right, "right")
        left_normal = register(16, "left_normal")
        right_normal = register(8, "right_normal")
        left_exponent = register(4, "left_exponent")
        right_exponent = register(3, "right_exponent")
        normal_signs = register(2, "normal_signs")
        with m.If(self.enable[1]):
            m.d.sync += [
                left_normal.eq(left_shifted),
                right_normal.eq(right_shifted),
                # An add's left integer was placed eight bits up.
                left_exponent.eq(Mux(self._multiply_at[1], left_position, left_position[:3])),
                right_exponent.eq(right_position),
                normal_signs.eq(signs),
            ]
        return left_normal, right_normal, left_exponent, right_exponent, normal_signs

    def _multiply(self, m, left, right, left_position, right_position, signs):
        """Stage 2: two products, exponents of both sides."""
        multiply = self._multiply_at[self.SCALE_STAGE]
        left_usable, left_sign, left_mantissa, left_scale = unpack_scale(self.first_scale)
        right_usable, right_sign, right_mantissa, right_scale = unpack_scale(self.second_scale)
        left_product = register(32, "left_product")
        right_product = register(32, "right_product")
        addend = register(8, "addend_magnitude")
        exponents = [register(signed(8), f"{side}_product_exponent") for side in ("left", "right")]
        product_signs = register(2, "product_signs")
        left_zero = ~left[15] | ~left_usable
        right_zero = ~right[7] | ~(multiply | right_usable)
        right_factor = Mux(multiply, left_mantissa, right_mantissa)
        right_exponent = Mux(multiply, 0, right_scale) + right_position
        right_part = Mux(multiply, left[:8], right)
        product_usable = Mux(multiply, left_usable, right_usable)
        with m.If(self.enable[2]):
            m.d.sync += [
                left_product.eq(Mux(left_usable, left[8:], 0) * left_mantissa),
                right_product.eq(Mux(product_usable, right_part, 0) * right_factor),
                addend.eq(right),
                exponents[0].eq(Mux(left_zero, ZERO_EXPONENT, left_scale + left_position)),
                exponents[1].eq(Mux(right_zero, ZERO_EXPONENT, right_exponent)),
                product_signs.eq(signs ^ Cat(left_sign, right_sign & ~multiply)),
            ]
        return left_product, right_product, addend, exponents, product_signs

    def _round_products(self, m, left_product, right_product, addend, exponents, signs):
        """Stage 3: both numbers rounded to 24 bits; the addend of a product is exact."""
        multiply = self._multiply_at[3]
        wide = Signal(40)
        narrow = Signal(32)
        m.d.comb += [
            wide.eq((left_product << 8) + Mux(multiply, right_product, 0)),
            narrow.eq(Mux(multiply, addend << 24, right_product)),
        ]
        numbers = []
        for side, name, exact in ((0, "left", wide), (1, "right", narrow)):
            # Both positions of the leading one are rounded: the top bit comes late.
            large = exact[-1]
            fits = round_half_even(exact[-25:-1], exact[-26], exact[:-26].any())
            spills = round_half_even(exact[-24:], exact[-25], exact[:-25].any())
            rounded = Signal(25, name=f"{name}_rounded")
            m.d.comb += rounded.eq(Mux(large, spills, fits))
            # The addend stands at the top bit with its exponent as given.
            carry = (large + rounded[24]) if side == 0 else Mux(multiply, 0, large + rounded[24])
            mantissa = register(24, f"{name}_mantissa")
            float_exponent = register(signed(8), f"{name}_float_exponent")
            float_sign = register(1, f"{name}_float_sign")
            with m.If(self.enable[3]):
                m.d.sync += [
                    mantissa.eq(Cat(rounded[:23], rounded[23] | rounded[24])),
                    float_exponent.eq(exponents[side] + carry),
                    float_sign.eq(signs[side]),
                ]
            numbers.append((float_sign, float_exponent, mantissa))
        return numbers

    def _align(self, m, left, right):
        """Stage 4: the larger one first, the smaller one shifted to its exponent."""
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
        small = Mux(swap, left_mantissa, right_mantissa)
        shifted, lost = shift_right_sticky(m, Cat(Const(0, 2), small), shift, "align")
        augend = register(24, "augend")
        aligned = register(27, "aligned")
        exponent = register(signed(8), "large_exponent")
        sign = register(1, "large_sign")
        subtract = register(1, "subtract")
        with m.If(self.enable[4]):
            m.d.sync += [
                augend.eq(Mux(swap, right_mantissa, left_mantissa)),
                aligned.eq(Cat(lost, shifted)),
                exponent.eq(Mux(swap, right_exponent, left_exponent)),
                sign.eq(Mux(swap, right_sign, left_sign)),
                subtract.eq(left_sign ^ right_sign),
            ]
        return augend, aligned, exponent, sign, subtract

    def _sum(self, m, augend, aligned, exponent, sign, subtract):
        """Stage 5: the exact sum in units of 2^(exponent - 26)."""
        inverted = Cat(*(bit ^ subtract for bit in aligned), subtract)
        total = register(28, "total")
        shift = register(6, "integer_shift")
        vanishes = register(1, "total_vanishes")
        too_large = register(1, "total_too_large")
        total_sign = register(1, "total_sign")
        with m.If(self.enable[5]):
            m.d.sync += [
                total.eq(Cat(Const(0, 3), augend) + inverted + subtract),
                shift.eq(INTEGER_POSITION - exponent),
                vanishes.eq(exponent <= VANISHING_EXPONENT),
                too_large.eq(exponent > INTEGER_POSITION),
                total_sign.eq(sign),
            ]
        return total, shift, vanishes, too_large, total_sign

    def _round_in_place(self, m, total):
        """The sum rounded to 24 bits, in units of 2^(exponent - 24)."""
        carried, full = total[27], total[26]
        keep_guard = ~carried & ~full
        guard = Mux(carried, total[3], Mux(full, total[2], total[1]))
        sticky = total[0] | (~keep_guard & total[1]) | (carried & total[2])
        lowest = Mux(carried, total[4], Mux(full, total[3], total[2]))
        increment = guard & (sticky | lowest)
        addend = Cat(increment & keep_guard, increment & full & ~carried, increment & carried)
        kept = Cat(total[2] & keep_guard, total[3] & ~carried, total[4:])
        rounded = Signal(27)
        m.d.comb += rounded.eq(kept + addend)
        return rounded

    def _round_and_place(self, m, total, shift, vanishes, too_large, sign):
        """Stages 6 and 7: rounded to 24 bits, to an integer; zero point of a sum, clamp."""
        # Nine bits and a guard bit below the point.
        scaled = Cat(Const(0, 9), self._round_in_place(m, total))
        shifted, lost = shift_right_sticky(m, scaled, shift, "integer")
        overflows = (too_large & total.any()) | shifted[1 + INTEGER_BITS :].any()
        saturated = (overflows & ~vanishes).replicate(INTEGER_BITS)
        integer = register(INTEGER_BITS, "integer")
        integer_carry = register(1, "integer_carry")
        integer_negative = register(1, "integer_negative")
        with m.If(self.enable[6]):
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
        with m.If(self.enable[self.CLAMP_STAGE]):
            m.d.sync += result.eq(clamp(placed, self.low, self.high))
