"""`tilewright quantize`: what it writes, and its errors."""

import numpy as np
import onnx
import pytest
from float_graphs import graph, run_model
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.commands.quantize import parse_values
from tilewright.flows.quantization.calibration import Normalization, calibration_samples
from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.quantizer import Options, quantize
from tilewright.flows.quantization.shapes import FloatInput
from tilewright.support.errors import InputError

IMAGE = FloatInput(name="x", dtype="float32", shape=(1, 3, 4, 6))


def float_model(*, batch=1, opset=17, bias_shape=(1, 5), ir_version=8):
    """x [batch, 2, 6, 6] -> Conv -> BatchNormalization -> Relu -> Flatten -> Gemm -> y [batch, 5].

    IR version 3 lists its constants as inputs.
    """
    random = np.random.default_rng(3)
    shapes = {
        "w": (4, 2, 3, 3), "gamma": (4,), "beta": (4,), "mean": (4,), "dense": (64, 5),
        "bias": bias_shape,
    }  # fmt: skip
    constants = {name: random.normal(0, 0.3, shape) for name, shape in shapes.items()}
    constants["variance"] = random.uniform(0.5, 2, 4)
    initializers = [
        numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "dense", "bias"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 6, 6])]
    if ir_version == 3:
        inputs += [
            helper.make_tensor_value_info(item.name, item.data_type, item.dims)
            for item in initializers
        ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 5])]
    graph = helper.make_graph(nodes, "float", inputs, outputs, initializers)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


@pytest.fixture
def model_path(tmp_path):
    """Return a function that writes a float model and gives its path."""

    def make(**changes):
        path = tmp_path / "float.onnx"
        onnx.save(float_model(**changes), path)
        return path

    return make


def constants_of(model, operator, position):
    """The constant inputs at a position of all nodes of an operator."""
    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == operator]
    return [values[n.input[position]] for n in nodes if n.input[position] in values]


@pytest.mark.parametrize(
    "changes",
    [{}, {"opset": 9, "ir_version": 3}, {"batch": "N"}, {"bias_shape": (5,)}],
    ids=["plain", "old", "dynamic-batch", "flat-bias"],
)
def test_quantized_model_compiles_and_is_close_to_the_float_model(
    tilewright, model_path, tmp_path, changes
):
    random = np.random.default_rng(4)
    samples = random.normal(0, 1, (6, 1, 2, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=samples)
    target = tmp_path / "int8.onnx"
    result = tilewright(
        "quantize", model_path(**changes), "-o", target, "--fix-batch",
        "--calibration", tmp_path / "data.npz",
    )  # fmt: skip
    assert result.status == 0, result
    assert "calibrated on 6 samples" in result.out
    compiled = tilewright("compile", target, "--preset", "nano", "-o", tmp_path / "o.tw", "--quiet")
    assert compiled.status == 0, compiled
    inputs = [{"x": sample} for sample in samples]
    expected = np.stack([s["y"] for s in run_model(prepare(float_model()), inputs)])
    given = np.stack([s["y"] for s in run_model(onnx.load(target), inputs)])
    assert np.abs(given - expected).max() < 0.05 * np.abs(expected).max()


def test_prepare_folds_batch_normalization():
    operators = [node.op_type for node in prepare(float_model()).graph.node]
    assert "BatchNormalization" not in operators
    assert operators[0] == "Conv"


def test_options_set_scales_and_zero_points():
    prepared = prepare(float_model())
    random = np.random.default_rng(5)
    samples = [{"x": random.normal(1, 1, (1, 2, 6, 6)).astype(np.float32)} for _ in range(2)]
    plain = quantize(prepared, samples, Options())
    assert 4 in [scale.size for scale in constants_of(plain, "DequantizeLinear", 1)]
    assert any(zero.any() for zero in constants_of(plain, "QuantizeLinear", 2))
    changed = quantize(prepared, samples, Options(per_tensor=True, symmetric=True))
    weights = [
        scale
        for scale, zero in zip(
            constants_of(changed, "DequantizeLinear", 1),
            constants_of(changed, "DequantizeLinear", 2),
            strict=True,
        )
        if zero.dtype == np.int8
    ]
    assert all(scale.size == 1 for scale in weights)
    assert not any(zero.any() for zero in constants_of(changed, "QuantizeLinear", 2))


def test_random_calibration_is_seeded(tilewright, model_path, tmp_path):
    outputs = []
    for number, seed in enumerate((1, 1, 2)):
        target = tmp_path / f"{number}.onnx"
        words = ("quantize", model_path(), "-o", target, "--seed", seed, "--samples", 2)
        assert tilewright(*words).status == 0
        outputs.append(target.read_bytes())
    assert outputs[0] == outputs[1] != outputs[2]


def test_images_are_cut_scaled_and_normalized(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.full((8, 16, 3), (10, 20, 30), np.uint8)
    pixels[:, :2] = pixels[:, -2:] = 255  # outside the middle 8 x 12
    image.fromarray(pixels).save(tmp_path / "b.png")
    image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no image")
    first, second = calibration_samples(
        str(tmp_path), [IMAGE], normalization=Normalization(mean=(10, 10, 10), scale=(0.5, 1, 2))
    )
    assert first["x"].dtype == np.float32
    assert first["x"].shape == second["x"].shape == (1, 3, 4, 6)
    assert np.array_equal(first["x"][0, :, 0, 0], [-5, -10, -20])
    assert np.array_equal(second["x"][0, :, 2, 2], [0, 10, 40])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (FloatInput(name="x", dtype="int64", shape=(1, 3, 4, 4)), "input 'x' is int64[1, 3, 4, 4]"),
        (FloatInput(name="x", dtype="float32", shape=(1, 8)), "fit a float input"),
        (IMAGE, "no image there; known are .png, .jpg"),
    ],
)
def test_images_that_do_not_fit(tmp_path, item, message):
    with pytest.raises(InputError) as error:
        calibration_samples(str(tmp_path), [item])
    assert message in str(error.value)


