"""Reshape, Transpose, Concat, Pad: layout that costs nothing, and layout the device lacks."""

import numpy as np
import pytest

from tilewright.compiler.graph.graph import Conv, Pad, Pool, Requantize, View


def convolved(builder, value, weight_shape, **attributes):
    weight = builder.weight(weight_shape, 0)
    return builder.requantized(builder.node("Conv", [value, weight], **attributes))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_transposes_at_both_ends_are_packing(make_builder, agree, dtype):
    builder = make_builder(seed=1, dtype=dtype)
    value = builder.node("Transpose", [builder.stored_input((1, 6, 5, 3))], perm=[0, 3, 1, 2])
    value = builder.dequantize(value, builder.quantization())
    value = builder.node("Conv", [value, builder.weight((4, 3, 3, 3), 0)])
    value = builder.node("Transpose", [builder.quantize(value)], perm=[0, 2, 3, 1])
    builder.output(value)
    imported = agree(builder)
    assert imported.host_operators == ()
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Conv]


def test_reshaped_input(make_builder, agree):
    builder = make_builder(seed=2)
    value = builder.node(
        "Reshape", [builder.stored_input((1, 9, 10, 1)), builder.constant([1, 1, 9, -1])]
    )
    value = builder.dequantize(value, builder.quantization())
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 1, 3, 3))])))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes"),
    [
        ("Flatten", [], {"axis": 1}),
        ("Reshape", [[0, -1]], {}),
        ("Squeeze", [[2, 3]], {}),
        ("Unsqueeze", [[0]], {}),
        ("Identity", [], {}),
        ("Dropout", [], {}),
    ],
)
def test_layout_operators_between_pool_and_gemm(make_builder, agree, op_type, operands, attributes):
    builder = make_builder(seed=3)
    value = convolved(builder, builder.activation((1, 3, 6, 6)), (4, 3, 3, 3))
    value = builder.requantized(builder.node("GlobalAveragePool", [value]))
    constants = [builder.constant(item) for item in operands]
    value = builder.node(op_type, [value, *constants], **attributes)
    value = builder.node("Reshape", [value, builder.constant([1, 4])])
    builder.output(builder.quantize(builder.node("Gemm", [value, builder.weight((4, 5))])))
    kinds = [type(node) for node in agree(builder).sections[0].graph.nodes]
    assert kinds == [Conv, Pool, Conv]


def test_other_height_and_width_is_a_view(make_builder, agree):
    builder = make_builder(seed=4)
    value = convolved(builder, builder.activation((1, 3, 6, 8)), (4, 3, 3, 3))
    value = builder.node("Reshape", [value, builder.constant([1, 4, 3, 8])])
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 4, 2, 2))])))
    kinds = [type(node) for node in agree(builder).sections[0].graph.nodes]
    assert kinds == [Conv, View, Conv]


def test_reordering_in_the_middle_is_the_hosts_between_two_sections(make_builder, agree):
    builder = make_builder(seed=5)
    value = convolved(builder, builder.activation((1, 4, 6, 6)), (4, 4, 3, 3))
    value = builder.node("Transpose", [value], perm=[0, 2, 1, 3])
    value = convolved(builder, value, (4, 4, 1, 1))
    builder.output(builder.quantize(builder.node("Relu", [value])))
    imported = agree(builder, fraction=0.02)
    kinds = [[type(node) for node in section.graph.nodes] for section in imported.sections]
    assert kinds == [[Conv], [Conv]]
    assert imported.host_operators == ()
    (moved,) = imported.sections[0].outputs
    assert moved.name == imported.sections[1].inputs[0].name


@pytest.mark.parametrize("is_quantized", [False, True])
def test_zero_pad_joins_the_conv(make_builder, agree, is_quantized):
    builder = make_builder(seed=9)
    quantization = builder.quantization()
    value = builder.dequantize(builder.stored_input((1, 3, 6, 6)), quantization)
    value = builder.node("Pad", [value, builder.constant([0, 0, 1, 0, 0, 0, 2, 1])])
    if is_quantized:
        stored = builder.node("QuantizeLinear", [value, *quantization])
        value = builder.dequantize(stored, quantization)
    value = builder.node("Conv", [value, builder.weight((4, 3, 3, 3), 0)], strides=[2, 2])
    builder.output(builder.quantize(value))
    (node,) = agree(builder).sections[0].graph.nodes
    assert node.pads == (1, 0, 2, 1)


