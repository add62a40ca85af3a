"""The command line in this process, and models that break one rule each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.commands.cli import main
from tilewright.flows.commands.demo import data_path


@dataclass(frozen=True)
class Result:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def tilewright(capsys):
    """Return a function that runs the command line with the given words."""

    def run(*words: object) -> Result:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(end.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def digits() -> Path:
    return data_path("digits.onnx")


@pytest.fixture
def digits_inputs() -> Path:
    return data_path("digits_inputs.npz")


@pytest.fixture
def make_model(tmp_path):
    """Return a function that writes a small model and gives its path."""

    def make(*, batch: object = 1, operator: str = "Relu", quantized: bool = True) -> Path:
        path = tmp_path / "small.onnx"
        onnx.save(small_model(batch=batch, operator=operator, quantized=quantized), path)
        return path

    return make


def small_model(*, batch: object, operator: str, quantized: bool) -> onnx.ModelProto:
    """x [batch, 2, 6, 6] -> convolution -> operator -> y [batch, 4, 4, 4]."""
    nodes = []
    generator = np.random.default_rng(1)
    constants = {"w": generator.normal(size=(4, 2, 3, 3)).astype(np.float32)}
    if quantized:
        constants = {
            "w": generator.integers(-127, 128, (4, 2, 3, 3), dtype=np.int8),
            "scale": np.array(0.05, np.float32),
            "zero": np.array(3, np.int8),
            "w_zero": np.array(0, np.int8),
        }
        nodes.append(helper.make_node("DequantizeLinear", ["w", "scale", "w_zero"], ["w_real"]))

    def quantize(name: str) -> str:
        if not quantized:
            return name
        steps = [name, f"{name}_q", f"{name}_r"]
        for kind, source, target in zip(
            ("QuantizeLinear", "DequantizeLinear"), steps, steps[1:], strict=False
        ):
            node = helper.make_node(kind, [source, "scale", "zero"], [target], name=target)
            nodes.append(node)
        return steps[-1]

    weight = "w_real" if quantized else "w"
    nodes.append(helper.make_node("Conv", [quantize("x"), weight], ["c"], name="conv"))
    nodes.append(helper.make_node(operator, [quantize("c")], ["y"], name="last"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4, 4, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def interrupted(tmp_path):
    """A model of two int8 convolutions with a float one between them."""
    generator = np.random.default_rng(3)
    constants = {"scale": np.array(0.05, np.float32), "zero": np.array(3, np.int8)}
    nodes, value = [], "x"
    for number in range(3):
        shape = (4, 2 if number == 0 else 4, 3, 3)
        weight = f"w{number}"
        if number == 1:
            constants[weight] = generator.normal(scale=0.1, size=shape).astype(np.float32)
        else:
            constants[f"{weight}_q"] = generator.integers(-127, 128, shape, dtype=np.int8)
            constants["w_zero"] = np.array(0, np.int8)
            inputs = [f"{weight}_q", "scale", "w_zero"]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [weight]))
        quantized, real, result = f"q{number}", f"r{number}", f"c{number}"
        nodes += [
            helper.make_node("QuantizeLinear", [value, "scale", "zero"], [quantized]),
            helper.make_node("DequantizeLinear", [quantized, "scale", "zero"], [real]),
            helper.make_node("Conv", [real, weight], [result], name=f"conv{number}"),
        ]
        value = result
    nodes += [
        helper.make_node("QuantizeLinear", [value, "scale", "zero"], ["last"]),
        helper.make_node("DequantizeLinear", ["last", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "interrupted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = tmp_path / "interrupted.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path