def test_unreadable_image(tmp_path):
    pytest.importorskip("PIL.Image")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="not a readable image"):
        calibration_samples(str(tmp_path), [IMAGE])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_images_of_more_than_eight_bits_are_refused(tmp_path, dtype):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((4, 6), 1000, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="must have 8 bits a channel"):
        calibration_samples(str(tmp_path), [IMAGE])


def test_too_few_images(tmp_path):
    pytest.importorskip("PIL.Image").new("L", (6, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="2 images asked for, 1 there"):
        calibration_samples(str(tmp_path), [IMAGE], count=2)


def test_parse_values():
    assert parse_values("--mean", "1,2.5,3") == (1.0, 2.5, 3.0)


@pytest.fixture
def fails(tilewright, model_path, tmp_path):
    """Return a function that quantizes the float model and checks the form of the error."""

    def run(*words, path=None, **changes):
        source, target = path or model_path(**changes), tmp_path / "int8.onnx"
        result = tilewright("quantize", source, "-o", target, *words)
        assert (result.status, result.out) == (2, ""), result
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1
        assert not target.exists()
        return result.err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", "0"], "--samples must be at least 1, got 0"),
        (["--calibration", "nowhere"], "no such file or folder; give a .npz file"),
        (["--mean", "a"], "--mean needs numbers with commas between them, got 'a'"),
        (["--scale", "inf"], "--scale needs finite numbers"),
    ],
)
def test_wrong_options(fails, words, message):
    assert message in fails(*words)


def test_wrong_activations(fails):
    message = "--activations needs OPERATOR=symmetric or OPERATOR=asymmetric, got 'Conv'"
    assert message in fails("--activations", "Conv")
    error = fails("--activations", "Softmax=symmetric")
    assert "has no such operator; it has Conv, Flatten, Gemm, Relu" in error


def test_quantized_model_is_refused(fails, digits):
    assert "is quantized already; `tilewright compile` takes it as it is" in fails(path=digits)


@pytest.mark.parametrize(
    ("operator", "domain", "message"),
    [
        ("MatMulInteger", "", "is dynamically quantized; quantize the float model"),
        ("DequantizeLinear", "", "has quantized weights and float activations; quantize the float"),
        ("Quant", "qonnx.custom_op.general", "is a QONNX model, quantized already; quantize the"),
    ],
)
def test_other_kinds_of_quantized_models(fails, tmp_path, operator, domain, message):
    inputs = {"MatMulInteger": ["x", "x"], "DequantizeLinear": ["x", "s"]}.get(operator, ["x"])
    node = helper.make_node(operator, inputs, ["y"], name="n", domain=domain)
    kind = TensorProto.INT8 if not domain else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "quantized",
        [helper.make_tensor_value_info("x", kind, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
        [numpy_helper.from_array(np.float32(1), "s")] if "s" in inputs else [],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("qonnx.custom_op.general", 1)]
    path = tmp_path / "quantized.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    error = fails(path=path)
    assert message in error
    assert f"(it has {operator} 'n')" in error


def test_a_model_with_nothing_to_quantize(fails, tmp_path):
    path = tmp_path / "float.onnx"
    onnx.save(graph("y = Softplus x", {"x": [1, 4]}, {"y": [1, 4]}), path)
    error = fails(path=path)
    assert "nothing to quantize: a Conv, a matrix product" in error
    assert "the operators are Softplus" in error


def test_missing_and_malformed_models(fails, tmp_path):
    assert "no such file" in fails(path=tmp_path / "no.onnx")
    (tmp_path / "bad.onnx").write_text("no model\n")
    assert "bad.onnx: not a " in fails(path=tmp_path / "bad.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_calibration_data_that_is_not_finite(fails, tmp_path, value):
    data = np.zeros((3, 1, 2, 6, 6), np.float32)
    data[1, 0, 1, 2, 3] = value
    np.savez(tmp_path / "data.npz", x=data)
    error = fails("--calibration", tmp_path / "data.npz")
    assert "data.npz: input 'x' must be finite, sample 1 has NaN or infinity" in error


def test_random_calibration_is_named(tilewright, model_path, tmp_path):
    result = tilewright("quantize", model_path(), "-o", tmp_path / "int8.onnx")
    assert "calibrated on 8 random samples\n" in result.out
    np.savez(tmp_path / "data.npz", x=np.ones((1, 2, 6, 6), np.float32))
    words = ("-o", tmp_path / "int8.onnx", "--calibration", tmp_path / "data.npz")
    assert "calibrated on 1 sample\n" in tilewright("quantize", model_path(), *words).out


def test_npz_without_the_input(fails, tmp_path):
    np.savez(tmp_path / "data.npz", z=np.zeros(3))
    assert "input 'x' is missing" in fails("--calibration", tmp_path / "data.npz")
