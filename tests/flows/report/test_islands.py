"""Models of several sections: every report lists sections and islands in their order."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


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


COVERAGE = {
    "macs_accelerator": 4 * 64 * 18 + 4 * 16 * 36,
    "macs_total": 4 * 64 * 18 + 4 * 36 * 36 + 4 * 16 * 36,
}


@pytest.mark.parametrize("command", ["compile", "explain"])
def test_reports_begin_with_the_coverage_and_list_the_steps(
    tilewright, interrupted, tmp_path, command
):
    report = tmp_path / "report.json"
    words = {
        "compile": ("-o", tmp_path / "x.tw", "--report", report),
        "explain": ("--no-gains", "-o", report),
    }[command]
    result = tilewright(command, interrupted, "--preset", "nano", "--keep-sections", *words)
    assert result.status == 0, result
    assert result.out.startswith("on the accelerator: 57.1% of 12,096 multiplications")
    assert "host section0 host section1 host" in " ".join(result.out.split())
    assert "conv1" in result.out
    facts = json.loads(report.read_text())
    assert next(iter(facts)) == "coverage"
    assert COVERAGE.items() <= facts["coverage"].items()
    assert [step["kind"] for step in facts["steps"]] == [
        "island", "section", "island", "section", "island",
    ]  # fmt: skip
    assert [layer["section"] for layer in facts["layers"]] == ["section0", "section1"]
    middle = facts["islands"][1]
    assert "conv1" in [item["name"] for item in middle["operators"]]
    assert middle["moved_bytes"] == 4 * 64 + 4 * 36
    assert middle["seconds"] > sum(item["seconds"] for item in middle["operators"]) > 0


def test_strict_lists_one_line_an_operator(tilewright, interrupted):
    result = tilewright("explain", interrupted, "--preset", "nano", "--strict", "--keep-sections")
    assert result.status != 0
    lines = [line for line in result.err.splitlines() if line.startswith("  ")]
    assert any("Conv 'conv1': its weights are not quantized" in line for line in lines)
    assert max(map(len, lines)) < 200


def test_targets_agree_over_several_sections(tilewright, interrupted, tmp_path):
    outputs = {}
    for on in ("iss", "reference", "ort"):
        path = tmp_path / f"{on}.npz"
        words = ("--preset", "nano", "--keep-sections", "-o", path)
        assert tilewright("run", interrupted, "--on", on, *words).status == 0
        outputs[on] = np.load(path)["y"]
    assert np.array_equal(outputs["iss"], outputs["reference"])
    steps = np.abs(outputs["iss"] - outputs["ort"]) / 0.05
    assert steps.max() < 1.5
    assert np.count_nonzero(steps > 0.5) <= 0.05 * steps.size
