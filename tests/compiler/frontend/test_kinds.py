"""Kinds of files: how exporters and quantizers write what the compiler can run."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from tilewright.compiler.frontend.importer import import_model

MICROSOFT = "com.microsoft"


def test_microsoft_quantization_needs_neither_value_info_nor_an_import(make_builder, agree):
    builder = make_builder(seed=1)
    real = builder.node("DequantizeLinear", [builder.stored_input((1, 4, 6, 6)),
                                             *builder.quantization()], MICROSOFT)  # fmt: skip
    for _ in range(2):
        pair = builder.quantization(2.0**-1)
        summed = builder.node("Conv", [real, builder.weight((4, 4, 3, 3), 0)], pads=[1, 1, 1, 1])
        stored = builder.node("QuantizeLinear", [summed, *pair], MICROSOFT)
        real = builder.node("DequantizeLinear", [stored, *pair], MICROSOFT)
    builder.outputs.append((real, TensorProto.FLOAT))
    model = builder.model()
    del model.opset_import[1:]
    builder.model = lambda: model
    imported = agree(builder)
    assert [item.op_type for item in imported.host_operators] == ["DequantizeLinear"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_casts_that_change_nothing_vanish(make_builder, agree, dtype):
    builder = make_builder(seed=2, dtype=dtype)
    real = builder.activation((1, 4, 5, 5))
    real = builder.node("Cast", [real], to=TensorProto.FLOAT)
    result = builder.node("Conv", [real, builder.weight((4, 4, 1, 1))])
    kind = TensorProto.INT8 if dtype == "int8" else TensorProto.UINT8
    stored = builder.node("Cast", [builder.quantize(result)], to=kind)
    builder.output(stored)
    assert agree(builder).host_operators == ()


def test_an_image_of_bytes_is_preprocessed_on_the_accelerator(make_builder, agree):
    builder = make_builder(seed=3, dtype="uint8")
    real = builder.node("Cast", [builder.stored_input((1, 4, 5, 5))], to=TensorProto.FLOAT)
    real = builder.node("Mul", [real, builder.constant(np.float32(2.0**-7))])
    real = builder.node("Sub", [real, builder.constant(np.float32(1))])
    real = builder.requantized(real, 2.0**-7, 0)
    builder.output(builder.quantize(builder.node("Conv", [real, builder.weight((4, 4, 3, 3))])))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_clip_of_stored_values_is_a_clamp(make_builder, agree, dtype):
    builder = make_builder(seed=4, dtype=dtype)
    bounds = [builder.constant(builder.zero_point(value)) for value in (-8, 7)]
    pair = builder.quantization(2.0**-2, 1)
    real = builder.activation((1, 4, 5, 5))
    real = builder.node("Conv", [real, builder.weight((4, 4, 3, 3), 0)])
    clipped = builder.node("Clip", [builder.node("QuantizeLinear", [real, *pair]), *bounds])
    real = builder.dequantize(clipped, pair)
    builder.output(builder.quantize(builder.node("Conv", [real, builder.weight((4, 4, 1, 1))])))
    imported = agree(builder)
    assert imported.host_operators == ()
    assert len(imported.sections[0].graph.nodes) == 2


@pytest.mark.parametrize("name", ["int4", "uint4"])
def test_weights_of_four_bits_are_widened(make_builder, agree, name):
    builder = make_builder(seed=5, opset=21)
    limits = ml_dtypes.iinfo(getattr(ml_dtypes, name))
    low, high = int(limits.min), int(limits.max) + 1
    stored, zero = builder.random.integers(low, high, (4, 4, 3, 3)), np.full(4, (low + high) // 2)
    weight, zero_point = (builder.constant(array.astype(limits.dtype)) for array in (stored, zero))
    scale = builder.constant(builder.scale((4,)))
    real = builder.node("DequantizeLinear", [weight, scale, zero_point], axis=0)
    inputs = [builder.activation((1, 4, 6, 6)), real]
    builder.output(builder.quantize(builder.node("Conv", inputs)))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("is_exact", [True, False])
def test_scales_of_float16_widen(make_builder, agree, is_exact):
    builder = make_builder(seed=6, opset=21, is_exact=is_exact)
    scale = builder.scale
    builder.scale = lambda *arguments: scale(*arguments).astype(np.float16)
    real = builder.activation((1, 4, 6, 6))
    real = builder.node("Conv", [real, builder.weight((4, 4, 3, 3), 0)])
    real = builder.node("HardSwish", [builder.requantized(real)])
    builder.output(builder.quantize(real, 2.0**-4))
    assert agree(builder, fraction=0.03 if is_exact else 0.06).host_operators == ()


@pytest.mark.parametrize("width", [1, 2])
def test_grouped_weights_take_any_zero_point(make_builder, agree, width):
    builder = make_builder(seed=7)
    raw = builder.integers((6, width, 3, 3), "uint8")
    pair = [builder.constant(np.float32(2**-6)), builder.constant(np.uint8(90))]
    weight = builder.dequantize(builder.constant(raw), pair)
    inputs = [builder.activation((1, 6, 5, 5)), weight]
    result = builder.node("Conv", inputs, group=6 // width, pads=[1, 1, 1, 1])
    builder.output(builder.quantize(result))
    assert agree(builder).host_operators == ()


def reasons_of(builder):
    return {item.op_type: item.reason for item in import_model(builder.model()).host_operators}


def convolved(builder):
    inputs = [builder.activation((1, 4, 5, 5)), builder.weight((4, 4, 1, 1))]
    return builder.requantized(builder.node("Conv", inputs))


def test_a_dropout_that_trains_is_left_to_the_host(make_builder):
    builder = make_builder(seed=8)
    options = [builder.constant(np.float32(0)), builder.constant(np.array(True))]
    value = builder.node("Dropout", [convolved(builder), *options])
    builder.output(builder.quantize(value))
    assert "at random" in reasons_of(builder)["Dropout"]


@pytest.mark.parametrize("noop", [0, 1])
def test_a_mean_over_no_axes_is_none_or_over_all(make_builder, agree, noop):
    builder = make_builder(seed=9, opset=18)
    axes = builder.constant(np.zeros(0, np.int64))
    value = builder.node("ReduceMean", [convolved(builder), axes], noop_with_empty_axes=noop)
    builder.output(builder.quantize(value))
    agree(builder)
