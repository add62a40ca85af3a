"""Write a single-layer int8 QDQ ONNX model with seeded random weights, for benchmarks.

    python examples/make_kernel.py gemm 512 512 512 -o gemm.onnx         (M, K, N)
    python examples/make_kernel.py conv 256 256 3 14 14 -o conv.onnx   (in, out, kernel, H, W)
    python examples/make_kernel.py depthwise 128 3 56 56 -o dw.onnx       (channels, kernel, H, W)

Graph input and output are int8, so nothing is left to the host. Convolutions have stride 1 and
padding kernel // 2.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
SCALE_IN, SCALE_WEIGHT = 0.05, 0.01


class GraphBuilder:
    """Collects initializers and nodes of one layer between DequantizeLinear and QuantizeLinear."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def dequantized(self, name: str, scale: float, zero_point: int) -> str:
        """Append DequantizeLinear of `name` and return its output."""
        inputs = [
            name,
            self.constant(f"{name}_scale", np.float32(scale)),
            self.constant(f"{name}_zero", np.int8(zero_point)),
        ]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_real"]))
        return f"{name}_real"

    def quantized(self, name: str, output: str, scale: float) -> None:
        """Append QuantizeLinear of `name` to the graph output."""
        inputs = [
            name,
            self.constant("output_scale", np.float32(scale)),
            self.constant("output_zero", np.int8(-3)),
        ]
        self.nodes.append(helper.make_node("QuantizeLinear", inputs, [output]))


def make_kernel(kind: str, sizes: list[int], seed: int = 0) -> onnx.ModelProto:
    """Return the model of a gemm (M, K, N), conv (in, out, kernel, height, width) or depthwise
    (channels, kernel, height, width) layer. Raises ValueError for another number of sizes.
    """
    random = np.random.default_rng(seed)
    graph = GraphBuilder()
    attributes: dict[str, object] = {}
    match kind, sizes:
        case "gemm", [m, k, n]:
            operator, shape_in, shape_out, shape_weight = "MatMul", [m, k], [m, n], (k, n)
            reduction = k
        case "conv", [channels, filters, kernel, height, width]:
            operator, shape_weight = "Conv", (filters, channels, kernel, kernel)
            shape_in, shape_out = [1, channels, height, width], [1, filters, height, width]
            attributes = {"pads": [kernel // 2] * 4}
            reduction = channels * kernel * kernel
        case "depthwise", [channels, kernel, height, width]:
            operator, shape_weight = "Conv", (channels, 1, kernel, kernel)
            shape_in = shape_out = [1, channels, height, width]
            attributes = {"pads": [kernel // 2] * 4, "group": channels}
            reduction = kernel * kernel
        case _:
            raise ValueError(f"{kind} does not take the sizes {sizes}; see the module's text")
    weight = random.integers(-127, 128, shape_weight).astype(np.int8)
    source = graph.dequantized("input", SCALE_IN, 5)
    graph.constant("weight", weight)
    real_weight = graph.dequantized("weight", SCALE_WEIGHT, 0)
    graph.nodes.append(
        helper.make_node(operator, [source, real_weight], ["result"], name=kind, **attributes)
    )
    spread = SCALE_IN * SCALE_WEIGHT * 74 * 74 * reduction**0.5
    graph.quantized("result", "output", spread / 40)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "_".join([kind, *map(str, sizes)]),
            [helper.make_tensor_value_info("input", TensorProto.INT8, shape_in)],
            [helper.make_tensor_value_info("output", TensorProto.INT8, shape_out)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["gemm", "conv", "depthwise"])
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    onnx.save(make_kernel(arguments.kind, arguments.sizes), arguments.output)


if __name__ == "__main__":
    main()
