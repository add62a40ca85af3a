"""Scale and zero point of an int8 model input, read off the first operator that states them."""

import numpy as np

from tilewright.compiler.frontend.context import scalar_quantization
from tilewright.compiler.frontend.source import (
    LAYOUT_OPERATORS,
    REINDEXING_OPERATORS,
    Operator,
    Source,
)
from tilewright.compiler.frontend.values import Array, UnsupportedError
from tilewright.hw.spec.tensor import Quantization

TRANSPARENT = (*LAYOUT_OPERATORS, *REINDEXING_OPERATORS, "Concat", "MaxPool", "Pad")
"""Operators on int8 values that keep scale and zero point."""

FIRST_OPERANDS = {
    "DequantizeLinear": (0,),
    "QGemm": (0,),
    "QLinearAdd": (0, 3),
    "QLinearAveragePool": (0,),
    "QLinearConv": (0,),
    "QLinearGlobalAveragePool": (0,),
    "QLinearLeakyRelu": (0,),
    "QLinearMatMul": (0,),
    "QLinearMul": (0, 3),
    "QLinearSigmoid": (0,),
}
"""Positions of the activations that scale and zero point follow in the node's inputs."""


def find_quantization(source: Source, name: str, is_unsigned: bool) -> Quantization:
    """The int8 quantization of the value `name`; scale 1 where no operator states one."""
    seen, pending = {name}, [name]
    while pending:
        value = pending.pop(0)
        for node in source.consumers(value):
            stated = _stated(source, node, value, is_unsigned)
            if stated is not None:
                return stated
            if node.op_type in TRANSPARENT:
                made = [name for name in node.outputs if name and name not in seen]
                seen.update(made)
                pending.extend(made)
    return Quantization(scale=1.0, zero_point=-128 if is_unsigned else 0)


def _stated(source: Source, node: Operator, value: str, is_unsigned: bool) -> Quantization | None:
    positions: tuple[int, ...] = FIRST_OPERANDS.get(node.op_type, ())
    if node.op_type == "QLinearConcat":
        positions = tuple(range(2, len(node.inputs), 3))
    for position in positions:
        if node.inputs[position] != value:
            continue
        scale = _constant(source, node, position + 1)
        if scale is None:
            continue
        try:
            zero_point = _constant(source, node, position + 2)
            return scalar_quantization(scale, zero_point, node.label, is_unsigned)[0]
        except UnsupportedError:
            return None
    return None


def _constant(source: Source, node: Operator, position: int) -> Array | None:
    if position >= len(node.inputs) or not node.inputs[position]:
        return None
    name = node.inputs[position]
    if name in source.constants:
        return source.constants[name]
    maker = next((item for item in source.operators if name in item.outputs), None)
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return np.asarray(maker.attributes["value"])
    return None
