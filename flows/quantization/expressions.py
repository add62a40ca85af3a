"""Operators between which no Q/DQ may stand, because the compiler makes one step of them.

1. A table: element-wise operators that compute one tensor from one other and constants of one
   element (SiLU, HardSwish, GELU, Mish, any chain). A Q/DQ before it, one behind it.
2. A clamp (Relu, Clip, Min, Max) that alone reads what another operator makes joins that one.
3. BatchNormalization, and Add, Sub, Mul, Div by a constant per channel, that alone reads a Conv,
   ConvTranspose, Gemm or MatMul with constant weights joins it.
4. Of any other image it begins a depthwise product, which the next ones of these join.

What joins an operator has a Q/DQ behind it only. Tensors that somebody else reads are stored, and
a new expression begins there.
"""

from typing import TYPE_CHECKING

from tilewright.compiler.frontend.elementwise import BINARY, MICROSOFT_UNARY, UNARY
from tilewright.compiler.frontend.inference import MICROSOFT
from tilewright.flows.quantization.graph_view import GraphView
from tilewright.support.records import record

if TYPE_CHECKING:
    from onnx import NodeProto

CLAMPS = ("Relu", "Clip", "Min", "Max")
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@record(frozen=True, kw_only=True)
class Expression:
    """Nodes, in the graph's order, that compute the tensor `result` from the tensor `source`."""

    source: str
    result: str
    nodes: "tuple[NodeProto, ...]"
    joins: bool
    """Whether it joins the operator that makes `source`, which then has no Q/DQ behind it."""
    is_product: bool = False
    """Whether it is a depthwise product, which is worth it only where `source` is stored anyway."""


def find_expressions(view: GraphView) -> tuple[Expression, ...]:
    """Return the largest expressions of a graph, in the graph's order; none overlap."""
    folded, products = _per_channel(view)
    linear = folded | products
    nodes = [n for n in view.nodes if n.output[0] in linear or _is_elementwise(view, n)]
    made = {node.output[0] for node in nodes}
    inside = [name for node in nodes for name in view.data_inputs(node)]
    read = {name for node in view.nodes if node.output[0] not in made for name in node.input}
    stored = (made & (read | view.outputs)) | (set(inside) - made)
    while True:
        sources, joining = _sources(view, nodes, stored, folded)
        parted = {
            name
            for node in nodes
            if len(sources[node.output[0]]) > 1 or node.output[0] in joining | products
            for name in (*view.data_inputs(node), node.output[0])
        }
        if parted <= stored:
            break
        stored |= parted
    return tuple(
        Expression(
            source=next(iter(sources[node.output[0]])),
            result=node.output[0],
            nodes=tuple(_back_to_stored(view, node, stored)),
            joins=node.output[0] in joining,
            is_product=node.output[0] in products,
        )
        for node in nodes
        if node.output[0] in stored and len(sources[node.output[0]]) == 1
    )


def _sources(
    view: GraphView, nodes: "list[NodeProto]", stored: set[str], folded: set[str]
) -> tuple[dict[str, set[str]], set[str]]:
    """The stored tensors that each result is computed from, and the results of what joins."""
    sources: dict[str, set[str]] = {}
    joining = set(folded)
    for node in nodes:
        inputs = view.data_inputs(node)
        found = {s for name in inputs for s in ({name} if name in stored else sources[name])}
        is_lone = found == set(inputs) and len(inputs) == 1 and view.is_read_once(inputs[0])
        if node.op_type in CLAMPS and is_lone and inputs[0] in view.makers:
            joining.add(node.output[0])
        sources[node.output[0]] = found
    return sources, joining


def _back_to_stored(view: GraphView, last: "NodeProto", stored: set[str]) -> "list[NodeProto]":
    """The nodes that compute the output of `last` from stored tensors, in the graph's order."""
    found: set[str] = set()
    pending = [last]
    while pending:
        node = pending.pop()
        if node.output[0] not in found:
            found.add(node.output[0])
            pending.extend(view.makers[n] for n in view.data_inputs(node) if n not in stored)
    return [node for node in view.nodes if node.output[0] in found]


def _is_elementwise(view: GraphView, node: "NodeProto") -> bool:
    """Whether `node` computes each element from those at its place and constants of one."""
    names = MICROSOFT_UNARY if node.domain == MICROSOFT else () if node.domain else UNARY + BINARY
    inputs = view.data_inputs(node)
    if node.op_type not in names or not inputs or not view.is_float(node.output[0]):
        return False
    ranks = [view.rank(name) or 0 for name in inputs]
    constants = [view.constants[name] for name in node.input if name in view.constants]
    return all(item.size == 1 and item.ndim <= max(1, *ranks) for item in constants)


def _per_channel(view: GraphView) -> tuple[set[str], set[str]]:
    """The results of operators of rule 3, and of those of rule 4 that begin a product."""
    linear = {
        node.output[0]: 1 if node.op_type.startswith("Conv") else -1
        for node in view.nodes
        if node.op_type in LINEAR and not node.domain and node.input[1] in view.constants
    }
    folded, products = set(), set()
    for node in view.nodes:
        inputs = view.data_inputs(node)
        if len(inputs) != 1 or not view.is_float(node.output[0]):
            continue
        is_alone = inputs[0] in linear and view.is_read_once(inputs[0])
        axis = linear[inputs[0]] if is_alone else 1
        if is_channelwise(view, node, axis):
            is_image = view.rank(inputs[0]) == 4 and any(
                view.constants[name].size > 1 for name in node.input if name in view.constants
            )
            if is_alone:
                folded.add(node.output[0])
            elif is_image:
                products.add(node.output[0])
            if is_alone or is_image:
                linear[node.output[0]] = axis
    return folded, products


def is_channelwise(view: GraphView, node: "NodeProto", axis: int) -> bool:
    """Whether `node` scales and shifts its one data input by constants along `axis` at most."""
    rank = view.rank(view.data_inputs(node)[0])
    if node.op_type == "BatchNormalization":
        return rank is not None and axis % rank == 1 and len(list(filter(None, node.output))) == 1
    if node.op_type not in BINARY or node.domain or len(node.input) != 2:
        return False
    is_second = node.input[1] in view.constants
    constant = view.constants[node.input[int(is_second)]]
    is_gain_zero = node.op_type in ("Mul", "Div") and not constant.all()
    is_shift = is_second or node.op_type in ("Add", "Mul")
    return is_shift and not is_gain_zero and _varies_along(constant.shape, rank, axis)


def _varies_along(shape: tuple[int, ...], rank: int | None, axis: int) -> bool:
    """Whether a constant that broadcasts to `rank` axes varies along `axis` at most."""
    if rank is None or len(shape) > rank:
        return False
    full = (1,) * (rank - len(shape)) + shape
    return all(size == 1 for at, size in enumerate(full) if at != axis % rank)
