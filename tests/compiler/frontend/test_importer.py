"""Host border, strict mode, errors of one line."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.reference import Reference
from tilewright.compiler.options import ImportOptions
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError, ModelError


def classifier(builder, *, has_float_border=True):
    """Conv, Relu, MaxPool, Gemm and, with a float border, QuantizeLinear and Softmax."""
    quantization = builder.quantization()
    if has_float_border:
        builder.inputs.append(
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
        )
        builder.feeds["image"] = builder.random.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
        stored = builder.node("QuantizeLinear", ["image", *quantization])
    else:
        stored = builder.stored_input((1, 3, 8, 8))
    value = builder.dequantize(stored, quantization)
    value = builder.node("Relu", [builder.node("Conv", [value, builder.weight((4, 3, 3, 3), 0)])])
    quantization = builder.quantization(2.0**-3)
    value = builder.node("QuantizeLinear", [value, *quantization])
    value = builder.dequantize(value, quantization)
    value = builder.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
    value = builder.node("QuantizeLinear", [value, *quantization])
    value = builder.node("Flatten", [builder.dequantize(value, quantization)])
    weight = builder.weight((36, 5), 1)
    value = builder.node("Gemm", [value, weight])
    if not has_float_border:
        return builder.output(builder.quantize(value))
    value = builder.node("Softmax", [builder.requantized(value, around=1.0)])
    return builder.output(value, "float32")


def test_float_border_runs_on_the_host(make_builder, agree):
    builder = make_builder(seed=1)
    classifier(builder)
    imported = agree(builder)
    assert [[item.op_type for item in island.operators] for island in imported.islands] == [
        ["QuantizeLinear"],
        ["DequantizeLinear", "Softmax"],
    ]
    (section,) = imported.sections
    assert imported.host_operators[0].elements == 192
    assert imported.host_operators[2].reason == "the accelerator has no softmax unit"
    assert [node.kind if hasattr(node, "kind") else "" for node in section.graph.nodes] == [
        "",
        "max",
        "",
    ]


def test_strict_refuses_host_operators(make_builder):
    builder = make_builder(seed=1)
    classifier(builder)
    with pytest.raises(
        ModelError, match=r"strict: 3 operators would run on the host; .*\n  QuantizeLinear"
    ):
        import_model(builder.model(), options=ImportOptions(strict=True))


def test_strict_accepts_an_int8_border(make_builder):
    builder = make_builder(seed=1)
    classifier(builder, has_float_border=False)
    assert import_model(builder.model(), options=ImportOptions(strict=True)).host_operators == ()


def test_import_is_deterministic(make_builder):
    builder = make_builder(seed=3)
    classifier(builder)
    model = builder.model()
    first, second = (
        compile_model(import_model(model), PRESETS["nano"]).to_bytes() for _ in range(2)
    )
    assert first == second


def test_missing_maps_are_refused(make_builder):
    builder = make_builder(seed=4)
    classifier(builder)
    (section,) = import_model(builder.model()).sections
    with pytest.raises(InputError, match=r"the input map .* is missing"):
        Reference(graph=section.graph).run({})


def test_suffix_that_reads_the_models_input_again(make_builder, agree):
    builder = make_builder(seed=5)
    source = builder.stored_input((1, 4, 6, 6))
    real = builder.dequantize(source, builder.quantization())
    value = builder.requantized(builder.node("Conv", [real, builder.weight((4, 4, 1, 1), 0)]))
    builder.output(builder.node("Sub", [value, real]), "float32")
    first, last = agree(builder).islands
    assert first.inputs == (source,)
    assert first.outputs[0] in last.inputs


def test_missing_and_malformed_files(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        import_model(tmp_path / "missing.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("this is no model")
    with pytest.raises(ModelError, match="not a readable ONNX model") as error:
        import_model(path)
    assert "\n" not in str(error.value)


def test_truncated_file(tmp_path, make_builder):
    builder = make_builder(seed=6)
    classifier(builder)
    path = tmp_path / "model.onnx"
    onnx.save(builder.model(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError):
        import_model(path)


def test_dynamic_shapes_are_refused(make_builder):
    builder = make_builder(seed=7)
    classifier(builder)
    model = builder.model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    with pytest.raises(
        ModelError, match=r"'image' must have a static shape, but axis 1 is 'channels'"
    ):
        import_model(model)


def test_float_model_is_refused(make_builder):
    builder = make_builder(seed=8)
    builder.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4]))
    builder.feeds["x"] = np.zeros((1, 4), np.float32)
    builder.output(builder.node("Relu", ["x"]), "float32")
    with pytest.raises(ModelError, match="the model is not quantized"):
        import_model(builder.model())


def test_old_operator_sets_are_refused(make_builder):
    builder = make_builder(seed=9)
    classifier(builder)
    model = builder.model()
    model.opset_import[0].version = 6
    with pytest.raises(ModelError, match="operator set must be 7 to"):
        import_model(model)


@pytest.mark.parametrize(
    ("bias", "message"),
    [(1e9, "no accumulator holds what its channels sum up"), (np.inf, "its bias is no finite")],
)
def test_accumulators_beyond_int32_are_left_to_the_host(make_builder, bias, message):
    builder = make_builder(seed=12)
    bias = builder.constant(np.full(4, bias, np.float32))
    value = builder.node(
        "Conv", [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3)), bias]
    )
    builder.output(builder.quantize(value))
    with pytest.raises(ModelError, match=message):
        import_model(builder.model())


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_impossible_scales_are_refused(make_builder, scale):
    builder = make_builder(seed=13)
    quantization = [builder.constant(np.float32(scale)), builder.constant(np.int8(0))]
    value = builder.dequantize(builder.stored_input((1, 3, 6, 6)), quantization)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 3, 3, 3))])))
    with pytest.raises(ModelError, match="a scale must be positive"):
        import_model(builder.model())


@pytest.mark.parametrize(("stated", "dtype"), [(TensorProto.INT8, np.int8), (0, np.uint8)])
def test_type_without_zero_point_is_output_dtype_or_uint8(make_builder, agree, stated, dtype):
    builder = make_builder(seed=14, opset=21)
    scale = builder.constant(np.float32(2.0**-4))
    value = builder.node("Conv", [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3))])
    stored = builder.node("QuantizeLinear", [value, scale], output_dtype=stated)
    builder.outputs.append((stored, TensorProto.INT8 if stated else TensorProto.UINT8))
    agree(builder)
    (output,) = import_model(builder.model()).sections[0].outputs
    assert np.dtype(output.dtype) == dtype
