"""Signal to noise by layer and accuracy, against ONNX Runtime's own values."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from float_graphs import activation_model, samples, signal_to_noise

from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.quality import Layer, measure
from tilewright.flows.quantization.quantizer import Options, quantize

SHAPE = (1, 3, 8, 8)


def values(model, tensor, inputs):
    """A tensor's values on every sample, by a session of ONNX Runtime that has it as an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options)
    return np.stack([session.run([tensor], sample)[0] for sample in inputs])


def test_every_stored_tensor_is_a_layer_with_the_noise_that_onnx_runtime_shows():
    inputs = samples(SHAPE, count=20)
    prepared = prepare(activation_model("silu"))
    int8 = quantize(prepared, inputs, Options())
    quality = measure(prepared, int8, inputs)
    assert quality.layer_samples == 16
    assert [(layer.name, layer.operators) for layer in quality.layers] == [
        ("c", ("Conv",)),
        ("a", ("Sigmoid", "Mul")),
        ("c2", ("Conv",)),
        ("a2", ("Sigmoid", "Mul")),
        ("y", ("Conv",)),
    ]
    for layer in quality.layers:
        given = values(int8, layer.stored, inputs[:16])
        expected = values(prepared, layer.name, inputs[:16])
        assert layer.decibels == pytest.approx(signal_to_noise(given, expected))
    given, expected = values(int8, "y", inputs), values(prepared, "y", inputs)
    assert quality.output("y").decibels == pytest.approx(signal_to_noise(given, expected))
    same = given.reshape(20, -1).argmax(axis=1) == expected.reshape(20, -1).argmax(axis=1)
    assert quality.same_largest("y") == same.sum()


def test_a_layer_without_noise_or_signal_has_no_ratio():
    layer = Layer(name="y", operators=(), stored="y")
    layer.add(np.zeros(3), np.zeros(3))
    assert layer.decibels is None
    layer.add(np.array([1.0, 10.0, 0.0]), np.array([0.0, 10.0, -np.inf]))
    assert layer.decibels == pytest.approx(20)


@pytest.fixture
def files(tmp_path):
    """Return a function that writes a float model and samples with labels, and gives the words."""

    def make(labels=None):
        prepared = prepare(activation_model("mish"))
        inputs = samples(SHAPE, count=6)
        onnx.save(activation_model("mish"), tmp_path / "float.onnx")
        np.savez(tmp_path / "x.npz", x=np.stack([sample["x"] for sample in inputs]))
        right = values(prepared, "y", inputs).reshape(6, -1).argmax(axis=1)
        right[0] = (right[0] + 1) % 320
        np.savez(tmp_path / "labels.npz", right if labels is None else labels)
        return "quantize", tmp_path / "float.onnx", "-o", tmp_path / "int8.onnx"

    return make


@pytest.mark.parametrize("option", ["--data", "--calibration"])
def test_accuracy_of_both_models(tilewright, files, tmp_path, option):
    words = (*files(), option, tmp_path / "x.npz", "--labels", tmp_path / "labels.npz")
    result = tilewright(*words, "--json", tmp_path / "found.json")
    assert result.status == 0, result
    found = json.loads((tmp_path / "found.json").read_text())
    right = np.load(tmp_path / "labels.npz")["arr_0"]
    inputs = samples(SHAPE, count=6)
    given = values(onnx.load(tmp_path / "int8.onnx"), "y", inputs).reshape(6, -1).argmax(axis=1)
    accuracy = {"output": "y", "samples": 6, "float32": 5 / 6, "int8": (given == right).mean()}
    assert found["accuracy"] == accuracy
    assert "accuracy by output 'y' on 6 samples: float 83.3%, int8 " in result.out
    assert [layer["name"] for layer in found["layers"]] == ["c", "a", "c2", "a2", "y"]
    assert found["outputs"][0]["samples"] == 6
    worst = min(found["layers"], key=lambda layer: layer["signal_to_noise_db"])
    marked = [line for line in result.out.splitlines() if line.strip().startswith(">")]
    assert [line.split()[1] for line in marked] == [worst["name"]]


def test_labels_need_their_samples(tilewright, files, tmp_path):
    words = (*files(), "--labels", tmp_path / "labels.npz")
    assert "--labels needs --data or --calibration with the samples" in tilewright(*words).err


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1, 2], "labels.npz: 2 labels for 6 samples"), ([999] * 6, "labels must be below 320")],
)
def test_labels_that_do_not_fit(tilewright, files, tmp_path, labels, message):
    words = (*files(labels), "--data", tmp_path / "x.npz", "--labels", tmp_path / "labels.npz")
    result = tilewright(*words)
    assert result.status == 2
    assert message in result.err
    assert not (tmp_path / "int8.onnx").exists()
