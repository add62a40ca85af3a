"""Quantized ImageNet networks with seeded random weights, for benchmarks.

resnet50 is the architecture that the onnx package ships with constant weights (light_resnet50);
mobilenetv2 (width 1.0, 224 x 224) is built layer by layer. Weights are drawn from a He
distribution, and the quantizer of `tilewright quantize` makes the int8 QDQ model (per-channel
weights, asymmetric activations, seeded random calibration images). The accuracy means nothing;
shapes, zero points and value ranges are those of a real network.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from tilewright.flows.quantization.calibration import random_calibration
from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.quantizer import Options, quantize
from tilewright.flows.quantization.shapes import inputs_of

OPSET = 17
IMAGE = (1, 3, 224, 224)
CALIBRATION_IMAGES = 4
SEED = 0
EPSILON = 1e-5

MOBILENET_BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
"""(expansion, channels, repetitions, first stride), table 2 of the MobileNetV2 paper."""


def make_network(name: str) -> onnx.ModelProto:
    """Return the int8 QDQ model of a network: "resnet50" or "mobilenetv2"."""
    prepared = prepare(NETWORKS[name]())
    samples = random_calibration(inputs_of(prepared), CALIBRATION_IMAGES, SEED)
    return quantize(prepared, samples, Options())


class FloatNetwork:
    """A float network under construction; every method appends a layer and returns its output."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, source: str, filters: int, inputs: int, kernel: int, **attributes: Any) -> str:
        spread = (2 / (inputs * kernel * kernel)) ** 0.5
        weight = self.random.normal(0, spread, (filters, inputs, kernel, kernel))
        bias = self.random.normal(0, 0.05, filters)
        return self.node(
            "Conv",
            source,
            self.constant(weight),
            self.constant(bias),
            pads=[kernel // 2] * 4,
            **attributes,
        )

    def relu6(self, source: str) -> str:
        low, high = self.constant(np.array(0.0)), self.constant(np.array(6.0))
        return self.node("Clip", source, low, high)

    def inverted_residual(
        self, source: str, inputs: int, filters: int, expansion: int, stride: int
    ) -> str:
        """Expand, depthwise 3x3, project; with the source added where shapes allow."""
        hidden = inputs * expansion
        value = self.relu6(self.conv(source, hidden, inputs, 1)) if expansion > 1 else source
        value = self.relu6(self.conv(value, hidden, 1, 3, group=hidden, strides=[stride, stride]))
        value = self.conv(value, filters, hidden, 1)
        return self.node("Add", source, value) if stride == 1 and inputs == filters else value


def float_mobilenetv2(seed: int = SEED) -> onnx.ModelProto:
    """Return MobileNetV2 1.0, 224 x 224, batch normalization folded."""
    net = FloatNetwork(seed)
    value = net.relu6(net.conv("image", 32, 3, 3, strides=[2, 2]))
    channels = 32
    for expansion, filters, repetitions, first_stride in MOBILENET_BLOCKS:
        for number in range(repetitions):
            stride = first_stride if number == 0 else 1
            value = net.inverted_residual(value, channels, filters, expansion, stride)
            channels = filters
    value = net.relu6(net.conv(value, 1280, channels, 1))
    value = net.node("Flatten", net.node("GlobalAveragePool", value))
    weight = net.random.normal(0, 1280**-0.5, (1280, 1000))
    net.node("Gemm", value, net.constant(weight), net.constant(np.zeros(1000)))
    graph = helper.make_graph(
        net.nodes,
        "mobilenetv2",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, IMAGE)],
        [helper.make_tensor_value_info(net.nodes[-1].output[0], TensorProto.FLOAT, [1, 1000])],
        net.initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def float_resnet50(seed: int = SEED) -> onnx.ModelProto:
    """Return the onnx package's light_resnet50 with random weights; the softmax is left out."""
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    model = onnx.load(path)
    graph, random = model.graph, np.random.default_rng(seed)
    shapes = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = {
        node.output[0]: tuple(int(n) for n in shapes[node.input[0]])
        for node in graph.node
        if node.op_type == "ConstantOfShape"
    }
    kept = [n for n in graph.node if n.op_type not in ("ConstantOfShape", "Softmax")]
    for node in kept:
        if node.op_type == "Sum":
            node.op_type = "Add"
    values = {name: _random_weight(name, shape, random) for name, shape in weights.items()}
    fixed = [i for i in graph.initializer if not i.name.endswith("__SHAPE")]
    image = next(i for i in graph.input if i.name not in shapes)
    last = kept[-1].output[0]
    new = helper.make_graph(
        kept,
        "resnet50",
        [image],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [*fixed, *(numpy_helper.from_array(v, n) for n, v in values.items())],
    )
    converted = helper.make_model(new, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)
    return version_converter.convert_version(converted, OPSET)


def _random_weight(
    name: str, shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.float32]:
    """Random convolution and dense weights; batch normalization close to the identity."""
    if name.endswith("_bn_s_0"):
        value = random.uniform(0.6, 0.9, shape)
    elif name.endswith("_bn_riv_0"):
        value = np.full(shape, 1 - EPSILON)
    elif name.endswith(("_bn_b_0", "_bn_rm_0", "_b_0")):
        value = random.normal(0, 0.05, shape)
    else:
        fan_in = int(np.prod(shape[1:]))
        value = random.normal(0, (2 / fan_in) ** 0.5, shape)
    return value.astype(np.float32)


NETWORKS = {"resnet50": float_resnet50, "mobilenetv2": float_mobilenetv2}
"""How each float network is made."""
