"""A model with a batch becomes a model of one sample.

A batch is axis 0 of the model's inputs: symbolic, or a number above 1 in a model with operators
that have a batch axis of their own (convolutions, pooling). In other models the rows of a matrix
are pixels, and weights are loaded once for all of them.

That the samples do not meet anywhere is proved, see `batch_proof`.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, numpy_helper

from tilewright.compiler.frontend.batch_proof import prove, try_batch
from tilewright.hw.spec.batch import Batch
from tilewright.support.errors import ModelError

Array = NDArray[np.generic]
Values = dict[str, Array]

BATCHED_OPERATORS = (
    "Conv", "ConvInteger", "ConvTranspose", "QLinearConv", "AveragePool", "GlobalAveragePool",
    "GlobalMaxPool", "MaxPool", "QLinearAveragePool", "QLinearGlobalAveragePool",
)  # fmt: skip
"""Operators whose first input is [N, C, ...] by their definition."""
SHAPE_INPUTS = {"Reshape": 1, "Expand": 1, "Resize": 3}
"""Position of the input that holds the shape of the result."""
SYMBOLIC_SAMPLES = 3
"""Samples with which a symbolic batch is tried."""


def single_sample(model: ModelProto) -> tuple[ModelProto, Batch | None]:
    """Return the model of one sample, and its batch; the model as it is where it has none.

    model: checked, without local functions; it stays unchanged. Axes other than axis 0 are left to
    the caller, and so is a symbolic axis 0 with which ONNX Runtime runs no more than one sample.

    Raises:
        ModelError: samples meet, with the first node where they do.
    """
    inputs = _inputs(model.graph)
    if any(_has_no_elements(item) for item in inputs):
        return model, None
    if any(item.type.WhichOneof("value") != "tensor_type" for item in model.graph.input):
        return model, None
    symbolic = [item for item in inputs if _leading(item) is None]
    if symbolic:
        size, batched = None, symbolic
    else:
        size = _static_batch(model)
        batched = [item for item in inputs if size is not None and _leading(item) == size]
    if not batched or not all(_is_static_behind(item) for item in inputs):
        return model, None
    names = [item.name for item in batched]
    rewritten = _rewrite(model, names, size)
    count = size or SYMBOLIC_SAMPLES
    try:
        trial = try_batch(model, names, count)
    except ModelError:
        if size is None:
            return rewritten, None
        raise
    axes = prove(trial, rewritten)
    outputs = tuple(item.name for item in model.graph.output if axes[item.name] is not None)
    moved = [name for name in outputs if axes[name] != 0]
    if moved:
        raise ModelError(f"model output {moved[0]!r} must have its samples on axis 0")
    dimension = batched[0].type.tensor_type.shape.dim[0].dim_param or "N"
    return rewritten, Batch(size=size, dimension=dimension, inputs=tuple(names), outputs=outputs)


def fix_batch(model: ModelProto, size: int) -> ModelProto:
    """Return the model with `size` samples on the symbolic axis 0 of its inputs.

    A model whose operators have no batch axis then computes all of them as rows of one matrix.
    Raises ModelError where there is no such axis.
    """
    names = [item.name for item in _inputs(model.graph) if _leading(item) is None]
    if not names:
        given = [f"{item.name} [{_leading(item)}, ...]" for item in _inputs(model.graph)]
        raise ModelError(
            f"batch {size} needs an input whose axis 0 is symbolic, but the inputs are "
            f"{', '.join(given)}; leave the batch out"
        )
    if size < 1:
        raise ModelError(f"a batch must be at least 1, got {size}")
    return _with_axis(model, names, size)


def _with_axis(model: ModelProto, names: list[str], size: int) -> ModelProto:
    """The model with `size` as axis 0 of some inputs; the other shapes are to be inferred again."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for item in changed.graph.input:
        if item.name in names:
            item.type.tensor_type.shape.dim[0].dim_value = size
    del changed.graph.value_info[:]
    for item in changed.graph.output:
        item.type.tensor_type.ClearField("shape")
    return changed


def _inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs that are no constants and have at least one axis."""
    constants = {item.name for item in graph.initializer}
    return [i for i in graph.input if i.name not in constants and i.type.tensor_type.shape.dim]


def _leading(item: ValueInfoProto) -> int | None:
    """Axis 0; None where it is symbolic."""
    dimension = item.type.tensor_type.shape.dim[0]
    return dimension.dim_value if dimension.dim_value > 0 else None


def _has_no_elements(item: ValueInfoProto) -> bool:
    """Whether an axis has the length 0, which is not the same as none."""
    return any(d.HasField("dim_value") and not d.dim_value for d in item.type.tensor_type.shape.dim)


def _is_static_behind(item: ValueInfoProto) -> bool:
    return all(dimension.dim_value > 0 for dimension in item.type.tensor_type.shape.dim[1:])


def _static_batch(model: ModelProto) -> int | None:
    """The number above 1 that is axis 0 of a model input and of a batched operator's input."""
    sizes = {_leading(item) for item in _inputs(model.graph)} - {1}
    if not sizes:
        return None
    graph = _infer(model).graph
    known = {i.name: i.type.tensor_type.shape.dim for i in (*graph.input, *graph.value_info)}
    for node in graph.node:
        shape = known.get(node.input[0], []) if node.input else []
        if shape and shape[0].dim_value in sizes and _has_batch(node, len(shape)):
            return int(shape[0].dim_value)
    return None


def _has_batch(node: NodeProto, rank: int) -> bool:
    """Whether axis 0 of the node's first input, which has `rank` axes, is a batch."""
    if node.op_type == "BatchNormalization":
        trains = any(item.name == "training_mode" and item.i for item in node.attribute)
        return rank > 2 and not trains
    return node.op_type in BATCHED_OPERATORS


def _infer(model: ModelProto) -> ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # InferenceError or a protobuf error
        raise ModelError(f"shape inference fails: {' '.join(str(error).split())[:300]}") from error


def _rewrite(model: ModelProto, batched: list[str], size: int | None) -> ModelProto:
    """The model with 1 in place of the batch; shapes in between are to be inferred again."""
    single = _with_axis(model, batched, 1)
    graph = single.graph
    if size is not None:
        constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        constants |= dict(_constant_nodes(graph))
        for number, node in enumerate(graph.node):
            _rewrite_shape(graph, node, number, constants, size)
    return single


def _constant_nodes(graph: GraphProto) -> Iterator[tuple[str, Array]]:
    for node in graph.node:
        for item in node.attribute:
            if node.op_type == "Constant" and item.name == "value":
                yield node.output[0], numpy_helper.to_array(item.t)


def _rewrite_shape(
    graph: GraphProto, node: NodeProto, number: int, constants: Values, size: int
) -> None:
    """Divide the batch out of the constant shape that a node gives its result."""
    position = SHAPE_INPUTS.get(node.op_type)
    if position is None or position >= len(node.input) or node.input[position] not in constants:
        return
    shape = constants[node.input[position]].astype(np.int64)
    axes = [axis for axis, length in enumerate(shape) if length == size]
    if len(shape) and shape[0] > 0 and shape[0] % size == 0:
        axes = [0]
    if axes:
        shape[axes[0]] //= size
        name = f"{node.input[position]}_of_node_{number}"
        graph.initializer.append(numpy_helper.from_array(shape, name))
        node.input[position] = name
