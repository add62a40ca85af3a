"""CastLike becomes Cast: the type of its second input is known when the model is read."""

from onnx import ModelProto, TensorProto, helper


def state_types(model: ModelProto) -> None:
    """Turn each CastLike of `model`, whose types are inferred, into a Cast to its type, in place.

    Those of an unknown type stay.
    """
    graph = model.graph
    known = {item.name: item.data_type for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        known[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type != "CastLike" or node.domain not in ("", "ai.onnx"):
            continue
        kind = known.get(node.input[1], TensorProto.UNDEFINED)
        if kind != TensorProto.UNDEFINED:
            node.op_type = "Cast"
            del node.input[1]
            node.attribute.append(helper.make_attribute("to", kind))
