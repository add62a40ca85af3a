"""How much an ONNX operator computes: multiply-accumulates and elements, from static shapes."""

import math
from collections.abc import Sequence

import numpy as np

from tilewright.compiler.frontend.equation import equation_of, operands_of
from tilewright.compiler.frontend.source import Operator, Source
from tilewright.compiler.frontend.values import UnsupportedError

CONVOLUTIONS = ("Conv", "ConvInteger", "FusedConv", "QLinearConv")
TRANSPOSED = ("ConvTranspose",)
GENERAL = ("FusedGemm", "Gemm", "QGemm")
PRODUCTS = (
    "DynamicQuantizeMatMul", "FusedMatMul", "MatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "QLinearMatMul",
)  # fmt: skip
SECOND_OPERAND = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}
"""Position of weights or right operand, where it is not 1."""


def shape_of(source: Source, name: str) -> tuple[int, ...] | None:
    """The static shape of a value; None where it is not known."""
    if name in source.constants:
        return source.constants[name].shape
    return source.types.get(name, ("", None))[1]


def macs_of(source: Source, node: Operator) -> int:
    """Multiply-accumulates of a Conv, ConvTranspose, Gemm or MatMul in any form, or of an Einsum
    that is one; others have 0.

    0, too, where a shape is not known. A transposed convolution multiplies each input element with
    every weight of its channel.
    """
    if node.op_type == "Einsum":
        return _macs_of_einsum(node, [shape_of(source, name) for name in node.inputs])
    if node.op_type not in (*CONVOLUTIONS, *TRANSPOSED, *GENERAL, *PRODUCTS):
        return 0
    result = shape_of(source, node.outputs[0])
    first = shape_of(source, node.inputs[0])
    second = shape_of(source, node.inputs[SECOND_OPERAND.get(node.op_type, 1)])
    if result is None or first is None or second is None:
        return 0
    if node.op_type in CONVOLUTIONS:
        return int(np.prod(result)) * int(np.prod(second[1:]))
    if node.op_type in TRANSPOSED:
        return int(np.prod(first)) * int(np.prod(second[1:]))
    depth = first[-2] if node.attribute("transA", 0) else first[-1]
    return int(np.prod(result)) * depth


def _macs_of_einsum(node: Operator, shapes: Sequence[tuple[int, ...] | None]) -> int:
    known = [shape for shape in shapes if shape is not None]
    try:
        terms = operands_of(str(node.attribute("equation", "")))
        return math.prod(equation_of(terms, known).sizes.values()) if len(known) == 2 else 0
    except UnsupportedError:
        return 0


def elements_of(source: Source, node: Operator) -> int:
    """Elements of an operator's largest result, of its largest input where no result is known."""
    return source.elements(node.outputs) or source.elements(node.inputs)
