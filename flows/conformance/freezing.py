"""What is constant in practice becomes constant: weights, scales, axes, shapes, pads ..."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper

from tilewright.flows.runtime.tensors import Array

# fmt: off
EVERY_INPUT = (
    "Adagrad", "Adam", "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Concat",
    "Div", "Einsum", "Equal", "FlexAttention", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
    "Max", "Mean", "Min", "Mod", "Momentum", "Mul", "Or", "Scan", "StringConcat", "Sub", "Sum",
    "SwiGLU", "Where", "Xor",
)
# fmt: on
"""Operators whose inputs are all data."""
FIRST_INPUTS = {
    "ArrayFeatureExtractor": 2,
    "Attention": 7,
    "GridSample": 2,
    "LinearAttention": 6,
    "MaxUnpool": 2,
    "NegativeLogLikelihoodLoss": 2,
    "NonMaxSuppression": 2,
    "OneHot": 1,
    "RoiAlign": 3,
    "Scatter": 3,
    "ScatterElements": 3,
    "ScatterND": 3,
    "SequenceInsert": 2,
    "SequenceMap": 9,
    "SoftmaxCrossEntropyLoss": 2,
    "TensorScatter": 3,
}  # fmt: skip
"""Operators by how many of their first inputs are data. Of others the first one is."""


def frozen_inputs(model: ModelProto) -> set[str]:
    """Return the model inputs that operators read only where constants stand in practice."""
    names = {item.name for item in model.graph.input}
    data: set[str] = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in names and _is_data(node, place):
                data.add(name)
    read = {name for node in model.graph.node for name in node.input}
    return names & read - data


def _is_data(node: NodeProto, place: int) -> bool:
    return node.op_type in EVERY_INPUT or place < FIRST_INPUTS.get(node.op_type, 1)


def freeze(model: ModelProto, names: set[str], values: Mapping[str, Any]) -> ModelProto:
    """Return the model with these inputs as initializers of these values, where they are arrays.

    What an initializer gives is no input of it.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    constants = {item.name for item in model.graph.initializer}
    kept = []
    for item in (item for item in model.graph.input if item.name not in constants):
        value = values.get(item.name)
        if item.name not in names or not _is_array(value):
            kept.append(item)
            continue
        dtype = item.type.tensor_type.elem_type
        result.graph.initializer.append(_tensor(value, item.name, dtype))
    del result.graph.input[:]
    result.graph.input.extend(kept)
    return result


def _is_array(value: Any) -> TypeGuard[Array]:
    return isinstance(value, np.ndarray) and value.dtype.kind != "O"


def _tensor(value: Array, name: str, dtype: int) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
    assert tensor.data_type == dtype, (name, tensor.data_type, dtype)
    return tensor
