"""The exact arithmetic of the accelerator, in NumPy; ISS and RTL equal it byte for byte.

Every function states its order of roundings. All floating-point values are IEEE-754 binary32,
every rounding is to nearest, ties to even. int32 sums wrap.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.support.errors import ModelError

INT8_MIN, INT8_MAX = -128, 127
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
SCALE_MIN, SCALE_LIMIT = 2.0**-64, 2.0**64

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]
Float32Array = NDArray[np.float32]


def effective_scale(scale: ArrayLike) -> Float32Array:
    """Return the scale as the hardware uses it: 0 outside [2^-64, 2^64) in magnitude, or if NaN.

    Below 2^-64 this never changes a rounded int8; above, `check_scale` refuses the model. Stage 1's
    product is a scale of stage 2's where that takes it before it is rounded.
    """
    value = np.asarray(scale, np.float32)
    magnitude = np.abs(value)
    usable = (magnitude >= SCALE_MIN) & (magnitude < SCALE_LIMIT)
    return np.where(usable, value, np.float32(0)).astype(np.float32)


def check_scale(scale: ArrayLike, where: str, limit: float = SCALE_LIMIT) -> None:
    """Raise ModelError unless every scale is finite, positive and below the limit, 2^n."""
    value = np.asarray(scale, np.float32)
    bad = ~((value > 0) & (value < limit))
    if bad.any():
        raise ModelError(
            f"{where}: a scale must be positive, finite and below 2^{math.log2(limit):.0f}, "
            f"got {value[bad].flat[0]}; quantize the model again with a valid range"
        )


class WeightSums(NamedTuple):
    """Sums over the weights of each output channel."""

    all: NDArray[np.int64]
    positive: NDArray[np.int64]
    """Of those above 0."""


def weight_sums(weight: ArrayLike) -> WeightSums:
    """Return the sums of integers [output channels, ...]."""
    weights = np.asarray(weight)
    weights = weights.reshape(len(weights), math.prod(weights.shape[1:]))
    return WeightSums(
        all=weights.sum(axis=1, dtype=np.int64),
        positive=np.maximum(weights, 0).sum(axis=1, dtype=np.int64),
    )


def accumulator_range(
    sums: WeightSums, bias: ArrayLike, zero_point: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest sum((x - zero_point) * w) + bias over all int8 x.

    All are [output channels]. The largest sum takes x = 127 at the positive weights and -128 at the
    negative ones, the smallest the reverse.
    """
    positive, negative = sums.positive, sums.positive - sums.all
    above, below = INT8_MAX - zero_point, zero_point - INT8_MIN
    highest = np.asarray(bias, np.float64) + positive * above + negative * below
    lowest = np.asarray(bias, np.float64) - positive * below - negative * above
    return lowest, highest


def check_accumulator(sums: WeightSums, bias: ArrayLike, zero_point: int, where: str) -> None:
    """Raise ModelError unless sum((x - zero_point) * w) + bias is an int32 for all int8 x.

    `bias` is [output channels]. The sums on the way may leave int32: they wrap there and back.
    """
    lowest, highest = accumulator_range(sums, bias, zero_point)
    fits = (lowest >= INT32_MIN) & (highest <= INT32_MAX)
    if not fits.all():
        channel = int(fits.argmin())
        raise ModelError(
            f"{where}: the accumulator must stay within int32 for every input, but that of output "
            f"channel {channel} reaches {lowest[channel]:.0f} to {highest[channel]:.0f}; quantize "
            f"with larger scales, a smaller bias or fewer input channels"
        )


def wrap_int32(value: ArrayLike) -> Int32Array:
    """Reduce integers modulo 2^32 to the int32 range."""
    given = np.asarray(value)
    return given if given.dtype == np.int32 else given.astype(np.int64).astype(np.int32)


def round_and_place(
    value: Float32Array, zero_point: ArrayLike, low: ArrayLike, high: ArrayLike
) -> Int8Array:
    """rint(value) + zero_point, then max(low), then min(high); all bounds are int8 values.

    In binary32, where the integers that the bounds leave are exact.
    """
    placed = np.asarray(np.rint(value))
    np.add(placed, np.asarray(zero_point, np.float32), out=placed)
    bounds = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return np.clip(placed, *bounds, out=placed).astype(np.int8)


def quantize(value: ArrayLike, scale: ArrayLike, zero_point: ArrayLike) -> Int8Array:
    """QuantizeLinear of binary32 values: rint(fl(value / scale)) + zero_point, saturated.

    A NaN becomes the zero point.
    """
    with np.errstate(over="ignore"):
        scaled = scale_ratio(value, scale)
    number = np.where(np.isnan(scaled), np.float32(0), scaled)
    return round_and_place(number, zero_point, INT8_MIN, INT8_MAX)


