"""Slice, Split, Gather, Expand, Tile, DepthToSpace, SpaceToDepth, Resize and Upsample (nearest).

They only change the index of a value; no data moves until an operator needs another order.
"""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.context import Context, Values
from tilewright.compiler.frontend.evaluate import run_nodes
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.interpolation import interpolate
from tilewright.compiler.frontend.source import REINDEXING_OPERATORS, Operator
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Index,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)

EXACT_IN_FLOAT = 2**24
"""Positions below this are float32 values."""


@handles(
    Entry(
        operators=REINDEXING_OPERATORS,
        runs="a copy of channels (a 1x1 convolution, which joins the weights of a neighbour where "
        "it can), of every n-th pixel (a pooling, several where pixels become channels), of rows "
        "and columns in any order, or of groups of channels in between each other's pixels (a "
        "resampling); nothing at the outputs of a section",
        conditions="all but the first input constant; Resize and Upsample: nearest, or linear by "
        "integer factors or divided by them, with align_corners of the distances between pixels "
        "(a depthwise convolution of the repeated pixels; of values not yet quantized, too, one "
        "step off at most); other orders "
        "(channels to pixels say), and rows or columns in more than 16 runs of equal steps, are "
        "made by the host between two sections",
        cost="none where weights take it; the 1x1 convolution or a pass; the host's reordering",
    ),
    has_several_outputs=True,
)
def reindex(context: Context, node: Operator, values: Values) -> list[Value]:
    """What ONNX Runtime does to the positions 0, 1, 2, ... is done to the value's index."""
    value = values[0]
    if not isinstance(value, Quantized | Real):
        raise UnsupportedError("its input is not an activation on the device")
    if node.op_type in ("Resize", "Upsample"):
        if isinstance(value, Real) and node.attribute("mode", "nearest") == "linear":
            return [interpolate(context, node, values)]
        _check_resize(node)
    if value.index.size > EXACT_IN_FLOAT:
        raise UnsupportedError(f"its input must have {EXACT_IN_FLOAT} elements at most")
    feeds: dict[str, Array] = {node.inputs[0]: _positions(value.index)}
    for name, other in zip(node.inputs[1:], values[1:], strict=True):
        if name and not isinstance(other, Constant):
            raise UnsupportedError("its other inputs are not constants")
        if isinstance(other, Constant):
            feeds[name] = other.array
    outputs = [name for name in node.outputs if name]
    opsets = context.source.model.opset_import
    results: list[Value] = []
    for name, places in zip(outputs, run_nodes([node.proto], feeds, outputs, opsets), strict=True):
        index: Index = value.index.reshape(-1)[places.astype(np.int64)]
        if not index.size:
            raise UnsupportedError("its result has no elements")
        if isinstance(value, Real):
            results.append(replace(value, index=index, tensor=name))
        else:
            results.append(replace(value, index=index))
    return results


def _positions(index: Index) -> Array:
    return np.arange(index.size, dtype=np.float32).reshape(index.shape)


def _check_resize(node: Operator) -> None:
    if node.attribute("mode", "nearest") != "nearest":
        raise UnsupportedError("its mode must be nearest, or linear behind a DequantizeLinear")
    if node.attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise UnsupportedError("it must not crop")
