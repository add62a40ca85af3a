"""Float networks node by node, as exporters write them: random weights, computed shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, shape_inference

Shape = tuple[int, ...]


class Network:
    """Collects nodes; `shapes` has the shape of every value [1, C, H, W] that a layer makes."""

    def __init__(self, name: str, *, seed: int = 0, opset: int = 17):
        self.name = name
        self.random = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.shapes: dict[str, Shape] = {}

    def input(self, shape: Shape, name: str = "input") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        self.shapes[name] = shape
        return name

    def constant(self, array: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def node(
        self, op_type: str, *inputs: str, shape: Shape = (), outputs: int = 1, **attributes: Any
    ) -> str:
        """Append a node and return its first output, of `shape` (that of its first input if none).

        Its further outputs have the names name_1, name_2, ...
        """
        name = f"{op_type.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}_{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(op_type, inputs, names, name, **attributes))
        for item in names:
            self.shapes[item] = shape or self.shapes.get(inputs[0], ()) if inputs else shape
        return name

    def channels(self, value: str) -> int:
        return self.shapes[value][1]

    def conv(
        self,
        value: str,
        channels: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        has_bias: bool = True,
        pads: Sequence[int] | None = None,
    ) -> str:
        """A convolution, padded to keep its size unless `pads` are given."""
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        stride = (stride, stride) if isinstance(stride, int) else stride
        pads = list(pads or [kernel[0] // 2, kernel[1] // 2] * 2)
        _, depth, *size = self.shapes[value]
        fan_in = depth // groups * kernel[0] * kernel[1]
        weight = self.random.normal(0, np.sqrt(2 / fan_in), (channels, depth // groups, *kernel))
        inputs = [value, self.constant(weight.astype(np.float32))]
        if has_bias:
            bias = self.random.normal(0, 0.1, channels)
            inputs.append(self.constant(bias.astype(np.float32)))
        result = [
            (size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // stride[axis] + 1
            for axis in (0, 1)
        ]
        return self.node(
            "Conv", *inputs, shape=(1, channels, *result), kernel_shape=kernel, strides=stride,
            pads=pads, group=groups, dilations=[1, 1],
        )  # fmt: skip

    def conv_transpose(self, value: str, channels: int, kernel: int = 2) -> str:
        """Twice the height and width."""
        _, depth, height, width = self.shapes[value]
        weight = self.random.normal(0, np.sqrt(2 / depth), (depth, channels, kernel, kernel))
        bias = self.random.normal(0, 0.1, channels).astype(np.float32)
        pad = (kernel - 2) // 2
        return self.node(
            "ConvTranspose", value, self.constant(weight.astype(np.float32)), self.constant(bias),
            shape=(1, channels, 2 * height, 2 * width), kernel_shape=[kernel] * 2, strides=[2, 2],
            pads=[pad] * 4, dilations=[1, 1], group=1,
        )  # fmt: skip

    def normalized(self, value: str) -> str:
        """BatchNormalization."""
        size = self.channels(value)
        draws = [
            self.random.uniform(0.5, 1.5, size),
            self.random.normal(0, 0.2, size),
            self.random.normal(0, 0.2, size),
            self.random.uniform(0.5, 1.5, size),
        ]
        constants = [self.constant(item.astype(np.float32)) for item in draws]
        return self.node("BatchNormalization", value, *constants, epsilon=1e-5)

    def pool(self, value: str, kind: str, kernel: int, stride: int, pad: int = 0) -> str:
        _, depth, *size = self.shapes[value]
        result = [(item + 2 * pad - kernel) // stride + 1 for item in size]
        return self.node(
            kind, value, shape=(1, depth, *result), kernel_shape=[kernel] * 2,
            strides=[stride] * 2, pads=[pad] * 4,
        )  # fmt: skip

    def pixel_mean(self, value: str) -> str:
        return self.node("GlobalAveragePool", value, shape=(*self.shapes[value][:2], 1, 1))

    def concat(self, *values: str) -> str:
        shape = self.shapes[values[0]]
        depth = sum(map(self.channels, values))
        return self.node("Concat", *values, shape=(1, depth, *shape[2:]), axis=1)

    def dense(self, value: str, channels: int) -> str:
        """Gemm of a value [1, K]."""
        depth = self.shapes[value][-1]
        weight = self.random.normal(0, np.sqrt(2 / depth), (channels, depth)).astype(np.float32)
        bias = self.random.normal(0, 0.1, channels).astype(np.float32)
        return self.node(
            "Gemm", value, self.constant(weight), self.constant(bias), shape=(1, channels), transB=1
        )

    def size_of(self, value: str, axis: int) -> str:
        """The length of an axis, [1], as exporters compute it at run time."""
        shape = self.node("Shape", value)
        item = self.node("Gather", shape, self.constant(np.int64(axis)), axis=0)
        return self.node("Unsqueeze", item, self.integers(0))

    def upsampled(self, value: str, factor: int = 2, **attributes: Any) -> str:
        """Resize by scales; nearest unless `attributes` say otherwise."""
        _, depth, height, width = self.shapes[value]
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        } | attributes
        scales = self.constant(np.array([1, 1, factor, factor], np.float32))
        shape = (1, depth, factor * height, factor * width)
        return self.node("Resize", value, "", scales, shape=shape, **attributes)

    def resized_like(self, value: str, other: str) -> str:
        """Resize (nearest) to the height and width of `other`, read from its shape at run time."""
        own = self.node("Shape", value)
        start, middle, end = (self.integers(position) for position in (0, 2, 4))
        kept = self.node("Slice", own, start, middle, self.integers(0))
        size = self.node("Slice", self.node("Shape", other), middle, end, self.integers(0))
        sizes = self.node("Concat", kept, size, axis=0)
        shape = (*self.shapes[value][:2], *self.shapes[other][2:])
        return self.node(
            "Resize", value, "", "", sizes, shape=shape, mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip

    def model(self, *outputs: str) -> ModelProto:
        """The checked model with these outputs."""
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, results, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        checker.check_model(model, full_check=True)
        return model
