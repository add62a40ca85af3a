"""Inputs as npz files: what is accepted, what is refused and with which words."""

from dataclasses import dataclass

import numpy as np
import onnx
import pytest

from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.execution import load_inputs
from tilewright.flows.models import compile_file, input_ranges
from tilewright.flows.runtime.targets import IssTarget
from tilewright.flows.runtime.tensors import (
    load_samples,
    random_samples,
    save_samples,
)
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError


@dataclass(frozen=True)
class Spec:
    name: str = "image"
    dtype: str = "float32"
    shape: tuple[int, ...] = (1, 2, 3)


def test_load_samples_takes_one_sample_or_a_stack(tmp_path):
    one = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.savez(tmp_path / "one.npz", image=one)
    np.savez(tmp_path / "three.npz", image=np.stack([one, one + 1, one + 2]))
    (sample,) = load_samples(tmp_path / "one.npz", [Spec()])
    assert np.array_equal(sample["image"], one)
    samples = load_samples(tmp_path / "three.npz", [Spec()], count=2)
    assert [float(sample["image"][0, 0, 0]) for sample in samples] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((1, 2, 3), np.float32)}, "input 'image' is missing"),
        (
            {"image": np.zeros((1, 2, 3), np.float32), "x": np.zeros(1)},
            "the model has no input 'x'",
        ),
        ({"image": np.zeros((1, 2, 4), np.float32)}, r"must have shape \[1, 2, 3\], or \[n, 1, 2"),
        ({"image": np.zeros((1, 2, 3))}, "must be float32, got float64"),
        ({"image": np.zeros((0, 1, 2, 3), np.float32)}, "has no samples"),
    ],
)
def test_load_samples_rejects(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_samples(tmp_path / "bad.npz", [Spec()])


def test_load_samples_rejects_too_few(tmp_path):
    np.savez(tmp_path / "one.npz", image=np.zeros((1, 2, 3), np.float32))
    with pytest.raises(InputError, match="2 samples asked for, 1 there"):
        load_samples(tmp_path / "one.npz", [Spec()], count=2)


def test_load_samples_rejects_inputs_of_different_length(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros((2, 1), np.int8), b=np.zeros((3, 1), np.int8))
    specs = [Spec("a", "int8", (1,)), Spec("b", "int8", (1,))]
    with pytest.raises(InputError, match="differ in their number of samples"):
        load_samples(tmp_path / "x.npz", specs)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_load_samples_rejects_other_files(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"not a \.npz file"):
        load_samples(tmp_path / "x.npz", [Spec()])


def test_load_samples_rejects_a_single_array_and_a_missing_file(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(InputError, match="a single array"):
        load_samples(tmp_path / "x.npy", [Spec()])
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_samples(tmp_path / "missing.npz", [Spec()])


def test_load_samples_never_unpickles(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"not a \.npz file of plain arrays"):
        load_samples(tmp_path / "x.npz", [Spec()])


def test_random_samples_are_seeded_and_fill_the_range():
    specs = [Spec("q", "int8", (4096,)), Spec("x", "float32", (4096,)), Spec("i", "int64", (99,))]
    first, second = (random_samples(specs, 2, {"x": (-4.0, 2.0), "i": (0, 2)}) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(first[0]["q"], first[1]["q"])
    assert (first[0]["q"].min(), first[0]["q"].max()) == (-128, 127)
    assert set(first[0]["i"].tolist()) == {0, 1, 2}
    assert -4 <= first[0]["x"].min() < -3.9
    assert 1.9 < first[0]["x"].max() < 2
    assert first[0]["x"].dtype == np.float32


def test_save_samples_stacks(tmp_path):
    samples = [{"y": np.full((1, 2), n, np.int8)} for n in range(3)]
    save_samples(tmp_path / "out.npz", samples)
    with np.load(tmp_path / "out.npz") as archive:
        assert archive["y"].shape == (3, 1, 2)
        assert archive["y"][2, 0, 0] == 2


def test_random_indices_are_those_of_the_table(tmp_path):
    model = make_kernel("gemm", (64, 8, 8))
    table = np.arange(40, dtype=np.float32).reshape(5, 8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    quantized = ["embedded", "input_scale", "input_zero"]
    model.graph.node.insert(0, onnx.helper.make_node("QuantizeLinear", quantized, ["input"]))
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["table", "tokens"], ["embedded"]))
    tokens = onnx.helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, [64])
    model.graph.input[0].CopyFrom(tokens)
    onnx.save(model, tmp_path / "m.onnx")
    program = compile_file(tmp_path / "m.onnx", PRESETS["nano"]).program
    assert input_ranges(program) == {"tokens": (0, 4)}
    (sample,) = load_inputs(program, WantedInputs())
    assert set(sample["tokens"].tolist()) == {0, 1, 2, 3, 4}
    assert IssTarget(program).run(sample).outputs["output"].shape == (64, 8)
