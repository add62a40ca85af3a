"""QuantizeLinear and DequantizeLinear: real values become feature maps and back."""

from dataclasses import replace

import numpy as np
from onnx import TensorProto
from onnx.helper import np_dtype_to_tensor_dtype

from tilewright.compiler.frontend.builder import is_identity
from tilewright.compiler.frontend.context import (
    Context,
    Values,
    constant,
    dequantize_all,
    optional,
    plain_source,
    quantize_float,
    scalar_quantization,
)
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.source import (
    LAYOUT_OPERATORS,
    REINDEXING_OPERATORS,
    Operator,
)
from tilewright.compiler.frontend.table import quantize_all, real_results
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Host,
    Joined,
    Padded,
    Pooled,
    Quantized,
    QuantizedConstant,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.frontend.window import NO_PADS, Pads, spatial_index
from tilewright.hw.spec.binding import HALF_RANGE
from tilewright.hw.spec.tensor import Quantization


@handles(
    Entry(
        operators=("DequantizeLinear",),
        microsoft=("DequantizeLinear",),
        runs="nothing moves",
        conditions="scale and zero point of one element; float outputs of the model: on the host",
        cost="none",
    )
)
def dequantize(context: Context, node: Operator, values: Values) -> list[Value]:
    """DequantizeLinear: x, scale, zero point; a constant x keeps its integers."""
    _check_attributes(node, "output_dtype")
    constant_value = dequantize_constant(values, 0, int(node.attribute("axis", 1)))
    if constant_value is not None:
        return [constant_value]
    return [dequantize_input(context, [*values, None], 0, node.outputs[0])]


def dequantize_input(context: Context, values: Values, first: int, tensor: str = "") -> Real:
    """The real value of the activation, scale and zero point at `first` and behind it."""
    stored = optional(values, first)
    if not isinstance(stored, Quantized):
        raise UnsupportedError("its input is not a quantized activation")
    scale = constant(values, first + 1, "scale")
    zero_point = None
    if optional(values, first + 2) is not None:
        zero_point = constant(values, first + 2, "zero point")
    quantization, is_unsigned = scalar_quantization(
        scale, zero_point, stored.origin, stored.is_unsigned
    )
    if is_unsigned != stored.is_unsigned:
        raise UnsupportedError("its zero point and its input differ in type")
    if quantization != stored.quantization:
        if not stored.is_border:
            raise UnsupportedError(
                "it reads its input with another scale or zero point than that was stored with"
            )
        stored = replace(stored, quantization=quantization)
    return Real(producer=Dequantized(source=stored), index=stored.index, tensor=tensor)


@handles(
    Entry(
        operators=("QuantizeLinear",),
        microsoft=("QuantizeLinear",),
        runs="the end of the layer before it; rescaling where the scale changes, exact",
        conditions="scale and zero point of one element; float inputs of the model: on the host",
        cost="none; a pass behind a DequantizeLinear of another scale",
    )
)
def quantize(context: Context, node: Operator, values: Values) -> list[Value]:
    """QuantizeLinear: x, scale, zero point."""
    _check_attributes(node, "precision")
    if isinstance(values[0], Host):
        return [_quantize_on_host(context, node, values)]
    return [quantize_output(context, node, values[0], values, 1)]


def quantize_output(
    context: Context, node: Operator, value: Value | None, values: Values, first: int
) -> Quantized:
    """Store `value` with the scale and zero point at `first` and behind it."""
    if not isinstance(value, Real):
        raise UnsupportedError("its input is not a value that the device computes")
    quantization, is_unsigned = _stated_quantization(node, values, first)
    return emit(context, value, quantization, is_unsigned, node.outputs[0], node.name)


