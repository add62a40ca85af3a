"""Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity, Concat and Pad.

The first six only change the index of a value; no data moves on the device.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.context import (
    Context,
    Values,
    constant,
    optional,
    plain_source,
    scalar_quantization,
)
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation, dequantize_input
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Index,
    Joined,
    Padded,
    Quantized,
    QuantizedConstant,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.frontend.window import spatial_index

Change = Callable[[Array], Array]


def change_layout(context: Context, node: Operator, values: Values) -> list[Value]:
    """Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity or Dropout of an activation."""
    value = values[0]
    if not isinstance(value, Quantized | Real):
        raise UnsupportedError("its input is not an activation on the device")
    change = layout_change(node, values)
    try:
        index: Index = np.asarray(change(value.index), np.int64)
    except ValueError as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error
    if isinstance(value, Quantized):
        return [replace(value, index=index)]
    return [replace(value, index=index, tensor=node.outputs[0])]


def layout_change(node: Operator, values: Values) -> Change:
    """The NumPy function that does to an array what `node` does to its first input."""
    if node.op_type == "Reshape":
        target = node.attributes.get("shape")
        shape = target if target is not None else constant(values, 1, "shape").tolist()
        keeps_zero = bool(node.attribute("allowzero", 0))
        return lambda array: array.reshape(_resolve(array.shape, shape, keeps_zero))
    if node.op_type == "Flatten":
        axis = int(node.attribute("axis", 1))
        return lambda array: array.reshape(
            int(np.prod(array.shape[: axis if axis >= 0 else array.ndim + axis])), -1
        )
    if node.op_type == "Transpose":
        order = node.attribute("perm", None)
        return lambda array: np.transpose(array, order)
    if node.op_type in ("Squeeze", "Unsqueeze"):
        axes = _axes(node, values)
        if node.op_type == "Squeeze":
            return lambda array: np.squeeze(array, axes)
        return lambda array: np.expand_dims(array, axes or ())
    return lambda array: array


def change_constant(node: Operator, values: Values) -> Constant | None:
    """A layout operator on a dequantized constant keeps the integers where it can."""
    value = values[0]
    if not isinstance(value, Constant) or value.quantized is None:
        return None
    stored = value.quantized
    change = layout_change(node, values)
    axis = stored.axis
    if stored.scale.size > 1:
        if node.op_type == "Transpose":
            axis = int(np.argsort(change_order(node, stored.raw.ndim))[axis])
        elif node.op_type not in ("Identity", "Dropout"):
            return None
    changed = QuantizedConstant(
        raw=change(stored.raw), scale=stored.scale, zero_point=stored.zero_point, axis=axis
    )
    return Constant(array=change(value.array), quantized=changed)


def change_order(node: Operator, rank: int) -> list[int]:
    """The permutation of a Transpose."""
    return list(node.attribute("perm", None) or range(rank)[::-1])


def concatenate(context: Context, node: Operator, values: Values) -> list[Value]:
    """Concat of activations: their maps are joined along the channels."""
    axis = int(node.attribute("axis", 1))
    if any(isinstance(value, Real) for value in values):
        parts = [as_activation(context, value) for value in values]
        return [_join(context, parts, axis, node.name)]
    stored = [value for value in values if isinstance(value, Quantized)]
    if len(stored) < len(values):
        raise UnsupportedError("one of its inputs is not an activation on the device")
    first = stored[0]
    if any(part.quantization != first.quantization for part in stored):
        raise UnsupportedError("its inputs have different scales or zero points")
    joined = _join(context, stored, axis, node.name)
    name = node.outputs[0]
    return [emit(context, joined, first.quantization, first.is_unsigned, name, "")]


def concatenate_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearConcat (com.microsoft): ys, yz, then x, xs, xz of every part."""
    reals = [dequantize_input(context, values, at) for at in range(2, len(values), 3)]
    parts = [plain_source(real) for real in reals]
    joined = _join(context, parts, int(node.attribute("axis", 1)), node.name)
    quantization, is_unsigned = scalar_quantization(
        constant(values, 0, "scale"), constant(values, 1, "zero point"), node.label
    )
    return [emit(context, joined, quantization, is_unsigned, node.outputs[0], "")]


