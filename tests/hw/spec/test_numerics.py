"""Numerics against exact rational arithmetic, rounded to binary32 step by step."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from tilewright.hw.spec import numerics
from tilewright.support.errors import ModelError


def binary32(value: Fraction) -> Fraction:
    """Round a rational to binary32 (no overflow), to nearest, ties to even."""
    if value == 0:
        return value
    power = abs(value).numerator.bit_length() - value.denominator.bit_length()
    if Fraction(2) ** power > abs(value):
        power -= 1
    unit = Fraction(2) ** max(-149, power - 23)
    return Fraction(round(value / unit)) * unit


def wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def random_scale(rng: random.Random) -> float:
    scale = 2.0 ** rng.uniform(-20, 3)
    scale = rng.choice((scale, round(scale, 4), 2.0 ** rng.randint(-12, 2), -scale))
    return float(np.float32(scale))


def near_tie(rng: random.Random, scale: float) -> int:
    """Return an accumulator whose product with the scale lies next to n + 1/2."""
    if scale == 0:
        return 0
    value = (rng.randint(-130, 130) + 0.5) / scale
    return max(-(2**31), min(2**31 - 1, round(value) + rng.randint(-1, 1)))


@pytest.mark.parametrize("seed", range(3))
def test_requantize_equals_exact_rationals(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(700):
        scale = random_scale(rng)
        accumulator = rng.choice((rng.randint(-(2**31), 2**31 - 1), near_tie(rng, scale)))
        bias = rng.choice((0, rng.randint(-5, 5), rng.randint(-(2**31), 2**31 - 1)))
        zero_point = rng.randint(-128, 127)
        low, high = sorted((rng.randint(-128, 127), rng.randint(-128, 127)))
        product = binary32(binary32(Fraction(wrap(accumulator + bias))) * Fraction(scale))
        expected = min(max(round(product) + zero_point, low), high)
        actual = numerics.requantize(accumulator, bias, scale, zero_point, low, high)
        assert actual.dtype == np.int8
        assert int(actual) == expected, (accumulator, bias, scale, zero_point)


@pytest.mark.parametrize("seed", range(3))
def test_add_equals_exact_rationals(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(700):
        q1, q2, z1, z2, zero_point = (rng.randint(-128, 127) for _ in range(5))
        r1, r2 = random_scale(rng), random_scale(rng)
        total = binary32(binary32((q1 - z1) * Fraction(r1)) + binary32((q2 - z2) * Fraction(r2)))
        expected = min(max(round(total) + zero_point, -128), 127)
        actual = numerics.add(
            np.int8([q1]), np.int8([q2]), first_zero_point=z1, second_zero_point=z2,
            first_ratio=r1, second_ratio=r2, zero_point=zero_point,
        )  # fmt: skip
        assert int(actual[0]) == expected, (q1, q2, z1, z2, r1, r2, zero_point)


@pytest.mark.parametrize("seed", range(3))
def test_multiply_equals_exact_rationals(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(700):
        q1, q2, z1, z2, zero_point = (rng.randint(-128, 127) for _ in range(5))
        scale = random_scale(rng)
        value = binary32(binary32((q1 - z1) * (q2 - z2) * Fraction(scale)) + zero_point)
        expected = min(max(round(value), -100), 90)
        actual = numerics.multiply(
            np.int8([q1]), np.int8([q2]), first_zero_point=z1, second_zero_point=z2,
            scale=scale, zero_point=zero_point, low=-100, high=90,
        )  # fmt: skip
        assert int(actual[0]) == expected, (q1, q2, z1, z2, scale, zero_point)


def test_ties_go_to_even_and_zero_point_comes_after() -> None:
    actual = numerics.requantize([1, 3, 5, -1, -3], 0, 0.5, 1)
    assert actual.tolist() == [1, 3, 3, 1, -1]


def test_multiply_adds_the_zero_point_before_rounding() -> None:
    """0.5 + 1 = 1.5 rounds to 2; rounding first would give 0 + 1 = 1."""
    actual = numerics.multiply(np.int8([1]), np.int8([1]), first_zero_point=0,
                               second_zero_point=0, scale=0.5, zero_point=1)  # fmt: skip
    assert actual.tolist() == [2]


def test_accumulators_are_rounded_to_binary32_first() -> None:
    """2^24 + 1 is no binary32 value: it becomes 2^24."""
    scale = 2.0**-24 * 1.5
    assert numerics.requantize([2**24 + 1], 0, scale, 0).tolist() == [2]
    assert numerics.wrap_int32([2**31, -(2**31) - 1]).tolist() == [-(2**31), 2**31 - 1]


def test_bounds_apply_low_first_then_high() -> None:
    assert numerics.requantize([0], 0, 1.0, 0, 5, -5).tolist() == [-5]


def test_unusable_scales_count_as_zero() -> None:
    scales = [math.nan, math.inf, -math.inf, 2.0**64, -(2.0**64), 2.0**-65, 1e-42, 0.0]
    assert numerics.effective_scale(scales).tolist() == [0.0] * len(scales)
    kept = [2.0**-64, -(2.0**-64), float(np.nextafter(np.float32(2.0**64), np.float32(0)))]
    assert numerics.effective_scale(kept).tolist() == kept


def test_check_scale_names_place_and_value() -> None:
    numerics.check_scale([1e-30, 1.0], "conv1")
    for bad in (0.0, -1.0, math.nan, math.inf, 2.0**64):
        with pytest.raises(ModelError, match="conv1: a scale must be positive, finite and below"):
            numerics.check_scale([1.0, bad], "conv1")


def test_look_up_takes_the_byte_as_unsigned() -> None:
    table = np.arange(256, dtype=np.uint8).view(np.int8)
    values = np.array([0, 1, 127, -128, -1], np.int8)
    assert numerics.look_up(table, values).tolist() == values.tolist()


def test_requantize_scale_rounds_twice() -> None:
    rng = random.Random(3)
    for _ in range(200):
        x, w, y = (abs(random_scale(rng)) or 0.5 for _ in range(3))
        expected = binary32(binary32(Fraction(x) * Fraction(w)) / Fraction(y))
        assert Fraction(float(numerics.requantize_scale(x, w, y))) == expected


def test_scale_ratio_and_average_scale_round_each_step() -> None:
    rng = random.Random(11)
    for _ in range(300):
        source, result = (Fraction(float(np.float32(rng.uniform(1e-4, 9)))) for _ in range(2))
        divisor = rng.randint(1, 1023**2)
        assert Fraction(float(numerics.scale_ratio(source, result))) == binary32(source / result)
        expected = binary32(source / binary32(result * divisor))
        assert Fraction(float(numerics.average_scale(source, result, divisor))) == expected


@pytest.mark.parametrize("seed", range(12))
def test_accumulator_bound_is_the_extreme_over_all_inputs(seed: int) -> None:
    rng = random.Random(seed)
    weights = [rng.randint(-255, 255) for _ in range(2)]
    zero_point = rng.choice((-128, 127, 0, rng.randint(-128, 127)))
    inputs = [value - zero_point for value in range(-128, 128)]
    sums = [x * weights[0] + y * weights[1] for x in inputs for y in inputs]
    for bias, is_refused in (
        (2**31 - 1 - max(sums), False),
        (2**31 - max(sums), True),
        (-(2**31) - min(sums), False),
        (-(2**31) - 1 - min(sums), True),
    ):
        given = (numerics.weight_sums([[0, 0], weights]), [0, bias], zero_point, "node fc")
        if not is_refused:
            numerics.check_accumulator(*given)
            continue
        with pytest.raises(ModelError, match=r"node fc: the accumulator .* of output channel 1"):
            numerics.check_accumulator(*given)


def test_accumulator_of_no_number_is_refused() -> None:
    with pytest.raises(ModelError, match="must stay within int32"):
        numerics.check_accumulator(numerics.weight_sums([[1]]), [np.nan], 0, "node fc")


@pytest.mark.parametrize("seed", range(4))
def test_quantize_equals_exact_rationals(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(500):
        scale = abs(random_scale(rng)) or 1.0
        steps = rng.choice((rng.uniform(-140, 140), rng.randint(-9, 9) + 0.5))
        value = float(np.float32(steps * scale))
        zero_point = rng.randint(-128, 127)
        rounded = round(binary32(Fraction(value) / Fraction(scale))) + zero_point
        assert int(numerics.quantize(value, scale, zero_point)) == max(-128, min(127, rounded))


def test_quantize_saturates_infinity_and_takes_nan_for_zero() -> None:
    values = np.array([np.inf, -np.inf, np.nan, 3e38], np.float32)
    assert numerics.quantize(values, 1e-3, 5).tolist() == [127, -128, 5, 127]
