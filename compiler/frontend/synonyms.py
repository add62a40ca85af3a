"""Operators that are others under another name, once types and numbers of inputs are known."""

from onnx import GraphProto, ModelProto, NodeProto, helper

from tilewright.compiler.frontend.inference import MICROSOFT

WITHOUT_BIAS = {"BiasGelu": "Gelu", "FastGelu": "FastGelu"}
"""Of com.microsoft: functions that add their second input first, and what they are without it."""


def use_one_name(model: ModelProto) -> None:
    """Rename operators of `model`, whose types are inferred, in place.

    CastLike becomes Cast to the type of its second input, Sum of two values Add, BiasGelu and
    FastGelu with a bias an Add and the function of it.
    """
    graph = model.graph
    known = {item.name: item.data_type for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        known[value.name] = value.type.tensor_type.elem_type
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.domain == MICROSOFT and node.op_type in WITHOUT_BIAS and any(node.input[1:]):
            nodes.append(_take_bias(graph, node))
        elif node.domain not in ("", "ai.onnx"):
            pass
        elif node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"
        elif node.op_type == "CastLike" and known.get(node.input[1]):
            node.op_type = "Cast"
            node.attribute.append(helper.make_attribute("to", known[node.input[1]]))
            del node.input[1]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _take_bias(graph: GraphProto, node: NodeProto) -> NodeProto:
    """Return an Add of the inputs of `node`, of whose result that becomes a function."""
    total = f"{node.output[0]} before {node.op_type}"
    addition = helper.make_node("Add", node.input, [total], total)
    for item in (*graph.value_info, *graph.output):
        if item.name == node.output[0]:
            described = graph.value_info.add()
            described.CopyFrom(item)
            described.name = total
    node.op_type = WITHOUT_BIAS[node.op_type]
    del node.input[:]
    node.input.append(total)
    return addition
