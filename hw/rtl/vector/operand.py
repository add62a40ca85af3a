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

from tilewright.hw.rtl.vector.rounding import (
    INTEGER_BITS,
    MANTISSA_BITS,
    clamp,
    normalize,
    register,
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
    first, second : In(signed(8)), sampled with enable[0]
    first_zero_point, second_zero_point : In(signed(8)), sampled with enable[0]
    multiply : In(LATENCY - 1), bit k - 1 sampled with enable[k]: 0 adds, 1 multiplies
    first_scale, second_scale : In(32), binary32, sampled with enable[SCALE_STAGE]
    zero_point : In(signed(8)), sampled with enable[ADDEND_STAGE] and enable[ZERO_POINT_STAGE];
        hence two ports, `addend` and `zero_point`, of the same meaning
    low, high : In(signed(8)), sampled with enable[CLAMP_STAGE]
    result : Out(signed(8)), valid in the cycle after enable[LATENCY - 1], held until the next
    """

    ADDEND_STAGE = 1
    SCALE_STAGE = 3
    ZERO_POINT_STAGE = 11
    CLAMP_STAGE = 12
    LATENCY = 13

    enable: In(LATENCY)
    first: In(signed(8))
    second: In(signed(8))
    first_zero_point: In(signed(8))
    second_zero_point: In(signed(8))
    multiply: In(LATENCY - 1)
    first_scale: In(32)
    second_scale: In(32)
    addend: In(signed(8))
    zero_point: In(signed(8))
    low: In(signed(8))
    high: In(signed(8))
    result: Out(signed(8))

    def elaborate(self, platform):
        m = Module()
        integers = self._prepare(m)
        products = self._multiply(m, *integers)
        left, right = self._round_products(m, *products)
        aligned = self._align(m, left, right)
        rounded = self._sum(m, *aligned)
        self._round_and_place(m, *rounded)
        return m

    def _is_multiply(self, stage):
        """Whether the value in front of `stage` (from 1 on) is a product."""
        return self.multiply[stage - 1]

    def _prepare(self, m):
        """Stages 0 to 2: integers of both sides as sign and normalized magnitude."""
        operands = []
        for name in ("first", "second"):
            difference = Signal(signed(9), name=f"{name}_difference")
            negative = register(1, f"{name}_negative")
            magnitude = register(8, f"{name}_magnitude")
            m.d.comb += difference.eq(getattr(self, name) - getattr(self, f"{name}_zero_point"))
            with m.If(self.enable[0]):
                m.d.sync += [negative.eq(difference[8]), magnitude.eq(abs(difference))]
            operands.append((negative, magnitude))
        (first_negative, first), (second_negative, second) = operands

        multiply = self._is_multiply(1)
        left_negative = register(1, "left_negative")
        right_negative = register(1, "right_negative")
        left = register(16, "left")
        right = register(8, "right")
        with m.If(self.enable[1]):
            m.d.sync += [
                left.eq(Mux(multiply, first * second, first << 8)),
                right.eq(Mux(multiply, abs(self.addend), second)),
                left_negative.eq(first_negative ^ (multiply & second_negative)),
                right_negative.eq(Mux(multiply, self.addend[7], second_negative)),
            ]

        left_shifted, left_position = normalize(m, left, "left")
        right_shifted, right_position = normalize(m, right, "right")
        left_normal = register(16, "left_normal")
        right_normal = register(8, "right_normal")
        left_exponent = register(4, "left_exponent")
        right_exponent = register(3, "right_exponent")
        signs = register(2, "normal_signs")
        with m.If(self.enable[2]):
            m.d.sync += [
                left_normal.eq(left_shifted),
                right_normal.eq(right_shifted),
                # An add's left integer was placed eight bits up.
                left_exponent.eq(Mux(self._is_multiply(2), left_position, left_position[:3])),
                right_exponent.eq(right_position),
                signs.eq(Cat(left_negative, right_negative)),
            ]
        return left_normal, right_normal, left_exponent, right_exponent, signs

    def _multiply(self, m, left, right, left_position, right_position, signs):
        """Stages 3 and 4: exact products; 26 leading bits and a sticky bit go on."""
        multiply = self._is_multiply(3)
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
        with m.If(self.enable[3]):
            m.d.sync += [
                left_product.eq(Mux(left_usable, left[8:], 0) * left_mantissa),
                right_product.eq(
                    Mux(Mux(multiply, left_usable, right_usable), Mux(multiply, left[:8], right), 0)
                    * right_factor
                ),
                addend.eq(right),
                exponents[0].eq(Mux(left_zero, ZERO_EXPONENT, left_scale + left_position)),
                exponents[1].eq(Mux(right_zero, ZERO_EXPONENT, right_exponent)),
                product_signs.eq(signs ^ Cat(left_sign, right_sign & ~multiply)),
            ]

        wide = Signal(40)
        narrow = Signal(32)
        m.d.comb += [
            wide.eq((left_product << 8) + Mux(self._is_multiply(4), right_product, 0)),
            narrow.eq(Mux(self._is_multiply(4), addend << 24, right_product)),
        ]
        sides = []
        for index, (name, value) in enumerate((("left", wide), ("right", narrow))):
            top = register(26, f"{name}_top")
            sticky = register(1, f"{name}_sticky")
            exponent = register(signed(8), f"{name}_exact_exponent")
            sign = register(1, f"{name}_exact_sign")
            with m.If(self.enable[4]):
                m.d.sync += [
                    top.eq(value[-26:]),
                    sticky.eq(value[:-26].any()),
                    exponent.eq(exponents[index]),
                    sign.eq(product_signs[index]),
                ]
            sides.append((top, sticky, exponent, sign))
        return sides

    def _round_products(self, m, *sides):
        """Stage 5: both numbers rounded to 24 bits, the right one of a multiply is exact."""
        numbers = []
        for name, (top, sticky, exponent, sign) in zip(("left", "right"), sides, strict=True):
            large = top[25]
            kept = Mux(large, top[2:], top[1:25])
            guard = Mux(large, top[1], top[0])
            rounded = Signal(25, name=f"{name}_rounded")
            m.d.comb += rounded.eq(round_half_even(kept, guard, sticky | (large & top[0])))
            mantissa = register(24, f"{name}_mantissa")
            float_exponent = register(signed(8), f"{name}_float_exponent")
            float_sign = register(1, f"{name}_float_sign")
            # The addend of a multiply is aligned at the top bit: exponent as given.
            carry = large + rounded[24]
            if name == "right":
                carry = Mux(self._is_multiply(5), 0, carry)
            with m.If(self.enable[5]):
                m.d.sync += [
                    mantissa.eq(Mux(rounded[24], 1 << 23, rounded[:24])),
                    float_exponent.eq(exponent + carry),
                    float_sign.eq(sign),
                ]
            numbers.append((float_sign, float_exponent, mantissa))
        return numbers

    def _align(self, m, left, right):
        """Stages 6 and 7: the larger one first, the smaller one shifted to its exponent."""
        left_sign, left_exponent, left_mantissa = left
        right_sign, right_exponent, right_mantissa = right
        swap = Signal()
        difference = Signal(signed(9))
        distance = Signal(9)
        m.d.comb += [
            difference.eq(left_exponent - right_exponent),
            swap.eq(difference[8] | ((difference == 0) & (left_mantissa < right_mantissa))),
            distance.eq(abs(difference)),
        ]
        large = register(24, "large")
        small = register(24, "small")
        shift = register(5, "align_shift")
        exponent = register(signed(8), "large_exponent")
        sign = register(1, "large_sign")
        subtract = register(1, "subtract")
        with m.If(self.enable[6]):
            m.d.sync += [
                large.eq(Mux(swap, right_mantissa, left_mantissa)),
                small.eq(Mux(swap, left_mantissa, right_mantissa)),
                shift.eq(Mux(distance >= LARGEST_SHIFT, LARGEST_SHIFT, distance)),
                exponent.eq(Mux(swap, right_exponent, left_exponent)),
                sign.eq(Mux(swap, right_sign, left_sign)),
                subtract.eq(left_sign ^ right_sign),
            ]

        shifted, lost = shift_right_sticky(m, Cat(Const(0, 2), small), shift, "align")
        addends = [register(width, name) for width, name in ((24, "augend"), (27, "aligned"))]
        aligned_exponent = register(signed(8), "aligned_exponent")
        aligned_sign = register(1, "aligned_sign")
        aligned_subtract = register(1, "aligned_subtract")
        with m.If(self.enable[7]):
            m.d.sync += [
                addends[0].eq(large),
                addends[1].eq(Cat(lost, shifted)),
                aligned_exponent.eq(exponent),
                aligned_sign.eq(sign),
                aligned_subtract.eq(subtract),
            ]
        return *addends, aligned_exponent, aligned_sign, aligned_subtract

    def _sum(self, m, augend, aligned, exponent, sign, subtract):
        """Stages 8 and 9: the sum in units of 2^(exponent - 26), rounded to 24 bits in place."""
        total = register(28, "total")
        total_exponent = register(signed(8), "total_exponent")
        total_sign = register(1, "total_sign")
        with m.If(self.enable[8]):
            inverted = Cat(*(bit ^ subtract for bit in aligned), subtract)
            m.d.sync += [
                total.eq(Cat(Const(0, 3), augend) + inverted + subtract),
                total_exponent.eq(exponent),
                total_sign.eq(sign),
            ]

        carried, full = total[27], total[26]
        keep_guard = ~carried & ~full
        guard = Mux(carried, total[3], Mux(full, total[2], total[1]))
        sticky = total[0] | (~keep_guard & total[1]) | (carried & total[2])
        lowest = Mux(carried, total[4], Mux(full, total[3], total[2]))
        increment = guard & (sticky | lowest)
        addend = Cat(increment & keep_guard, increment & full & ~carried, increment & carried)
        kept = Cat(total[2] & keep_guard, total[3] & ~carried, total[4:])
        rounded = register(27, "rounded")
        shift = register(6, "integer_shift")
        saturates = register(1, "rounded_saturates")
        rounded_sign = register(1, "rounded_sign")
        vanishes = total_exponent <= VANISHING_EXPONENT
        too_large = total_exponent > INTEGER_POSITION
        with m.If(self.enable[9]):
            m.d.sync += [
                rounded.eq(Mux(vanishes, 0, kept + addend)),
                shift.eq(INTEGER_POSITION - total_exponent),
                saturates.eq(too_large & total.any()),
                rounded_sign.eq(total_sign),
            ]
        return rounded, shift, saturates, rounded_sign

    def _round_and_place(self, m, rounded, shift, saturates, sign):
        """Stages 10 to 12: to an integer, zero point of an add, clamp."""
        # rounded counts units of 2^(exponent - 24); nine bits and a guard bit below the point.
        scaled = Cat(Const(0, 9), rounded)
        shifted, lost = shift_right_sticky(m, scaled, shift, "integer")
        overflows = saturates | shifted[1 + INTEGER_BITS :].any()
        integer = register(INTEGER_BITS, "integer")
        integer_carry = register(1, "integer_carry")
        integer_negative = register(1, "integer_negative")
        with m.If(self.enable[10]):
            m.d.sync += [
                integer.eq(shifted[1 : 1 + INTEGER_BITS] | overflows.replicate(INTEGER_BITS)),
                integer_carry.eq(~overflows & shifted[0] & (lost | shifted[1])),
                integer_negative.eq(sign),
            ]

        offset = Mux(self._is_multiply(self.ZERO_POINT_STAGE), 0, self.zero_point)
        placed = register(signed(INTEGER_BITS + 3), "placed")
        with m.If(self.enable[self.ZERO_POINT_STAGE]):
            m.d.sync += placed.eq(signed_sum(integer, integer_carry, integer_negative, offset))
        result = register(signed(8), "result_register")
        with m.If(self.enable[self.CLAMP_STAGE]):
            m.d.sync += result.eq(clamp(placed, self.low, self.high))
        m.d.comb += self.result.eq(result)