def requantize(
    accumulator: ArrayLike,
    bias: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike,
    low: ArrayLike = INT8_MIN,
    high: ArrayLike = INT8_MAX,
    negative_scale: ArrayLike | None = None,
) -> Int8Array:
    """Stage 1: fl(fl(accumulator + bias) * scale), rounded, zero point added, clamped.

    `accumulator` and `bias` are int32 and their sum wraps; `scale` is binary32, and so is
    `negative_scale`, which a sum below 0 takes instead where it is given (LeakyRelu, PRelu of the
    unrounded value: s is fl(fl(sx * sw) / so), that of negative sums fl(fl(sx * fl(sw * slope)) /
    so), so that one product is rounded where ONNX rounds two). Arguments broadcast. (ONNX
    QLinearConv, QLinearMatMul; the clamp to [low, high] after rounding equals the clamp before it,
    because the bounds are integers.)
    """
    total = np.add(wrap_int32(accumulator), wrap_int32(bias)).astype(np.float32)
    return round_and_place(rescale(total, scale, negative_scale), zero_point, low, high)


def rescale(
    total: Float32Array, scale: ArrayLike, negative_scale: ArrayLike | None = None
) -> Float32Array:
    """Stage 1 between its sum and its rounding, for a `total` that is fl(accumulator + bias)."""
    factor = effective_scale(scale)
    if negative_scale is not None:
        factor = np.where(total < 0, effective_scale(negative_scale), factor)
    return np.asarray(total * factor, np.float32)


def add(
    first: Int8Array,
    second: Int8Array,
    *,
    first_zero_point: int,
    second_zero_point: int,
    first_ratio: ArrayLike,
    second_ratio: float,
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> Int8Array:
    """Stage 2, add: rint(fl(fl((q1-z1)*r1) + fl((q2-z2)*r2))) + zero_point, clamped.

    The ratios are r1 = fl(s1/so), r2 = fl(s2/so); with stage 1's product as r1 and q1 - z1 = 1 it
    is the sum of that product, unrounded, and the operand.
    """
    left = first.astype(np.float32)
    left -= np.float32(first_zero_point)
    left *= effective_scale(first_ratio)
    right = second.astype(np.float32)
    right -= np.float32(second_zero_point)
    right *= effective_scale(second_ratio)
    left += right
    return round_and_place(left, zero_point, low, high)


def multiply(
    first: Int8Array,
    second: Int8Array,
    *,
    first_zero_point: int,
    second_zero_point: int,
    scale: ArrayLike,
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
    unrounded: bool = False,
) -> Int8Array:
    """Stage 2, multiply: rint(fl(fl((q1-z1)*(q2-z2) * s) + zero_point)), clamped.

    The zero point is added before rounding (QLinearMul); s = fl(fl(s1*s2)/so). With stage 1's
    product as s (`unrounded`) it is added behind it, as QuantizeLinear does.
    """
    product = (first.astype(np.int32) - first_zero_point) * (
        second.astype(np.int32) - second_zero_point
    )
    value = product.astype(np.float32) * effective_scale(scale)
    if unrounded:
        return round_and_place(value, zero_point, low, high)
    return round_and_place(value + np.float32(zero_point), 0, low, high)


def look_up(table: Int8Array, value: Int8Array) -> Int8Array:
    """256-entry table: entry number is the int8 value taken as an unsigned byte."""
    entries = bytearray(value.tobytes()).translate(table.tobytes())
    return np.frombuffer(entries, np.int8).reshape(value.shape)


def requantize_scale(
    first_scale: ArrayLike, second_scale: ArrayLike, result_scale: ArrayLike
) -> Float32Array:
    """fl(fl(s1 * s2) / so): a product's scale, in the order of QLinearConv and QLinearMul."""
    product = np.asarray(first_scale, np.float32) * np.asarray(second_scale, np.float32)
    return scale_ratio(product, result_scale)


def scale_ratio(source_scale: ArrayLike, result_scale: ArrayLike) -> Float32Array:
    """fl(sx / so): what a value is multiplied by to be stored with another scale."""
    ratio = np.asarray(source_scale, np.float32) / np.asarray(result_scale, np.float32)
    return np.asarray(ratio, np.float32)


def average_scale(
    source_scale: ArrayLike, result_scale: ArrayLike, divisor: ArrayLike
) -> Float32Array:
    """fl(sx / fl(so * divisor)): what the sum of a window is multiplied by to be its average."""
    return scale_ratio(
        source_scale, np.asarray(result_scale, np.float32) * np.asarray(divisor, np.float32)
    )
