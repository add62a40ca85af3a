"""The form of TensorRT's tools (pytorch-quantization, ModelOpt): Q/DQ in front of what has weights.

int8, symmetric, weights by channel, biases float. A sum has Q/DQ on one side alone, that of the
skip; the convolution's result on the other side is not quantized, nor what goes into an activation.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from vitis import PRODUCTS, float_values

POOLS = ("AveragePool", "GlobalAveragePool", "MaxPool")


def quantized_like_tensorrt(model: ModelProto, sample: dict[str, np.ndarray]) -> ModelProto:
    """Return the int8 form of a float model, calibrated on one sample; its outputs have Q/DQ."""
    values = float_values(model, sample)
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    pairs = Pairs()
    for node in model.graph.node:
        copied = NodeProto()
        copied.CopyFrom(node)
        for position in quantized_inputs(node, makers):
            name = node.input[position]
            if name in values:
                copied.input[position] = pairs.behind(name, values[name])
            elif name in weights and node.op_type in PRODUCTS:
                axis = int(node.op_type in ("MatMul", "ConvTranspose"))
                copied.input[position] = pairs.behind(name, weights[name], axis)
        pairs.nodes.append(copied)
    result = ModelProto()
    result.CopyFrom(model)
    for item in result.graph.output:
        item.name = pairs.behind(item.name, values[item.name])
    del result.graph.node[:]
    result.graph.node.extend(pairs.nodes)
    result.graph.initializer.extend(pairs.parameters)
    return result


class Pairs:
    """QuantizeLinear and DequantizeLinear behind float values, once each."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.parameters: list[TensorProto] = []
        self._made: set[str] = set()

    def behind(self, name: str, array: np.ndarray, axis: int | None = None) -> str:
        """The value `name`, which is `array`, behind a pair; with a scale along `axis`."""
        target = f"{name}_dq"
        if name in self._made:
            return target
        self._made.add(name)
        others = None if axis is None else tuple(k for k in range(array.ndim) if k != axis)
        scale = np.asarray(np.maximum(np.abs(array).max(axis=others), 1e-6) / 127, np.float32)
        names = [f"{name}_scale", f"{name}_zero_point"]
        for item, parameter in zip((scale, np.zeros(scale.shape, np.int8)), names, strict=True):
            self.parameters.append(numpy_helper.from_array(item, parameter))
        along = {} if axis is None else {"axis": axis}
        for kind, read, made in (
            ("Quantize", name, f"{name}_q"),
            ("Dequantize", f"{name}_q", target),
        ):
            self.nodes.append(helper.make_node(f"{kind}Linear", [read, *names], [made], **along))
        return target


def quantized_inputs(node: NodeProto, makers: dict[str, NodeProto]) -> list[int]:
    """The inputs that get Q/DQ: of products both, of a sum the skip, of pools all."""
    if node.op_type in PRODUCTS:
        return [0, 1]
    if node.op_type in POOLS:
        return [0]
    if node.op_type == "Add":
        products = [
            position
            for position, name in enumerate(node.input)
            if name in makers and makers[name].op_type in PRODUCTS
        ]
        return [1 - products[0]] if products else [0, 1]
    return []
