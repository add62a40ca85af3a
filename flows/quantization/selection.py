"""Which operators of a float model are quantized.

1. What ONNX Runtime's quantizer quantizes by itself, means over pixels and GlobalMaxPool, too.
   Means that normalize (of squares, or subtracted from something) stay in float, and what only
   they read.
2. Expressions and operators that only move data, where what they read is made, or what they make
   is read, by a quantized operator: between operators of the host a Q/DQ would only lose precision.
3. What scales and shifts channels by constants, where what it reads is made by a quantized
   operator: for an input of the model and behind its own operators the host does that without loss.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright.flows.quantization.expressions import Expression, is_channelwise
from tilewright.flows.quantization.graph_view import GraphView
from tilewright.support.records import record

if TYPE_CHECKING:
    from onnx import NodeProto

MOVING = (
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Pad", "Resize",
    "Gather", "GatherElements", "TopK",
)  # fmt: skip
POOLS = ("GlobalMaxPool", "ReduceMean")
"""What ONNX Runtime's quantizer does not quantize by itself."""
PIXEL_AXES = {4: ({2, 3},), 3: ({1}, {2})}
"""The axes that are pixels, by rank; of three axes the last two may be channels in either order."""


@record(frozen=True, kw_only=True)
class Selection:
    """What is quantized, what is not, by the names of nodes."""

    expressions: tuple[Expression, ...]
    excluded: tuple[str, ...]
    operators: tuple[str, ...]
    """The types of operator that are quantized, beside the expressions."""


def select(view: GraphView, expressions: Sequence[Expression]) -> Selection:
    """Choose what is quantized; nodes have unique names."""
    operators = _quantizable()
    inside = {node.name: item for item in expressions for node in item.nodes}
    chosen = {
        node.name
        for node in view.nodes
        if node.name not in inside
        and node.op_type in operators
        and node.op_type not in MOVING
        and (node.op_type != "ReduceMean" or _averages_pixels(view, node))
        and not _scales_channels(view, node)
    }
    products = [item.nodes for item in expressions if item.is_product]
    products += [(n,) for n in view.nodes if n.name not in inside and _scales_channels(view, n)]
    groups = [
        item.nodes
        for item in expressions
        if not item.is_product and not _is_only_normalized(view, item.result)
    ]
    groups += [(n,) for n in view.nodes if n.op_type in MOVING and n.name not in inside]
    while True:
        reached = [g for g in groups if _touches(view, g, chosen)]
        reached += [g for g in products if _follows(view, g, chosen)]
        names = {node.name for group in reached for node in group}
        if names <= chosen:
            break
        chosen |= names
    return Selection(
        expressions=tuple(item for item in expressions if item.nodes[0].name in chosen),
        excluded=tuple(node.name for node in view.nodes if node.name not in chosen),
        operators=tuple(operators),
    )


def _quantizable() -> list[str]:
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QDQRegistry, *QLinearOpsRegistry, *POOLS})


def _touches(view: GraphView, group: "tuple[NodeProto, ...]", chosen: set[str]) -> bool:
    return any(other.name in chosen for node in group for other in view.neighbors(node))


def _is_only_normalized(view: GraphView, tensor: str) -> bool:
    readers = view.readers(tensor)
    means = [node for node in readers if node.op_type == "ReduceMean"]
    return (
        bool(readers)
        and len(means) == len(readers)
        and not any(_averages_pixels(view, node) for node in means)
    )


def _follows(view: GraphView, group: "tuple[NodeProto, ...]", chosen: set[str]) -> bool:
    maker = view.makers.get(view.data_inputs(group[0])[0])
    return maker is not None and maker.name in chosen


def _scales_channels(view: GraphView, node: "NodeProto") -> bool:
    """Whether `node` scales or shifts what may be the channels: axis 1 or the last one."""
    return len(view.data_inputs(node)) == 1 and any(is_channelwise(view, node, a) for a in (1, -1))


def _averages_pixels(view: GraphView, node: "NodeProto") -> bool:
    from onnx import helper

    source, result = node.input[0], node.output[0]
    rank = view.rank(source)
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    axes = attributes.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in view.constants:
        axes = view.constants[node.input[1]].reshape(-1).tolist()
    if axes is None or rank is None or {a % rank for a in axes} not in PIXEL_AXES.get(rank, ()):
        return False
    maker = view.makers.get(source)
    squares = maker is not None and (
        maker.op_type == "Pow" or (maker.op_type == "Mul" and maker.input[0] == maker.input[1])
    )
    return not squares and all(reader.op_type != "Sub" for reader in view.readers(result))