@pytest.mark.parametrize("opset", [10, 13, 18])
def test_pad_with_another_value_stays(make_builder, agree, opset):
    builder = make_builder(seed=10, opset=opset)
    quantization = builder.quantization()
    value = builder.dequantize(builder.stored_input((1, 3, 6, 6)), quantization)
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    if opset == 10:
        value = builder.node("Pad", [value], pads=pads, value=0.25)
    elif opset == 13:
        operands = [builder.constant(pads), builder.constant(np.float32(0.25))]
        value = builder.node("Pad", [value, *operands])
    else:
        operands = [builder.constant([1, 1, 1, 1]), builder.constant(np.float32(0.25))]
        value = builder.node("Pad", [value, *operands, builder.constant([2, 3])])
    stored = builder.node("QuantizeLinear", [value, *quantization])
    value = builder.dequantize(stored, quantization)
    value = builder.node("Conv", [value, builder.weight((4, 3, 3, 3))])
    builder.output(builder.quantize(value))
    assert [type(node) for node in agree(builder).sections[0].graph.nodes] == [Pad, Conv]


def test_pad_joins_the_average_pool(make_builder, agree):
    builder = make_builder(seed=11)
    quantization = builder.quantization()
    value = builder.dequantize(builder.stored_input((1, 3, 7, 7)), quantization)
    value = builder.node("Pad", [value, builder.constant([0, 0, 0, 0, 0, 0, 1, 1])])
    stored = builder.node("QuantizeLinear", [value, *quantization])
    value = builder.dequantize(stored, quantization)
    value = builder.node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
    builder.output(builder.quantize(value, around=2.0**-5))
    (node,) = agree(builder).sections[0].graph.nodes
    assert node.count_include_pad


def test_pad_of_integers(make_builder, agree):
    builder = make_builder(seed=12)
    value = builder.stored_input((1, 3, 6, 6))
    operands = [builder.constant([0, 0, 1, 1, 0, 0, 1, 1]), builder.constant(np.int8(-7))]
    value = builder.node("Pad", [value, *operands])
    value = builder.dequantize(value, builder.quantization())
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 3, 3, 3))])))
    assert [type(node) for node in agree(builder).sections[0].graph.nodes] == [Pad, Conv]


def test_shape_computations_fold(make_builder, agree):
    builder = make_builder(seed=13)
    value = convolved(builder, builder.activation((1, 3, 6, 6)), (4, 3, 3, 3))
    batch = builder.node("Gather", [builder.node("Shape", [value]), builder.constant(0)], axis=0)
    batch = builder.node("Unsqueeze", [batch, builder.constant([0])])
    shape = builder.node("Concat", [batch, builder.constant([-1])], axis=0)
    value = builder.node("Reshape", [value, shape])
    builder.output(builder.quantize(builder.node("Gemm", [value, builder.weight((64, 3))])))
    assert agree(builder).host_operators == ()


def test_rescaled_view_of_an_input(make_builder, agree):
    builder = make_builder(seed=14, is_exact=False)
    value = builder.requantized(builder.activation((1, 3, 6, 6)))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 3, 1, 1))])))
    nodes = agree(builder, fraction=0.02).sections[0].graph.nodes
    assert [type(node) for node in nodes] == [Requantize, Conv]


def test_pad_in_front_of_quantize_linear(make_builder, agree):
    builder = make_builder(seed=15)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.node("Clip", [builder.node("Conv", inputs), builder.constant(np.float32(-1))])
    value = builder.node("Pad", [value, builder.constant([0, 0, 1, 1, 0, 0, 1, 1])])
    builder.output(builder.quantize(value))
    assert [type(node) for node in agree(builder).sections[0].graph.nodes] == [Conv, Pad]


