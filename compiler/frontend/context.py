"""What the operator handlers share: the model, the graph under construction, constants, notes."""

from collections.abc import Hashable, Sequence
from dataclasses import field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.compiler.frontend.builder import GraphBuilder
from tilewright.compiler.frontend.source import Operator, Source
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Padded,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.graph.graph import Piece
from tilewright.hw.spec import numerics
from tilewright.hw.spec.binding import HALF_RANGE
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.errors import ModelError
from tilewright.support.records import record

Values = Sequence[Value | None]

FLOATS = ("float32", "float16", "bfloat16")
"""Types of scales; the narrower ones widen to float32 without rounding."""


@record(frozen=True, kw_only=True)
class Context:
    """`values` maps each ONNX value name to what is known about it; `notes` go to the report."""

    source: Source
    builder: GraphBuilder
    values: dict[str, Value] = field(default_factory=dict)
    producers: dict[str, Operator] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stored: dict[str, tuple[str, Quantized]] = field(default_factory=dict)
    """By map name: the ONNX tensor that the map stores, and how."""
    pieces: dict[Hashable, tuple[Piece, ...]] = field(default_factory=dict)
    """Of functions, by what they follow from: known from earlier readings of the model."""


def constant(values: Values, position: int, what: str) -> Array:
    """The constant input at `position`; `what` names it in the reason when it is none."""
    value = values[position] if position < len(values) else None
    if not isinstance(value, Constant):
        raise UnsupportedError(f"its {what} is not a constant")
    return value.array


def optional(values: Values, position: int) -> Value | None:
    return values[position] if position < len(values) else None


def as_real(value: Value | None, what: str = "input") -> Real:
    if not isinstance(value, Real):
        raise UnsupportedError(f"its {what} is not a dequantized activation")
    return value


def plain_source(value: Value | None, what: str = "input") -> Quantized:
    """The quantized activation, read through the value's index, that `value` dequantizes."""
    real = as_real(value, what)
    if isinstance(real.producer, Padded):
        raise UnsupportedError(f"its {what} is padded without being quantized")
    if not isinstance(real.producer, Dequantized) or not real.is_plain:
        raise UnsupportedError(f"its {what} is not quantized (QuantizeLinear, DequantizeLinear)")
    source = real.producer.source
    return Quantized(
        origin=source.origin,
        index=real.index,
        quantization=source.quantization,
        is_unsigned=source.is_unsigned,
        is_border=source.is_border,
    )


def scalar_quantization(
    scale: Array, zero_point: Array | None, where: str, is_unsigned: bool = False
) -> tuple[Quantization, bool]:
    """Return the per-tensor int8 quantization and whether the ONNX type is uint8.

    `zero_point` None means 0 of type int8, or uint8 where `is_unsigned`.

    Raises:
        UnsupportedError: not per tensor, or of another type than int8 or uint8 and a float.
        ModelError: the scale is not positive, finite and below 2^64.
    """
    if scale.size != 1 or (zero_point is not None and zero_point.size != 1):
        raise UnsupportedError(
            f"an activation must be quantized per tensor, got a scale of {scale.size} elements"
        )
    if scale.dtype.name not in FLOATS:
        raise UnsupportedError(f"an activation scale must be float32, got {scale.dtype}")
    scale = scale.astype(np.float32)
    if zero_point is None:
        zero_point = np.zeros((), np.uint8 if is_unsigned else np.int8)
    if zero_point.dtype not in (np.int8, np.uint8):
        raise UnsupportedError(f"activations must be int8 or uint8, got {zero_point.dtype}")
    numerics.check_scale(scale, where)
    unsigned = bool(zero_point.dtype == np.uint8)
    offset = HALF_RANGE if unsigned else 0
    return (
        Quantization(
            scale=float(scale.reshape(-1)[0]), zero_point=int(zero_point.reshape(-1)[0]) - offset
        ),
        unsigned,
    )


def require_scale(scale: ArrayLike, where: str, limit: float = numerics.SCALE_LIMIT) -> None:
    """Raise UnsupportedError for scales beyond the accelerator's; the host may know what to do."""
    try:
        numerics.check_scale(scale, where, limit)
    except ModelError as error:
        raise UnsupportedError(str(error)) from error


def quantize_float(value: float, quantization: Quantization) -> int:
    """QuantizeLinear of one float32, saturated to int8."""
    return int(numerics.quantize(value, quantization.scale, quantization.zero_point))


def dequantize_all(quantization: Quantization) -> NDArray[np.float32]:
    """The float32 values of -128 ... 127, as DequantizeLinear computes them."""
    stored = np.arange(-128, 128, dtype=np.int32) - quantization.zero_point
    return stored.astype(np.float32) * np.float32(quantization.scale)


def shift_to_int8(array: Array) -> NDArray[np.int8]:
    """An int8 array as it is, a uint8 array reduced by 128."""
    if array.dtype == np.uint8:
        return (array.astype(np.int16) - HALF_RANGE).astype(np.int8)
    assert array.dtype == np.int8
    return array.astype(np.int8)
