"""Single-layer int8 QDQ models with seeded random weights, for benchmarks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
SCALE_IN, SCALE_WEIGHT = 0.05, 0.01
ZERO_IN, ZERO_OUT = 5, -3
KINDS = ("gemm", "conv", "depthwise")


class GraphBuilder:
    """Collects initializers and nodes of one layer between DequantizeLinear and QuantizeLinear."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def dequantized(self, name: str, scale: float, zero_point: int) -> str:
        """Append DequantizeLinear of `name` and return its output."""
        inputs = [
            name,
            self.constant(f"{name}_scale", np.array(scale, np.float32)),
            self.constant(f"{name}_zero", np.array(zero_point, np.int8)),
        ]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_real"]))
        return f"{name}_real"

    def quantized(self, name: str, output: str, scale: float) -> None:
        """Append QuantizeLinear of `name` to the graph output."""
        inputs = [
            name,
            self.constant("output_scale", np.array(scale, np.float32)),
            self.constant("output_zero", np.array(ZERO_OUT, np.int8)),
        ]
        self.nodes.append(helper.make_node("QuantizeLinear", inputs, [output]))


def make_kernel(kind: str, sizes: Sequence[int], seed: int = 0) -> onnx.ModelProto:
    """Return the model of one layer, int8 in and out.

    Sizes are (M, K, N) of a gemm, (in, out, kernel, height, width) of a conv, (channels, kernel,
    height, width) of a depthwise convolution; stride 1, padding kernel // 2. Raises ValueError for
    another number of sizes, sizes below 1 and even kernels, which would change height and width.
    """
    layer = _layer(kind, sizes)
    random = np.random.default_rng(seed)
    graph = GraphBuilder()
    weight = random.integers(-127, 128, layer.weight).astype(np.int8)
    source = graph.dequantized("input", SCALE_IN, ZERO_IN)
    graph.constant("weight", weight)
    real_weight = graph.dequantized("weight", SCALE_WEIGHT, 0)
    graph.nodes.append(
        helper.make_node(
            layer.operator, [source, real_weight], ["result"], name=kind, **layer.attributes
        )
    )
    spread = SCALE_IN * SCALE_WEIGHT * 74 * 74 * layer.reduction**0.5
    graph.quantized("result", "output", spread / 40)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "_".join([kind, *map(str, sizes)]),
            [helper.make_tensor_value_info("input", TensorProto.INT8, layer.source)],
            [helper.make_tensor_value_info("output", TensorProto.INT8, layer.result)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


class _Layer(NamedTuple):
    """One operator: shapes of its tensors, and the products of a sum."""

    operator: str
    source: list[int]
    weight: tuple[int, ...]
    result: list[int]
    reduction: int
    attributes: dict[str, Any] = {}


def _layer(kind: str, sizes: Sequence[int]) -> _Layer:
    if min(sizes, default=0) < 1:
        raise ValueError(f"sizes must be at least 1, got {list(sizes)}")
    match kind, list(sizes):
        case "gemm", [m, k, n]:
            return _Layer("MatMul", [m, k], (k, n), [m, n], k)
        case "conv", [channels, filters, kernel, height, width]:
            weight, groups = (filters, channels, kernel, kernel), 1
        case "depthwise", [channels, kernel, height, width]:
            weight, filters, groups = (channels, 1, kernel, kernel), channels, channels
        case _:
            raise ValueError(f"{kind} does not take the sizes {list(sizes)}")
    if kernel % 2 == 0:
        raise ValueError(f"the kernel must be odd, got {kernel}")
    return _Layer(
        "Conv",
        [1, channels, height, width],
        weight,
        [1, filters, height, width],
        weight[1] * kernel * kernel,
        {"pads": [kernel // 2] * 4, "group": groups},
    )
