"""`evaluate`: accuracy and agreement, from the targets' own outputs."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.commands.demo import data_path
from tilewright.flows.float_model import real_values
from tilewright.flows.models import ReferenceTarget, compile_file, import_file
from tilewright.flows.runtime.targets import IssTarget, OnnxRuntimeTarget
from tilewright.flows.runtime.tensors import load_samples
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.tensor import Quantization

SCALE, WEIGHT_SCALE, ZERO_POINT = np.float32(2**-4), np.float32(2**-10), 3


@pytest.fixture
def int8_and_float(tmp_path):
    """A convolution whose int8 model takes and gives int8, and the float model; three samples."""
    random = np.random.default_rng(5)
    weight = random.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8)
    constants = {
        "scale": SCALE,
        "w_scale": WEIGHT_SCALE,
        "zero": np.int8(ZERO_POINT),
        "w_zero": np.int8(0),
        "w_q": weight,
    }
    node = helper.make_node
    quantized = [
        node("DequantizeLinear", ["x", "scale", "zero"], ["x_real"]),
        node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w"]),
        node("Conv", ["x_real", "w"], ["y_real"]),
        node("QuantizeLinear", ["y_real", "scale", "zero"], ["y"]),
    ]
    paths = []
    for name, kind, nodes, arrays in (
        ("int8", TensorProto.INT8, quantized, constants),
        (
            "float",
            TensorProto.FLOAT,
            [node("Conv", ["x", "w"], ["z"])],
            {"w": weight * WEIGHT_SCALE},
        ),
    ):
        output = "y" if name == "int8" else "z"
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("x", kind, [1, 2, 6, 6])],
            [helper.make_tensor_value_info(output, kind, [1, 4, 4, 4])],
            [
                numpy_helper.from_array(np.asarray(a, np.float32 if name == "float" else None), key)
                for key, a in arrays.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        paths.append(tmp_path / f"{name}.onnx")
        onnx.save(model, paths[-1])
    data = random.integers(-128, 128, (3, 2, 6, 6)).astype(np.int8)
    np.savez(tmp_path / "data.npz", x=data)
    return *paths, tmp_path / "data.npz"


def test_figures_are_those_of_the_simulator_and_of_onnx_runtime(tilewright, digits, digits_inputs):
    labels_file = data_path("digits_labels.npz")
    count = 40
    result = tilewright(
        "evaluate", digits, "--data", digits_inputs, "--labels", labels_file,
        "--samples", count, "--preset", "nano", "--json", "-",
    )  # fmt: skip
    assert result.status == 0
    found = json.loads(result.out)
    compiled = compile_file(digits, PRESETS["nano"])
    samples = load_samples(digits_inputs, compiled.program.inputs, count)
    targets = {"reference": IssTarget(compiled.program), "onnx_runtime": OnnxRuntimeTarget(digits)}
    outputs = {
        name: np.stack([next(iter(target.run(s).outputs.values())).reshape(-1) for s in samples])
        for name, target in targets.items()
    }
    labels = next(iter(np.load(labels_file).values()))[:count]
    for name, values in outputs.items():
        assert found[name]["top1"] == (values.argmax(axis=1) == labels).mean()
        last = np.argsort(-values, axis=1, kind="stable")[:, :5]
        assert found[name]["top5"] == (last == labels[:, None]).any(axis=1).mean()
        assert found[name]["samples_per_second"] > 0
    ours, theirs = outputs.values()
    assert (found["samples"], found["labeled"]) == (count, count)
    assert found["agreement"]["equal_rate"] == (ours == theirs).mean()
    same_top = (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()
    assert found["agreement"]["same_top_rate"] == same_top
    assert found["coverage"]["macs_accelerator"] > 0
    assert found["float_agreement"] is None


def test_samples_together_are_as_alone_through_sections_and_islands(interrupted):
    target = ReferenceTarget(import_file(interrupted))
    random = np.random.default_rng(2)
    samples = [{"x": random.normal(size=(1, 2, 10, 10)).astype(np.float32)} for _ in range(5)]
    for sample, outputs in zip(samples, target.run_batch(samples), strict=True):
        np.testing.assert_array_equal(outputs["y"], target.run(sample).outputs["y"])


@pytest.mark.parametrize("batch", [1, 2, "N"])
def test_onnx_runtime_gives_samples_together_what_it_gives_alone(make_model, batch):
    path = make_model(batch=batch)
    target = OnnxRuntimeTarget(path, import_file(path).batch)
    random = np.random.default_rng(4)
    samples = [{"x": random.normal(size=(1, 2, 6, 6)).astype(np.float32)} for _ in range(5)]
    together = target.run_batch(samples)
    assert len(together) == 5
    for sample, outputs in zip(samples, together, strict=True):
        expected = target.run(sample).outputs["y"]
        assert outputs["y"].shape == expected.shape == (1, 4, 4, 4)
        np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [2, "N"])
def test_models_with_a_batch_are_evaluated_sample_by_sample(tilewright, make_model, batch):
    path = make_model(batch=batch)
    data = np.random.default_rng(6).normal(size=(6, 2, 6, 6)).astype(np.float32)
    inputs = data if batch == "N" else data.reshape(3, 2, 2, 6, 6)
    np.savez(path.with_name("data.npz"), x=inputs)
    result = tilewright("evaluate", path, "--data", path.with_name("data.npz"), "--json", "-")
    found = json.loads(result.out)
    assert (found["samples"], found["agreement"]["elements"]) == (6, 6 * 64)
    assert found["agreement"]["equal_rate"] > 0.95


def test_the_float_model_gets_the_real_values_of_int8_inputs(tilewright, int8_and_float):
    model, real, data = int8_and_float
    result = tilewright("evaluate", model, "--data", data, "--float", real, "--json", "-")
    found = json.loads(result.out)
    values = (np.load(data)["x"].astype(np.float32) - ZERO_POINT) * SCALE
    witness = OnnxRuntimeTarget(real)
    expected = [witness.run({"x": x[None]}).outputs["z"].argmax() for x in values]
    given = [
        OnnxRuntimeTarget(model).run({"x": x[None]}).outputs["y"].argmax()
        for x in np.load(data)["x"]
    ]
    assert found["agreement"]["equal_rate"] == 1
    assert found["float_agreement"]["same_top"] == sum(np.equal(given, expected))
    assert found["float_agreement"]["signal_to_noise_db"] is None


@pytest.mark.parametrize(("dtype", "values"), [("int8", [-128, 127]), ("uint8", [0, 255])])
def test_real_values_of_stored_integers(dtype, values):
    quantization = Quantization(scale=0.5, zero_point=-28)
    assert real_values(quantization, np.array(values, dtype)).tolist() == [-50.0, 77.5]


def test_the_table_says_what_was_found(tilewright, digits, digits_inputs):
    result = tilewright("evaluate", digits, "--data", digits_inputs, "--samples", 3)
    assert result.status == 0
    assert result.out.startswith("on the accelerator: ")
    assert "digits.onnx on 3 samples" in result.out
    assert "accelerator (reference)" in result.out
    assert "top-1" not in result.out
    assert "with ONNX Runtime: " in result.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "logits"], "the model has no output 'logits'; it has y"),
        (["--samples", "4"], "4 samples asked for, 3 there"),
        (["--labels", "labels.npz"], "2 labels for 3 samples"),
        (["--labels", "classes.npz"], "labels must be below 64, the number of the model's scores"),
        (["--float", "none.onnx"], "none.onnx"),
        (["--float", "other.onnx"], "must have the inputs of the int8 model, x; it has image"),
    ],
)
def test_what_does_not_fit_is_refused(tilewright, int8_and_float, options, message):
    model, real, data = int8_and_float
    folder = model.parent
    np.savez(folder / "labels.npz", labels=[1, 2])
    np.savez(folder / "classes.npz", labels=[1, -1, 64])
    other = onnx.load(real)
    other.graph.input[0].name = other.graph.node[0].input[0] = "image"
    onnx.save(other, folder / "other.onnx")
    words = [folder / word if word.endswith((".npz", ".onnx")) else word for word in options]
    result = tilewright("evaluate", model, "--data", data, *words)
    assert result.status == 2
    assert message in result.err