def pad(context: Context, node: Operator, values: Values) -> list[Value]:
    """Pad with a constant over the spatial axes of [1, C, H, W] or [1, C, W]."""
    if node.attribute("mode", "constant") != "constant":
        raise UnsupportedError("its mode must be constant")
    value = values[0]
    is_stored = isinstance(value, Quantized)
    source = value if isinstance(value, Quantized) else as_activation(context, value)
    before, after = _pad_widths(node, values, source.index.ndim)
    if not any(before) and not any(after):
        return [value] if isinstance(value, Quantized | Real) else []
    want = spatial_index(source.index)
    if any((*before[:2], *after[:2])) or min(*before, *after) < 0:
        raise UnsupportedError("it must pad spatial axes only, and by no negative amount")
    if source.index.ndim == 3:
        before, after = [*before[:2], 0, before[2]], [*after[:2], 0, after[2]]
    fill = _pad_value(node, values)
    if is_stored:
        offset = 128 if source.is_unsigned else 0
        zero_point = source.quantization.zero_point + offset
        fill = float((np.float32(fill) - zero_point) * np.float32(source.quantization.scale))
    channels, height, width = want.shape
    shape = (channels, before[2] + height + after[2], before[3] + width + after[3])
    onnx_shape = (1, *shape) if source.index.ndim == 4 else (1, channels, shape[2])
    producer = Padded(
        source=source,
        want=want,
        pads=(before[2], before[3], after[2], after[3]),
        value=fill,
        shape=shape,
    )
    index = np.arange(int(np.prod(shape))).reshape(onnx_shape)
    real = Real(producer=producer, index=index, names=(node.name,))
    if not is_stored:
        return [real]
    name = node.outputs[0]
    return [emit(context, real, source.quantization, source.is_unsigned, name, "")]


def _join(context: Context, parts: list[Quantized], axis: int, name: str) -> Real:
    builder = context.builder
    names, indices, offset = [], [], 0
    sizes = set()
    for part in parts:
        map_name, index = builder.natural(part)
        stored = builder.maps[map_name]
        names.append(map_name)
        indices.append(index + offset)
        offset += stored.channels * stored.pixels
        sizes.add((stored.height, stored.width))
    if len(sizes) > 1:
        raise UnsupportedError("its inputs are stored with different heights and widths")
    try:
        index = np.concatenate(indices, axis)
    except ValueError as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error
    return Real(
        producer=Joined(sources=tuple(parts), parts=tuple(names)), index=index, names=(name,)
    )


def _resolve(shape: tuple[int, ...], target: list[int], keeps_zero: bool) -> list[int]:
    if keeps_zero:
        return target
    return [shape[axis] if size == 0 else size for axis, size in enumerate(target)]


def _axes(node: Operator, values: Values) -> tuple[int, ...] | None:
    axes = node.attributes.get("axes")
    if axes is None and optional(values, 1) is not None:
        axes = constant(values, 1, "axes").reshape(-1).tolist()
    return None if axes is None else tuple(int(axis) for axis in axes)


def _pad_widths(node: Operator, values: Values, rank: int) -> tuple[list[int], list[int]]:
    pads = node.attributes.get("pads")
    widths = list(pads) if pads is not None else constant(values, 1, "pads").tolist()
    axes = list(range(rank))
    if optional(values, 3) is not None:
        axes = [int(axis) % rank for axis in constant(values, 3, "axes").tolist()]
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis] = int(widths[position])
        after[axis] = int(widths[position + len(widths) // 2])
    return before, after


def _pad_value(node: Operator, values: Values) -> float:
    if optional(values, 2) is not None:
        return float(constant(values, 2, "padding value").reshape(-1)[0])
    return float(node.attribute("value", 0.0))


def is_dequantized(value: Value | None) -> bool:
    """Whether `value` is the float form of a stored activation, perhaps behind unary operators."""
    return isinstance(value, Real) and isinstance(value.producer, Dequantized)