def _stated_quantization(node: Operator, values: Values, first: int) -> tuple[Quantization, bool]:
    """The quantization at `first` and behind it, and whether it is unsigned.

    Without a zero point the type is the attribute `output_dtype`, uint8 where that is 0 (ONNX
    QuantizeLinear, opset 21). Raises UnsupportedError where the two state different types.
    """
    scale = constant(values, first, "scale")
    stated = int(node.attribute("output_dtype", TensorProto.UNDEFINED))
    if optional(values, first + 1) is not None:
        zero_point = constant(values, first + 1, "zero point")
        if stated not in (TensorProto.UNDEFINED, np_dtype_to_tensor_dtype(zero_point.dtype)):
            raise UnsupportedError(
                f"its output_dtype {TensorProto.DataType.Name(stated)} must be its zero point's "
                f"type, {zero_point.dtype}"
            )
        return scalar_quantization(scale, zero_point, node.label)
    if stated not in (TensorProto.UNDEFINED, TensorProto.INT8, TensorProto.UINT8):
        kind = TensorProto.DataType.Name(stated).lower()
        raise UnsupportedError(f"activations must be int8 or uint8, got {kind}")
    return scalar_quantization(scale, None, node.label, stated != TensorProto.INT8)


def stated_range(context: Context, name: str) -> tuple[float, float] | None:
    """The smallest and largest value that QuantizeLinears behind the float `name` hold.

    Or behind what `name` only moves elsewhere.
    """
    levels = []
    for node in context.source.consumers(name):
        if node.op_type == "QuantizeLinear":
            values = [context.values.get(item) if item else None for item in node.inputs]
            levels.append(dequantize_all(_stated_quantization(node, values, 1)[0]))
    if levels:
        return float(np.min(levels)), float(np.max(levels))
    maker = context.producers.get(name)
    moves = maker is not None and maker.op_type in (*LAYOUT_OPERATORS, *REINDEXING_OPERATORS)
    if maker is None or not moves or maker.attribute("mode", "nearest") in ("linear", "cubic"):
        return None
    return stated_range(context, maker.inputs[0])


def _check_attributes(node: Operator, arithmetic: str) -> None:
    """Refuse blocks, and an attribute `arithmetic` that asks for another type than float32."""
    if node.attribute("block_size", 0):
        raise UnsupportedError(
            "blocked quantization is not supported; quantize weights per channel, activations per "
            "tensor"
        )
    kind = int(node.attribute(arithmetic, TensorProto.UNDEFINED))
    if kind not in (TensorProto.UNDEFINED, TensorProto.FLOAT):
        raise UnsupportedError(
            f"its {arithmetic} must be float32, got {TensorProto.DataType.Name(kind).lower()}"
        )


def as_activation(context: Context, value: Value | None, what: str = "input") -> Quantized:
    """The stored activation behind a real value.

    A clamp, padding, largest of a window or concatenation is stored where the source's own
    quantization represents the result exactly; any other float value lacks a QuantizeLinear.
    """
    if isinstance(value, Real) and _may_be_exact(value):
        exact = store_exactly(context, value)
        if exact is not None:
            return exact
    return plain_source(value, what)


def storable(context: Context, value: Real) -> Quantized | None:
    """As as_activation; None where a QuantizeLinear is lacking."""
    try:
        return as_activation(context, value)
    except UnsupportedError:
        return None


def padded_activation(context: Context, value: Value | None) -> tuple[Quantized, Pads]:
    """Like as_activation, but padding with the real number 0 is returned instead of stored.

    The padded map must be read as it is: same shape, same order, no clamp.
    """
    if isinstance(value, Real) and isinstance(value.producer, Padded):
        padded = value.producer
        is_whole = is_identity(value.index) and spatial_index(value.index).shape == padded.shape
        if padded.value == 0 and is_whole and value.is_plain and not _is_clamped(value):
            return padded.source, padded.pads
    return as_activation(context, value), NO_PADS


def is_pending(value: Value | None) -> bool:
    """Whether `value` is the float result of an operator that no QuantizeLinear follows yet."""
    return isinstance(value, Real) and not isinstance(value.producer, Dequantized | Padded)


