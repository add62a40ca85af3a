"""Values [1, T, C] whose last axis is the channels: those that matrix products read."""

from tilewright.compiler.frontend.source import Operator, Source

PRODUCTS = ("Einsum", "Gemm", "MatMul", "QGemm", "QLinearMatMul")
SPATIAL = ("AveragePool", "Conv", "ConvTranspose", "MaxPool", "QLinearConv")
# fmt: off
ELEMENT_WISE = (
    "Add", "Clip", "Concat", "DequantizeLinear", "Div", "Gelu", "HardSwish", "Identity",
    "LeakyRelu", "Mul", "QLinearAdd", "QLinearConcat", "QLinearLeakyRelu", "QLinearMul",
    "QLinearSigmoid", "QuantizeLinear", "Relu", "Sigmoid", "Sub", "Tanh",
)
# fmt: on
"""Operators that keep the axes of their operands."""


def find_tokens(source: Source) -> frozenset[str]:
    """The names of all values that a matrix product reads, and no spatial operator before it."""
    readers: dict[str, list[Operator]] = {}
    for node in source.operators:
        for name in filter(None, node.inputs):
            readers.setdefault(name, []).append(node)
    found: dict[str, bool] = {}
    for node in reversed(source.operators):
        for name in node.outputs:
            found[name] = _is_read_by_products(name, readers, found)
    for spec in source.inputs:
        found[spec.name] = _is_read_by_products(spec.name, readers, found)
    return frozenset(name for name, is_token in found.items() if is_token)


def _is_read_by_products(
    name: str, readers: dict[str, list[Operator]], found: dict[str, bool]
) -> bool:
    nodes = readers.get(name, [])
    if any(node.op_type in SPATIAL for node in nodes):
        return False
    return any(
        (node.op_type in PRODUCTS and node.inputs[0] == name)
        or (node.op_type in ELEMENT_WISE and any(found.get(item) for item in node.outputs))
        for node in nodes
    )
