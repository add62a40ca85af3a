"""Session: ONNX Runtime's interface to programs and models."""

import numpy as np
import pytest

import tilewright as package
from tilewright.support.errors import ConfigError, InputError, ProgramError


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_session_has_the_shape_of_onnx_runtime(digits, digits_inputs):
    import onnxruntime

    image = np.load(digits_inputs)["image"][0]
    session = package.Session(digits, "nano")
    theirs = onnxruntime.InferenceSession(digits, providers=["CPUExecutionProvider"])
    for ours, expected in zip(session.get_inputs(), theirs.get_inputs(), strict=True):
        assert (ours.name, ours.type, ours.shape) == (expected.name, expected.type, expected.shape)
    for ours, expected in zip(session.get_outputs(), theirs.get_outputs(), strict=True):
        assert (ours.name, ours.type, ours.shape) == (expected.name, expected.type, expected.shape)
    (scores,) = session.run(None, {"image": image})
    (expected,) = package.Session(digits, on="ort").run(["scores"], {"image": image})
    assert np.array_equal(scores, expected)


def test_session_rejects(tilewright, digits, digits_inputs):
    image = np.load(digits_inputs)["image"][0]
    session = package.Session(digits, package.Config.load("nano"))
    with pytest.raises(InputError, match="no output 'label'"):
        session.run(["label"], {"image": image})
    with pytest.raises(InputError, match="must be float32"):
        session.run(None, {"image": image.astype(np.float64)})
    with pytest.raises(InputError, match="input 'image' is missing"):
        session.run(None, {"x": image})
    with pytest.raises(ConfigError, match="runs on iss, rtl, reference, ort, not on 'timing'"):
        package.Session(digits, "nano", on="timing")
    with pytest.raises(ConfigError, match="neither a preset"):
        package.Session(digits, "giant")
    tilewright("compile", digits, "--preset", "nano", "-o", "d.tw")
    assert np.array_equal(
        package.Session("d.tw").run(None, {"image": image})[0],
        session.run(None, {"image": image})[0],
    )
    with pytest.raises(ProgramError, match="made for config 'nano'"):
        package.Session("d.tw", "edge")
    with pytest.raises(InputError, match="batch_size belongs to an ONNX model"):
        package.Session("d.tw", batch_size=2)
