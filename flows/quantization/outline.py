"""Expressions become single operators for ONNX Runtime's quantizer, and themselves again behind it.

The single operators are calls of functions of the model (ONNX FunctionProto), which ONNX Runtime
executes: the quantizer sees one operator with one input and one output, calibrates both, and never
sees the constants inside.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright.compiler.frontend.source import LAYOUT_OPERATORS
from tilewright.flows.quantization.expressions import Expression
from tilewright.flows.quantization.graph_view import GraphView

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

DOMAIN = "tilewright.quantization"


def function_names(expressions: Sequence[Expression]) -> list[str]:
    """The types of the operators that stand for the expressions."""
    return [f"Expression{number}" for number in range(len(expressions))]


def outlined(view: GraphView, expressions: Sequence[Expression]) -> "ModelProto":
    """Return the model with a call of a function in place of each expression."""
    from onnx import ModelProto, helper

    model = ModelProto()
    model.CopyFrom(view.model)
    names = function_names(expressions)
    inside = {node.name for item in expressions for node in item.nodes}
    calls = {
        item.nodes[-1].name: helper.make_node(
            name, [item.source], [item.result], name=item.nodes[-1].name, domain=DOMAIN
        )
        for name, item in zip(names, expressions, strict=True)
    }
    nodes = [calls.get(n.name, n) for n in view.nodes if n.name in calls or n.name not in inside]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    known = {item.name for item in model.graph.value_info} | view.outputs
    kept = {name for node in nodes for name in node.output} - known
    model.graph.value_info.extend(view.values[name] for name in kept & view.values.keys())
    model.functions.extend(map(_function, [view] * len(names), names, expressions))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    _drop_unread(model.graph)
    return model


def _function(view: GraphView, name: str, expression: Expression) -> "FunctionProto":
    from onnx import helper, numpy_helper

    read = dict.fromkeys(tensor for node in expression.nodes for tensor in node.input)
    constants = [
        helper.make_node(
            "Constant", [], [tensor], value=numpy_helper.from_array(view.constants[tensor])
        )
        for tensor in read
        if tensor in view.constants
    ]
    return helper.make_function(
        DOMAIN, name, [expression.source], [expression.result],
        [*constants, *expression.nodes], view.model.opset_import,
    )  # fmt: skip


def restore(model: "ModelProto", view: GraphView, expressions: Sequence[Expression]) -> None:
    """Put the expressions back in place of the calls; what joins loses the Q/DQ in front of it."""
    from onnx import numpy_helper

    graph = model.graph
    by_name = dict(zip(function_names(expressions), expressions, strict=True))
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes += _inner(node, by_name[node.op_type]) if node.domain == DOMAIN else [node]
    _open(nodes, {name for item in expressions if item.joins for name in _between(view, item)})
    read = {name for item in expressions for node in item.nodes for name in node.input}
    there = {item.name for item in graph.initializer}
    graph.initializer.extend(
        numpy_helper.from_array(view.constants[name], name)
        for name in sorted(read & view.constants.keys() - there)
    )
    del graph.node[:]
    graph.node.extend(nodes)
    del model.functions[:]
    domains = [item for item in model.opset_import if item.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(domains)
    _drop_unread(graph)


def _inner(call: "NodeProto", expression: Expression) -> "list[NodeProto]":
    """The expression's nodes, reading and making what `call` does."""
    from onnx import NodeProto

    renamed = {expression.source: call.input[0], expression.result: call.output[0]}
    nodes = []
    for node in expression.nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        nodes.append(copy)
    return nodes


def _between(view: GraphView, expression: Expression) -> list[str]:
    """The tensors between an expression that joins and the operator that it joins.

    Operators that only give the data another shape may lie between the two.
    """
    tensors = [expression.source]
    while True:
        maker = view.makers.get(tensors[-1])
        if maker is None or maker.op_type not in LAYOUT_OPERATORS:
            return tensors
        if maker.input[0] not in view.makers or not view.is_read_once(maker.input[0]):
            return tensors
        tensors.append(maker.input[0])


def _open(nodes: "Sequence[NodeProto]", tensors: set[str]) -> None:
    """Let the readers of these tensors read them without Q/DQ."""
    makers = {name: node for node in nodes for name in node.output}
    for node in nodes:
        for position, name in enumerate(node.input):
            dequantize = makers.get(name)
            quantize = makers.get(dequantize.input[0]) if dequantize is not None else None
            if quantize is not None and quantize.op_type == "QuantizeLinear":
                is_open = quantize.input[0] in tensors
                node.input[position] = quantize.input[0] if is_open else name


def _drop_unread(graph: "GraphProto") -> None:
    """Remove Q, DQ and constants that nothing reads."""
    read = {item.name for item in graph.output}
    nodes = []
    for node in reversed(graph.node):
        is_pair = node.op_type in ("QuantizeLinear", "DequantizeLinear")
        if not is_pair or read.intersection(node.output):
            nodes.append(node)
            read.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    constants = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)
