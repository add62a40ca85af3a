"""Inputs and outputs of models with a batch: as ONNX Runtime takes and gives them."""

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.runtime.batches import join_batch, split_batch
from tilewright.flows.runtime.tensors import load_samples
from tilewright.flows.session import Session
from tilewright.hw.spec.batch import Batch
from tilewright.support.errors import InputError


@dataclass(frozen=True)
class Spec:
    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


IMAGE, GAIN = Spec("image", (1, 2, 3)), Spec("gain", ())
ANY = Batch(size=None, dimension="batch", inputs=("image",), outputs=("y",))
FOUR = Batch(size=4, dimension="N", inputs=("image",), outputs=("y",))


def images(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def onnx_runtime(path, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (result,) = onnxruntime.InferenceSession(path, options).run(None, {"x": images})
    return result


def test_split_gives_every_sample_what_all_share():
    gain = np.float32(2)
    samples = split_batch(ANY, [IMAGE, GAIN], {"image": images(3, 2, 3), "gain": gain})
    assert len(samples) == 3
    assert np.array_equal(samples[2]["image"], images(3, 2, 3)[2:])
    assert all(sample["gain"] == gain for sample in samples)


def test_split_refuses_another_number_of_samples():
    with pytest.raises(InputError, match=r"'image' must have shape \[4, 2, 3\], got \[3, 2, 3\]"):
        split_batch(FOUR, [IMAGE], {"image": images(3, 2, 3)})
    with pytest.raises(InputError, match=r"must have shape \[batch, 2, 3\], got \[3, 2\]"):
        split_batch(ANY, [IMAGE], {"image": images(3, 2)})


def test_split_refuses_inputs_that_differ_in_their_samples():
    batch = Batch(size=None, dimension="N", inputs=("image", "mask"), outputs=("y",))
    specs = [IMAGE, Spec("mask", (1, 2))]
    with pytest.raises(InputError, match="differ in their number of samples"):
        split_batch(batch, specs, {"image": images(3, 2, 3), "mask": images(2, 2)})


def test_join_of_no_samples_is_empty():
    joined = join_batch(ANY, [Spec("y", (1, 5), "int8")], [])
    assert joined["y"].shape == (0, 5)
    assert joined["y"].dtype == np.int8


def test_load_samples_takes_a_batch_or_a_stack_of_batches(tmp_path):
    np.savez(tmp_path / "four.npz", image=images(4, 2, 3), gain=np.float32(1))
    np.savez(tmp_path / "eight.npz", image=images(2, 4, 2, 3), gain=np.float32(1))
    for batch in (ANY, FOUR):
        samples = load_samples(tmp_path / "four.npz", [IMAGE, GAIN], batch=batch)
        assert [float(sample["image"][0, 0, 0]) for sample in samples] == [0, 6, 12, 18]
        assert len(load_samples(tmp_path / "eight.npz", [IMAGE, GAIN], batch=batch)) == 8


def test_load_samples_refuses_a_part_of_a_static_batch(tmp_path):
    np.savez(tmp_path / "three.npz", image=images(3, 2, 3))
    with pytest.raises(InputError, match=r"shape \[4, 2, 3\], or \[n, 4, 2, 3\] for n inferences"):
        load_samples(tmp_path / "three.npz", [IMAGE], batch=FOUR)


@pytest.mark.parametrize("on", ["iss", "reference", "ort"])
@pytest.mark.parametrize(("batch", "counts"), [("N", (0, 1, 5)), (4, (4,))])
def test_session_runs_a_batch_as_onnx_runtime_does(make_model, on, batch, counts):
    path = make_model(batch=batch)
    session = Session(path, "nano", on, cached=False)
    assert session.get_inputs()[0].shape == [batch, 2, 6, 6]
    assert session.get_outputs()[0].shape == [batch, 4, 4, 4]
    for count in counts:
        x = np.random.default_rng(count).uniform(-6, 6, (count, 2, 6, 6)).astype(np.float32)
        (result,) = session.run(None, {"x": x})
        assert result.shape == (count, 4, 4, 4)
        if count:
            assert np.array_equal(result, onnx_runtime(path, x))


def fully_connected(path) -> str:
    """Write a model of one layer, 64 to 5, with a symbolic batch; scales are powers of two."""
    weight = np.random.default_rng(6).integers(-128, 128, (64, 5), np.int8)
    constants = {"one": np.float32(1), "scale": np.float32(2**-9), "w": weight, "zero": np.int8(0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "one", "zero"], ["rows"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weight"]),
        helper.make_node("MatMul", ["rows", "weight"], ["product"]),
        helper.make_node("QuantizeLinear", ["product", "one", "zero"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.INT8, ["batch", size])
        for name, size in (("x", 64), ("y", 5))
    )
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "fully_connected", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return str(path)


@pytest.mark.parametrize("on", ["iss", "reference"])
def test_samples_of_one_run_are_those_of_several(tmp_path, on):
    path = fully_connected(tmp_path / "model.onnx")
    sessions = [Session(path, "nano", on, cached=False, batch_size=size) for size in (None, 8)]
    x = np.random.default_rng(7).integers(-128, 128, (8, 64), np.int8)
    (one,), (eight,) = (session.run(None, {"x": x}) for session in sessions)
    assert np.array_equal(one, eight)
    assert np.array_equal(one, onnx_runtime(path, x))
    assert [session.get_inputs()[0].shape for session in sessions] == [["batch", 64], [8, 64]]


def test_run_writes_the_outputs_of_a_batch_as_the_model_has_them(tilewright, make_model, tmp_path):
    path = make_model(batch=4)
    x = np.random.default_rng(0).uniform(-6, 6, (4, 2, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    for on in ("iss", "ort"):
        tilewright("run", path, "--preset", "nano", "--on", on, "--input", tmp_path / "x.npz",
            "-o", tmp_path / "y.npz")  # fmt: skip
        assert np.array_equal(np.load(tmp_path / "y.npz")["y"], onnx_runtime(path, x))


def test_inputs_without_axes_run_everywhere(tmp_path):
    scalar = Spec("gain", ())
    np.savez(tmp_path / "gain.npz", gain=np.float32(3))
    (sample,) = load_samples(tmp_path / "gain.npz", [scalar])
    assert isinstance(sample["gain"], np.ndarray)


def test_run_takes_a_number_in_place_of_a_symbolic_batch(tilewright, make_model, tmp_path):
    path, program = make_model(batch="N"), tmp_path / "model.tw"
    x = np.random.default_rng(0).uniform(-6, 6, (3, 2, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    tilewright("compile", path, "--preset", "nano", "--batch", 3, "-o", program)
    for given in ([path, "--preset", "nano", "--batch", 3], [program]):
        tilewright("run", *given, "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
        assert np.array_equal(np.load(tmp_path / "y.npz")["y"], onnx_runtime(path, x))