def test_pad_of_nothing_vanishes(make_builder, agree):
    builder = make_builder(seed=16)
    value = builder.node("Pad", [builder.activation((1, 3, 6, 6)), builder.constant([0] * 8)])
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 3, 3, 3))])))
    assert [type(node) for node in agree(builder).sections[0].graph.nodes] == [Conv]


SLICE_OF_ROWS = ("Slice", ([0], [7], [2]), {})
GATHER_OF_ROWS = ("Gather", ([0, 1, 2, 3, 4, 5, 6],), {"axis": 2})
RESHAPE = ("Reshape", ([1, 1, 4, 16],), {})


@pytest.mark.parametrize("view", [SLICE_OF_ROWS, GATHER_OF_ROWS, RESHAPE], ids=lambda view: view[0])
def test_a_view_of_a_padded_map_is_not_skipped(make_builder, agree, view):
    """With its own padding below, the convolution's result has one shape with and without it."""
    op_type, operands, attributes = view
    builder = make_builder(seed=17)
    value = builder.activation((1, 1, 6, 6))
    value = builder.node("Pad", [value, builder.constant([0, 0, 1, 1, 0, 0, 1, 1])])
    operands = [builder.constant(np.array(operand)) for operand in operands]
    value = builder.node(op_type, [value, *operands], **attributes)
    window = {"strides": [2, 2], "pads": [0, 0, 1, 0]}
    value = builder.node("Conv", [value, builder.weight((2, 1, 3, 3))], **window)
    builder.output(builder.quantize(value))
    agree(builder)


def test_a_clamp_behind_a_pad_is_left_to_the_host(make_builder, agree):
    builder = make_builder(seed=18)
    value = convolved(builder, builder.activation((1, 3, 6, 6)), (3, 3, 1, 1))
    value = builder.node("Pad", [value, builder.constant([0, 0, 1, 1, 0, 0, 1, 1])])
    value = builder.node("Clip", [value, builder.constant(np.float32(-0.3))])
    value = builder.node("Conv", [value, builder.weight((4, 3, 3, 3))])
    builder.output(builder.quantize(value))
    reasons = {item.op_type: item.reason for item in agree(builder).host_operators}
    assert "padded without being quantized" in reasons["Conv"]


@pytest.mark.parametrize("like", [np.float32, np.float16, np.float64])
def test_cast_like_is_a_cast_to_the_type_that_is_known(make_builder, agree, like):
    builder = make_builder(seed=40)
    value = builder.activation((1, 3, 4, 4))
    slope = builder.constant(np.float32(0.25))
    values = [builder.constant(np.ones(1, like))]
    narrow = builder.node("CastLike", [builder.node("Relu", [value]), *values])
    back = builder.node("CastLike", [narrow, value])
    builder.output(
        builder.quantize(builder.node("Mul", [back, builder.node("CastLike", [slope, back])]))
    )
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("widths", [[0, 2, 0, 0, 0, 3, 0, 0], [0, 0, 1, 0, 0, 4, 0, 2]])
@pytest.mark.parametrize("is_pending", [True, False])
def test_padded_channels_are_concatenated(make_builder, agree, widths, is_pending):
    builder = make_builder(seed=21)
    value = builder.activation((1, 4, 6, 6))
    if is_pending:
        value = builder.node("Conv", [value, builder.weight((4, 4, 1, 1), 0)])
    value = builder.node("Pad", [value, builder.constant(widths)])
    builder.output(builder.quantize(value))
    imported = agree(builder)
    assert not imported.host_operators


def test_padded_channels_of_a_stored_map(make_builder, agree):
    builder = make_builder(seed=22, dtype="uint8")
    widths = builder.constant([0, 1, 0, 0, 0, 1, 0, 0])
    fill = builder.constant(np.uint8(7))
    builder.output(builder.node("Pad", [builder.stored_input((1, 4, 6, 6)), widths, fill]))
    agree(builder)
