"""Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity, Dropout and Cast.

They only change the index of a value; no data moves on the device.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from tilewright.compiler.frontend.context import (
    FLOATS,
    Context,
    Values,
    constant,
    optional,
)
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.source import LAYOUT_OPERATORS, Operator
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Index,
    Quantized,
    QuantizedConstant,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.hw.spec.tensor import Quantization

Change = Callable[[Array], Array]


@handles(
    Entry(
        operators=LAYOUT_OPERATORS,
        runs="nothing moves",
        conditions="the order of the data in memory stays; any order in front of Gemm or MatMul "
        "with one row (their weights are permuted) and at the inputs and outputs of a section "
        "(the host packs); other orders as for Slice",
        cost="none, or a copy as of Slice",
    ),
    has_several_outputs=True,
)
def change_layout(context: Context, node: Operator, values: Values) -> list[Value]:
    """Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity or Dropout of an activation."""
    value = values[0]
    if not isinstance(value, Quantized | Real):
        raise UnsupportedError("its input is not an activation on the device")
    trains = node.op_type == "Dropout" and optional(values, 2) is not None
    if trains and constant(values, 2, "training mode").any():
        raise UnsupportedError("it drops values at random; export the model for inference")
    change = layout_change(node, values)
    index: Index = np.asarray(_applied(change, value.index), np.int64)
    if isinstance(value, Quantized):
        return [replace(value, index=index)]
    return [replace(value, index=index, tensor=node.outputs[0])]


def _applied(change: Change, array: Array) -> Array:
    try:
        return change(array)
    except (ValueError, IndexError) as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error


@handles(
    Entry(
        operators=("Cast",),
        runs="nothing moves",
        conditions="CastLike is read as Cast; between float types, to the type a value has, or of "
        "int8 and uint8 to float (scale 1, zero point 0)",
        cost="none",
    )
)
def cast(context: Context, node: Operator, values: Values) -> list[Value]:
    """Cast between float types, of an integer to its own type, or of a stored integer to float.

    What has no DequantizeLinear behind it has scale 1 and zero point 0 (uint8 images).
    """
    value, target = values[0], tensor_dtype_to_np_dtype(int(node.attribute("to", 0))).name
    if isinstance(value, Real) and target in (*FLOATS, "float64"):
        return [replace(value, tensor=node.outputs[0])]
    if isinstance(value, Quantized) and target == ("uint8" if value.is_unsigned else "int8"):
        return [value]
    if isinstance(value, Quantized) and target in FLOATS:
        plain = Quantization(scale=1.0, zero_point=-128 if value.is_unsigned else 0)
        if value.quantization == plain or value.is_border:
            source = replace(value, quantization=plain)
            producer = Dequantized(source=source)
            return [Real(producer=producer, index=value.index, tensor=node.outputs[0])]
    raise UnsupportedError(f"it converts to {target} what the device does not hold so")


def layout_change(node: Operator, values: Values) -> Change:
    """The NumPy function that does to an array what `node` does to its first input."""
    if node.op_type == "Reshape":
        target = node.attributes.get("shape")
        if target is None:
            target = constant(values, 1, "shape").reshape(-1)
        shape = [int(size) for size in target]
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
    raw, axis = _applied(change, stored.raw), stored.axis
    if stored.scale.size > 1:
        if node.op_type == "Transpose":
            axis = int(np.argsort(change_order(node, stored.raw.ndim))[axis])
        elif node.op_type not in ("Identity", "Dropout"):
            return None
    changed = QuantizedConstant(
        raw=raw, scale=stored.scale, zero_point=stored.zero_point, axis=axis
    )
    return Constant(array=change(value.array), quantized=changed)


def change_order(node: Operator, rank: int) -> list[int]:
    """The permutation of a Transpose."""
    return list(node.attribute("perm", None) or range(rank)[::-1])


def _resolve(shape: tuple[int, ...], target: list[int], keeps_zero: bool) -> list[int]:
    if keeps_zero:
        return target
    return [shape[axis] if size == 0 else size for axis, size in enumerate(target)]


def _axes(node: Operator, values: Values) -> tuple[int, ...] | None:
    axes = node.attributes.get("axes")
    if axes is None and optional(values, 1) is not None:
        axes = constant(values, 1, "axes").reshape(-1).tolist()
    return None if axes is None else tuple(int(axis) for axis in axes)
