"""Shape and type inference; operators of com.microsoft have stand-ins that ONNX can infer."""

from collections.abc import Mapping

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from tilewright.compiler.frontend.known import shape_of
from tilewright.compiler.frontend.resizing import fix_sizes
from tilewright.compiler.frontend.runtime_types import is_unknown, runtime_types
from tilewright.support.errors import ModelError
from tilewright.support.ort import first_line

MICROSOFT = "com.microsoft"
NEWEST_RULE = "tilewright.inference"
"""Domain of functions that exist while shapes are inferred."""

UNARY = (
    "BiasGelu", "FastGelu", "Gelu", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax",
    "QuickGelu",
)  # fmt: skip
STAND_INS: dict[str, tuple[str, slice]] = {
    "QGemm": ("Gemm", slice(0, 4, 3)),
    "QLinearAdd": ("Add", slice(0, 4, 3)),
    "QLinearAveragePool": ("AveragePool", slice(0, 1)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(0, 1)),
    "QLinearMul": ("Mul", slice(0, 4, 3)),
    **{name: ("Identity", slice(0, 1)) for name in UNARY},
}
"""By operator: one of the default domain with the same shapes, and the inputs that it keeps."""
KEPT_ATTRIBUTES = {
    "AveragePool": ("kernel_shape", "pads", "strides", "auto_pad", "ceil_mode"),
    "Concat": ("axis",),
    "Gemm": ("transA", "transB"),
}


def infer_shapes(model: ModelProto) -> ModelProto:
    """A copy of `model` with all types and shapes that can be inferred.

    Raises:
        ModelError: the shapes of the model contradict each other.
    """
    result, stand_in = ModelProto(), ModelProto()
    result.CopyFrom(model)
    for item in result.graph.output:
        if shape_of(item) is None:
            item.type.tensor_type.ClearField("shape")
    stand_in.CopyFrom(result)
    types = _types(model)
    for node in stand_in.graph.node:
        if node.domain == MICROSOFT:
            node.CopyFrom(_stand_in(node, types))
        elif any(item.name == "ceil_mode" and item.i for item in node.attribute):
            _use_newest_rule(stand_in, node)
    inferred = _inferred(stand_in)
    while fix_sizes(stand_in, inferred):
        inferred = _inferred(stand_in)
    known = _known_names(inferred)
    nodes = result.graph.node
    if any(is_unknown(node) and not known.issuperset(filter(None, node.output)) for node in nodes):
        made = (name for node in nodes for name in node.output)
        found = runtime_types(result, [name for name in made if name and name not in known])
        names = {item.name for item in found}
        described = [item for item in stand_in.graph.value_info if item.name not in names]
        del stand_in.graph.value_info[:]
        stand_in.graph.value_info.extend([*described, *found])
        inferred = _inferred(stand_in)
    for field in ("value_info", "output"):
        result.graph.ClearField(field)
        getattr(result.graph, field).extend(getattr(inferred.graph, field))
    return result


def _known_names(model: ModelProto) -> set[str]:
    """The values of known type and shape."""
    described = (*model.graph.value_info, *model.graph.output)
    return {item.name for item in described if shape_of(item) is not None}


def _inferred(model: ModelProto) -> ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # InferenceError or a protobuf error
        raise ModelError(f"shape inference fails: {first_line(error)}") from error


def _use_newest_rule(model: ModelProto, node: NodeProto) -> None:
    """Put `node`, a pooling with ceil_mode, into a function of operator set 22.

    Before that, ONNX's inference counts windows that begin behind the input; ONNX Runtime does not.
    """
    if not model.functions:
        model.opset_import.append(helper.make_opsetid(NEWEST_RULE, 1))
    name = f"{node.op_type}_{len(model.functions)}"
    opsets = [helper.make_opsetid("", 22)]
    model.functions.append(
        helper.make_function(NEWEST_RULE, name, node.input, node.output, [node], opsets)
    )
    node.CopyFrom(helper.make_node(name, node.input, node.output, domain=NEWEST_RULE))


def _types(model: ModelProto) -> dict[str, int]:
    """Element types of constants, inputs and described values, by name."""
    graph = model.graph
    described = (*graph.input, *graph.value_info)
    types = {item.name: item.type.tensor_type.elem_type for item in described}
    types |= {item.name: item.data_type for item in graph.initializer}
    for node in graph.node:
        for item in node.attribute:
            if node.op_type == "Constant" and item.name == "value":
                types[node.output[0]] = item.t.data_type
    return types


def _stand_in(node: NodeProto, types: Mapping[str, int]) -> NodeProto:
    """A node of the default domain with the type and shape of `node`; `node` if there is none."""
    inputs, outputs = list(node.input), list(node.output)
    if node.op_type == "QuantizeLinear":
        name = inputs[2] if len(inputs) > 2 else ""
        kind = types.get(name, TensorProto.UINT8)
        return helper.make_node("Cast", inputs[:1], outputs, node.name, to=kind)
    if node.op_type == "DequantizeLinear":
        kind = types.get(inputs[1], TensorProto.FLOAT)
        return helper.make_node("Cast", inputs[:1], outputs, node.name, to=kind)
    if node.op_type not in STAND_INS:
        return node
    op_type, kept = STAND_INS[node.op_type]
    result = helper.make_node(op_type, inputs[kept], outputs, node.name)
    names = KEPT_ATTRIBUTES.get(op_type, ())
    result.attribute.extend(item for item in node.attribute if item.name in names)
    return result