def store_exactly(context: Context, value: Real) -> Quantized | None:
    """Store what its source's quantization represents exactly: clamp, padding, largest, joined."""
    producer = value.producer
    if isinstance(producer, Joined | Padded | Pooled):
        source = producer.sources[0]
        quantization = source.quantization
        if not value.is_plain or not _keeps_levels(producer):
            return None
        if isinstance(producer, Padded) and not _is_level(producer.value, quantization):
            raise UnsupportedError("its padding value is not representable; quantize the Pad")
        bounds = (bound for bound in (value.low, value.high) if np.isfinite(bound))
        if not all(_is_level(bound, quantization) for bound in bounds):
            return None
    elif isinstance(producer, Dequantized):
        source = producer.source
        quantization = source.quantization
        results = real_results(context, value)
        stored_values = quantize_all(results, quantization).astype(np.int16)
        if not np.array_equal(dequantize_all(quantization)[stored_values + HALF_RANGE], results):
            return None
    else:
        return None
    name = f"{value.tensor or source.origin}/stored"
    return emit(context, value, quantization, source.is_unsigned, name, "")


def _may_be_exact(value: Real) -> bool:
    return isinstance(value.producer, Joined | Padded | Pooled) or not value.is_plain


def _keeps_levels(producer: Joined | Padded | Pooled) -> bool:
    """Whether all but the padding is as in the first source."""
    if isinstance(producer, Pooled):
        return producer.kind == "max"
    quantizations = {source.quantization for source in producer.sources}
    if len(quantizations) > 1:
        return False
    parts = producer.parts if isinstance(producer, Joined) else ()
    levels = dequantize_all(*quantizations)
    return all(isinstance(part, str) or bool(np.isin(part, levels).all()) for part in parts)


def _is_level(value: float, quantization: Quantization) -> bool:
    """Whether a stored integer dequantizes to exactly `value`."""
    stored = quantize_float(value, quantization)
    return bool(dequantize_all(quantization)[stored + HALF_RANGE] == np.float32(value))


def _is_clamped(value: Real) -> bool:
    return value.low > -np.inf or value.high < np.inf


def dequantize_constant(values: Values, first: int, axis: int = 1) -> Constant | None:
    """The constant, scale and zero point at `first` and behind it; None if it is no constant."""
    stored = optional(values, first)
    if not isinstance(stored, Constant):
        return None
    raw = widen(stored.array)
    given = constant(values, first + 1, "scale")
    scale = given.astype(np.float32)
    zero_point = np.zeros((), raw.dtype)
    if optional(values, first + 2) is not None:
        zero_point = widen(constant(values, first + 2, "zero point"))
    along = [-1 if position == axis % max(raw.ndim, 1) else 1 for position in range(raw.ndim)]
    entries = raw.shape[axis % raw.ndim] if raw.ndim else 1
    for what, array in (("scale", scale), ("zero point", zero_point)):
        if array.size not in (1, entries):
            raise UnsupportedError(
                f"its {what} must have 1 element, or {entries} along axis {axis}, got {array.size}"
            )
    offset = zero_point.reshape(along if zero_point.size > 1 else [])
    real = (raw.astype(np.float64) - offset.astype(np.float64)).astype(np.float32)
    real = real * scale.reshape(along if scale.size > 1 else [])
    return Constant(
        array=real.astype(given.dtype),
        quantized=QuantizedConstant(raw=raw, scale=scale, zero_point=zero_point, axis=axis),
    )


def widen(array: Array) -> Array:
    """Integers of less than 8 bits (int4, uint4, int2, uint2) as int8 or uint8."""
    name = array.dtype.name
    if name.rstrip("24") not in ("int", "uint"):
        return array
    return array.astype(np.uint8 if name.startswith("u") else np.int8)


def _quantize_on_host(context: Context, node: Operator, values: Values) -> Quantized:
    """A value of the host becomes an activation that the host hands over."""
    name = node.outputs[0]
    _, shape = context.source.types.get(name, ("", None))
    if shape is None:
        raise UnsupportedError("the shape of its output cannot be inferred")
    quantization, is_unsigned = _stated_quantization(node, values, 1)
    return Quantized(
        origin=name,
        index=np.arange(int(np.prod(shape))).reshape(shape),
        quantization=quantization,
        is_unsigned=is_unsigned,
        is_border=True,
    )
