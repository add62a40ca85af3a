"""An island as a function: an ONNX node is an operation `onnx.OP`, with why it runs on the host."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TypeProto, helper, numpy_helper

from tilewright.compiler.text.mlir import (
    Names,
    Operation,
    Printer,
    Raw,
    Value,
    function_type,
    tensor_type,
)
from tilewright.hw.spec.steps import Island

UNKNOWN_TYPE = "!tw.unknown"
"""Of a value whose type ONNX's inference does not find, and of what is no tensor of numbers."""


def island_text(island: Island, *, with_weights: bool = False) -> str:
    """Return the text of an island, which is the same after every pass."""
    module = Operation(
        name="builtin.module",
        attributes={"tw.island": island.name},
        body=(island_operation(island),),
    )
    return Printer(with_weights=with_weights).text(module)


def island_operation(island: Island) -> Operation:
    """Return the function of an island's ONNX model; times in seconds are estimates."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(island.model))
    graph, values = model.graph, _values(model)
    arguments = tuple(values[item.name] for item in graph.input)
    results = tuple(values[item.name] for item in graph.output)
    reasons = {operator.name: operator.reason for operator in island.operators}
    return Operation(
        name="func.func",
        properties={
            "sym_name": island.name,
            "function_type": Raw(text=function_type(arguments, results)),
            "arg_attrs": [{"tw.tensor": item.name} for item in graph.input],
            "res_attrs": [{"tw.tensor": item.name} for item in graph.output],
        },
        attributes={
            "tw.moved_bytes": island.moved_bytes,
            "tw.seconds": float(np.float32(island.seconds)),
        },
        arguments=arguments,
        body=(
            *_constants(model, values),
            *(_node(node, values, reasons.get(node.name, "")) for node in graph.node),
            Operation(name="func.return", operands=results),
        ),
    )


def _values(model: ModelProto) -> dict[str, Value]:
    """By tensor: its SSA value. The tensor without a name is an optional input left out."""
    graph, names = model.graph, Names()
    types = {item.name: _type(item.type) for item in (*graph.input, *graph.value_info)}
    types |= {item.name: _type(item.type) for item in graph.output}
    types |= {
        item.name: _type(helper.make_tensor_type_proto(item.data_type, item.dims))
        for item in graph.initializer
    }
    used = (name for node in graph.node for name in (*node.input, *node.output))
    return {
        name: Value(
            name=names.take(name or "none"),
            type=types.get(name, UNKNOWN_TYPE) if name else "none",
        )
        for name in dict.fromkeys((*types, *used))
    }


def _type(given: TypeProto) -> str:
    tensor = given.tensor_type
    if not tensor.elem_type or not tensor.HasField("shape"):
        return UNKNOWN_TYPE
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if dtype.kind not in "iufb":
        return UNKNOWN_TYPE
    sizes = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return tensor_type(tuple(sizes), dtype)


def _constants(model: ModelProto, values: dict[str, Value]) -> Iterator[Operation]:
    for item in model.graph.initializer:
        content = _array(numpy_helper.to_array(item))
        yield Operation(
            name="onnx.Constant", results=(values[item.name],), attributes={"value": content}
        )
    if "" in values:
        yield Operation(name="onnx.NoValue", results=(values[""],))


def _node(node: NodeProto, values: dict[str, Value], reason: str) -> Operation:
    attributes = {item.name: _attribute(item) for item in node.attribute}
    return Operation(
        name=f"{node.domain or 'onnx'}.{node.op_type}",
        operands=tuple(values[name] for name in node.input),
        results=tuple(values[name] for name in node.output),
        attributes={"tw.node": node.name, **attributes, "tw.reason": reason},
    )


def _attribute(item: AttributeProto) -> Any:
    """The Python value of an attribute; of a graph its digest."""
    value = helper.get_attribute_value(item)
    if isinstance(value, onnx.TensorProto):
        return _array(numpy_helper.to_array(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.GraphProto | onnx.TypeProto | onnx.SparseTensorProto):
        return _digest(value.SerializeToString(deterministic=True))
    if isinstance(value, int | float):
        return value
    return [each.decode(errors="replace") if isinstance(each, bytes) else each for each in value]


def _array(array: np.ndarray) -> Any:
    return array if array.dtype.kind in "iuf" else _digest(array.tobytes())


def _digest(data: bytes) -> dict[str, str]:
    return {"digest": hashlib.sha256(data).hexdigest()[:16]}
