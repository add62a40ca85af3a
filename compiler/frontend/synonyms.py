"""Operators that are others under another name, once types and numbers of inputs are known."""

from onnx import ModelProto, helper


def use_one_name(model: ModelProto) -> None:
    """Rename operators of `model`, whose types are inferred, in place.

    CastLike becomes Cast to the type of its second input, Sum of two values Add.
    """
    graph = model.graph
    known = {item.name: item.data_type for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        known[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"
        if node.op_type == "CastLike" and known.get(node.input[1]):
            node.op_type = "Cast"
            node.attribute.append(helper.make_attribute("to", known[node.input[1]]))
            del node.input[1]
