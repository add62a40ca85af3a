"""MaxPool, AveragePool, global pooling and ReduceMean in QDQ form against ONNX Runtime."""

import numpy as np
import pytest

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv, Pad, Pool
from tilewright.compiler.options import ImportOptions
from tilewright.hw.spec.config import PRESETS

WINDOWS = {
    "plain": ((1, 3, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "overlapping": ((1, 3, 9, 8), {"kernel_shape": [4, 2], "strides": [2, 1]}),
    "padded": ((1, 3, 8, 7), {"kernel_shape": [4, 2], "pads": [1, 0, 2, 1]}),
    "same_upper": ((1, 3, 7, 7), {"kernel_shape": [2, 4], "auto_pad": "SAME_UPPER"}),
    "ceil": ((1, 3, 9, 8), {"kernel_shape": [2, 4], "strides": [2, 3], "ceil_mode": 1}),
    "ceil_padded": (
        (1, 2, 10, 9),
        {"kernel_shape": [4, 4], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    ),
    "ceil_last_window_in_padding": (
        (1, 2, 5, 5),
        {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    ),
    "one_dimension": ((1, 3, 16), {"kernel_shape": [4], "strides": [2]}),
}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("case", WINDOWS)
def test_max_pool_equals_onnxruntime(make_builder, agree, case, dtype):
    shape, attributes = WINDOWS[case]
    builder = make_builder(seed=1, dtype=dtype, is_exact=False)
    quantization = builder.quantization()
    value = builder.dequantize(builder.stored_input(shape), quantization)
    value = builder.node("MaxPool", [value], **attributes)
    builder.output(builder.node("QuantizeLinear", [value, *quantization]))
    imported = agree(builder)
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Pool]


def test_max_pool_with_dilation_and_another_scale(make_builder, agree):
    builder = make_builder(seed=2, is_exact=False)
    value = builder.node(
        "MaxPool", [builder.activation((1, 3, 9, 9))], kernel_shape=[3, 2], dilations=[2, 3]
    )
    builder.output(builder.quantize(value, around=2.0**-5))
    agree(builder)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("includes_pads", [0, 1])
@pytest.mark.parametrize("case", WINDOWS)
def test_average_pool_equals_onnxruntime(make_builder, agree, case, includes_pads, dtype):
    shape, attributes = WINDOWS[case]
    builder = make_builder(seed=3, dtype=dtype)
    value = builder.node(
        "AveragePool", [builder.activation(shape)], count_include_pad=includes_pads, **attributes
    )
    builder.output(builder.quantize(value, around=2.0**-5))
    imported = agree(builder, fraction=0.02)
    kinds = [type(node) for node in imported.sections[0].graph.nodes]
    needs_pad = includes_pads and case == "ceil_padded"
    assert kinds == ([Pad, Pool] if needs_pad else [Pool])


@pytest.mark.parametrize("shape", [(1, 5, 8, 4), (1, 5, 16)])
@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pool_equals_onnxruntime(make_builder, agree, op_type, shape):
    builder = make_builder(seed=4)
    value = builder.node(op_type, [builder.activation(shape)])
    builder.output(builder.quantize(value, around=2.0**-6))
    (node,) = [n for n in agree(builder).sections[0].graph.nodes if isinstance(n, Pool)]
    assert node.is_global


@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("opset", [13, 18])
def test_reduce_mean_over_the_pixels_is_a_global_average(make_builder, agree, keeps, opset):
    builder = make_builder(seed=5, opset=opset)
    inputs, attributes = [builder.activation((1, 5, 8, 4))], {"keepdims": keeps}
    if opset < 18:
        attributes["axes"] = [2, 3]
    else:
        inputs.append(builder.constant([-2, -1]))
    value = builder.node("ReduceMean", inputs, **attributes)
    builder.output(builder.quantize(value, around=2.0**-6))
    assert agree(builder).sections[0].graph.nodes[0].kernel == (8, 4)


def test_reduce_mean_over_the_rows_of_a_matrix(make_builder, agree):
    builder = make_builder(seed=6)
    value = builder.node("MatMul", [builder.activation((1, 8, 6)), builder.weight((6, 5))])
    value = builder.node("ReduceMean", [builder.requantized(value)], axes=[1], keepdims=0)
    builder.output(builder.quantize(value, around=2.0**-4))
    agree(builder)


def test_reduce_mean_over_what_is_stored_in_another_order(make_builder, agree):
    builder = make_builder(seed=13)
    value = builder.node("Add", [builder.activation((1, 8, 16)), builder.weight((1, 8, 16))])
    value = builder.node("ReduceMean", [builder.requantized(value)], axes=[1])
    builder.output(builder.quantize(value, around=2.0**-6))
    agree(builder)


def test_reduce_mean_of_a_reshaped_image(make_builder, agree):
    builder = make_builder(seed=14)
    value = builder.node("Conv", [builder.activation((1, 3, 8, 4)), builder.weight((5, 3, 1, 1))])
    value = builder.node("Reshape", [builder.requantized(value), builder.constant([1, 5, 32])])
    value = builder.node("ReduceMean", [value], axes=[2])
    builder.output(builder.quantize(value, around=2.0**-4))
    agree(builder)


def test_max_pool_of_integers(make_builder, agree):
    builder = make_builder(seed=8, dtype="int8")
    value = builder.node("MaxPool", [builder.stored_input((1, 3, 8, 8))], kernel_shape=[2, 2])
    builder.output(value)
    agree(builder)


def test_max_pool_in_front_of_quantize_linear(make_builder, agree):
    builder = make_builder(seed=9)
    inputs = [builder.activation((1, 3, 8, 8)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.node("Relu", [builder.node("Conv", inputs)])
    value = builder.node("MaxPool", [value], kernel_shape=[2, 3], pads=[0, 1, 0, 1])
    builder.output(builder.quantize(builder.node("Relu", [value])))
    assert [type(node) for node in agree(builder).sections[0].graph.nodes] == [Conv, Pool]


def test_windows_that_begin_behind_the_input_do_not_count_on_the_host_either(make_builder, agree):
    builder = make_builder(seed=15)
    shape, window = WINDOWS["ceil_last_window_in_padding"]
    value = builder.node("Softmax", [builder.activation(shape)])
    value = builder.requantized(builder.node("MaxPool", [value], **window), 2.0**-8)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((3, 2, 2, 2))])))
    assert "MaxPool" in {item.op_type for item in agree(builder).host_operators}


def test_a_window_larger_than_activation_sram_is_left_to_the_host(make_builder):
    builder = make_builder(seed=1)
    source = builder.activation((1, 2, 96, 96))
    mean = builder.node("GlobalAveragePool", [source])
    builder.output(builder.quantize(mean))
    weight = builder.weight((2, 2, 3, 3), axis=0)
    builder.output(builder.quantize(builder.node("Conv", [source, weight])))
    imported = import_model(builder.model(), PRESETS["nano"], ImportOptions(keep_sections=True))
    reasons = {item.op_type: item.reason for item in imported.host_operators}
    assert reasons["GlobalAveragePool"] == (
        "its window of 96x96 pixels must fit into activation SRAM, 8192 words; raise activation_kib"
    )
    assert (
        len(
            import_model(
                builder.model(), PRESETS["base"], ImportOptions(keep_sections=True)
            ).islands
        )
        == 0
    )


def test_a_dilated_window_larger_than_activation_sram_is_left_to_the_host(make_builder):
    """The tile holds what the dilation leaves out."""
    builder = make_builder(seed=1)
    source = builder.activation((1, 2, 96, 100))
    largest = builder.node("MaxPool", [source], kernel_shape=[48, 50], dilations=[2, 2])
    builder.output(builder.quantize(largest))
    builder.output(builder.quantize(builder.node("Conv", [source, builder.weight((2, 2, 3, 3))])))
    imported = import_model(builder.model(), PRESETS["nano"], ImportOptions(keep_sections=True))
    reasons = {item.op_type: item.reason for item in imported.host_operators}
    assert "must fit into activation SRAM" in reasons["MaxPool"]
    compile_model(imported, PRESETS["nano"])


def test_max_pool_behind_a_table_waits_for_quantize(make_builder, agree):
    """LeakyRelu, Max and MaxPool between one pair of DequantizeLinear and QuantizeLinear."""
    builder = make_builder(seed=16)
    value = builder.node("LeakyRelu", [builder.activation((1, 3, 8, 6))], alpha=0.25)
    value = builder.node("Max", [value, builder.constant(np.float32(-0.5))])
    value = builder.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()
