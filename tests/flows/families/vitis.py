"""The form of Vitis AI's quantizer: int8, scales of powers of two, no Q/DQ in front of activations.

Weights and biases are float constants behind a QuantizeLinear and a DequantizeLinear each; a
convolution's result goes through Relu or LeakyRelu before it is quantized.
"""

from collections import Counter

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

ACTIVATIONS = ("LeakyRelu", "Relu")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def quantized_like_vitis(model: ModelProto, sample: dict[str, np.ndarray]) -> ModelProto:
    """Return the int8 form of a float model, calibrated on one sample."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    values = float_values(model, sample)
    weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    inside = {
        node.input[0]
        for node in graph.node
        if node.op_type in ACTIVATIONS and readers[node.input[0]] == 1
    }
    quantized: dict[str, str] = {}
    nodes: list[NodeProto] = []

    def pair(name: str, array: np.ndarray) -> str:
        """A float value behind Q and DQ, once."""
        if name not in quantized:
            exponent = np.ceil(np.log2(max(float(np.abs(array).max()), 1e-6) / 127))
            scale = numpy_helper.from_array(np.float32(2.0**exponent), f"{name}_scale")
            zero_point = numpy_helper.from_array(np.int8(0), f"{name}_zero_point")
            graph.initializer.extend([scale, zero_point])
            parameters = [scale.name, zero_point.name]
            quantize = helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}_q"])
            quantized[name] = f"{name}_dq"
            restore = helper.make_node(
                "DequantizeLinear", [f"{name}_q", *parameters], [quantized[name]]
            )
            nodes.extend([quantize, restore])
        return quantized[name]

    for node in model.graph.node:
        copied = NodeProto()
        copied.CopyFrom(node)
        for position, name in enumerate(node.input):
            is_weight = name in weights and node.op_type in PRODUCTS
            if is_weight or (name in values and name not in inside):
                copied.input[position] = pair(name, weights[name] if is_weight else values[name])
        nodes.append(copied)
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def float_values(model: ModelProto, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every float32 activation by name."""
    watched = shape_inference.infer_shapes(model, data_prop=True)
    floats = [
        item
        for item in watched.graph.value_info
        if item.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    watched.graph.output.extend(floats)
    session = onnxruntime.InferenceSession(watched.SerializeToString())
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, sample), strict=True)) | sample
