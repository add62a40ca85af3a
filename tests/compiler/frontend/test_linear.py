"""Conv, Gemm and MatMul in QDQ form against ONNX Runtime."""

import numpy as np
import pytest

from tilewright.compiler.graph.graph import Conv, View

KINDS = [("int8", True), ("uint8", True), ("int8", False), ("uint8", False)]
INEXACT_FRACTION = 2e-3

CONVOLUTIONS = {
    "pointwise": ((1, 5, 4, 6), (7, 5, 1, 1), {}),
    "three_by_three": ((1, 3, 8, 7), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "asymmetric": ((1, 3, 9, 8), (4, 3, 3, 2), {"pads": [0, 1, 2, 0], "strides": [2, 3]}),
    "same_upper": ((1, 2, 9, 6), (3, 2, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": ((1, 2, 9, 6), (3, 2, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 2, 9, 6), (3, 2, 4, 3), {"auto_pad": "VALID", "strides": [3, 2]}),
    "dilated": ((1, 2, 11, 9), (3, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "grouped": ((1, 6, 5, 5), (8, 3, 3, 3), {"group": 2}),
    "depthwise": ((1, 6, 5, 5), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "depthwise_multiplier": ((1, 3, 5, 5), (6, 1, 3, 3), {"group": 3}),
    "one_dimension": ((1, 4, 19), (5, 4, 3), {"pads": [1, 1], "strides": [2]}),
    "one_dimension_dilated": ((1, 4, 19), (4, 1, 3), {"group": 4, "dilations": [3]}),
}


@pytest.mark.parametrize(("dtype", "is_exact"), KINDS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("axis", [None, 0])
def test_conv_equals_onnxruntime(make_builder, agree, case, axis, dtype, is_exact):
    shape, weight_shape, attributes = CONVOLUTIONS[case]
    builder = make_builder(seed=1, dtype=dtype, is_exact=is_exact)
    bias = builder.constant(builder.random.normal(size=weight_shape[0]).astype(np.float32).round(1))
    if is_exact:
        bias = builder.constant(builder.random.integers(-64, 64, weight_shape[0]).astype("f") / 64)
    inputs = [builder.activation(shape), builder.weight(weight_shape, axis), bias]
    builder.output(builder.quantize(builder.node("Conv", inputs, **attributes)))
    imported = agree(builder, fraction=0 if is_exact else 0.02)
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Conv]
    assert imported.host_operators == ()


@pytest.mark.parametrize(
    ("name", "step", "kernel", "is_ours"),
    [
        ("strides", 255, 2, True),
        ("strides", 256, 2, False),
        ("strides", 300, 1, False),
        ("dilations", 255, 2, True),
        ("dilations", 256, 2, False),
        ("dilations", 300, 1, True),
    ],
)
def test_steps_beyond_those_of_an_instruction_are_the_hosts(
    make_builder, agree, name, step, kernel, is_ours
):
    builder = make_builder(seed=3)
    inputs = [builder.activation((1, 3, 2 * step, 2)), builder.weight((3, 3, 1, 1), 0)]
    inputs = [
        builder.requantized(builder.node("Conv", inputs)),
        builder.weight((3, 3, kernel, 1), 0),
    ]
    builder.output(builder.quantize(builder.node("Conv", inputs, **{name: [step, 1]})))
    imported = agree(builder)
    assert bool(imported.host_operators) != is_ours


@pytest.mark.parametrize(
    "clamp", [("Relu", ()), ("Clip", (0.0, 6.0)), ("Clip", (-1.5, 2.0)), ("Clip", (2.0, -1.0))]
)
def test_clamp_behind_conv_becomes_the_epilogues_bounds(make_builder, agree, clamp):
    builder = make_builder(seed=2)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    bounds = [builder.constant(np.float32(bound)) for bound in clamp[1]]
    value = builder.node(clamp[0], [builder.node("Conv", inputs), *bounds])
    builder.output(builder.quantize(value))
    (node,) = agree(builder).sections[0].graph.nodes
    assert node.epilogue.low > -128
    assert node.epilogue.table is None


def test_int32_bias_of_a_qdq_model_stays_as_it_is(make_builder, agree):
    builder = make_builder(seed=3, is_exact=False)
    stored = builder.stored_input((1, 3, 5, 5))
    scale, weight_scale = np.float32(0.0371), np.float32(0.0113)
    quantization = [builder.constant(scale), builder.constant(np.int8(-5))]
    weight = builder.constant(builder.integers((4, 3, 3, 3), "int8"))
    raw = builder.random.integers(-(10**6), 10**6, 4).astype(np.int32)
    weight = builder.node("DequantizeLinear", [weight, builder.constant(weight_scale)])
    bias_scale = builder.constant(scale * weight_scale)
    bias = builder.node("DequantizeLinear", [builder.constant(raw), bias_scale])
    value = builder.node("Conv", [builder.dequantize(stored, quantization), weight, bias])
    builder.output(builder.quantize(value, around=8.0))
    imported = agree(builder, fraction=0.02)
    np.testing.assert_array_equal(imported.sections[0].graph.nodes[0].bias, raw)
    assert imported.notes == ()


def test_bias_off_the_accumulators_grid_is_noted(make_builder, agree):
    builder = make_builder(seed=4)
    bias = builder.constant(np.full(4, 0.00037, np.float32))
    inputs = [builder.activation((1, 3, 5, 5)), builder.weight((4, 3, 3, 3)), bias]
    builder.output(builder.quantize(builder.node("Conv", inputs)))
    imported = agree(builder, fraction=0.02)
    assert "no multiple of input scale * weight scale" in imported.notes[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("rows", [1, 5])
def test_gemm_equals_onnxruntime(make_builder, agree, dtype, is_transposed, rows):
    builder = make_builder(seed=5, dtype=dtype)
    shape, axis = ((9, 12), 0) if is_transposed else ((12, 9), 1)
    bias = builder.constant(builder.random.integers(-64, 64, 9).astype("f") / 64)
    inputs = [builder.activation((rows, 12)), builder.weight(shape, axis), bias]
    value = builder.node("Gemm", inputs, transB=int(is_transposed))
    builder.output(builder.quantize(value))
    assert agree(builder).sections[0].graph.maps[builder.outputs[0][0]].shape == (9, 1, rows)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (1.0, 0.25), (-2.0, 4.0)])
def test_gemm_with_factors_equals_onnxruntime(make_builder, agree, alpha, beta):
    builder = make_builder(seed=5)
    bias = builder.constant(builder.random.integers(-64, 64, 9).astype("f") / 64)
    inputs = [builder.activation((3, 12)), builder.weight((12, 9), 1), bias]
    value = builder.node("Gemm", inputs, alpha=alpha, beta=beta)
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()


def test_gemm_times_zero_is_zero(make_builder, agree):
    builder = make_builder(seed=5)
    value = builder.activation((3, 12))
    product = builder.node("Gemm", [value, builder.weight((12, 9), 1)], alpha=0.0)
    hidden = builder.requantized(builder.node("Relu", [value]))
    builder.output(builder.quantize(product))
    builder.output(builder.quantize(builder.node("Neg", [hidden])))
    assert agree(builder).host_operators == ()


def test_gemm_of_a_transposed_operand(make_builder, agree):
    builder = make_builder(seed=6)
    inputs = [builder.activation((12, 5)), builder.weight((12, 9))]
    builder.output(builder.quantize(builder.node("Gemm", inputs, transA=1)))
    agree(builder)


@pytest.mark.parametrize("shape", [(1, 12), (4, 12), (1, 6, 12), (3, 2, 12)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_matmul_and_added_bias(make_builder, agree, shape, has_bias):
    builder = make_builder(seed=7)
    value = builder.node("MatMul", [builder.activation(shape), builder.weight((12, 7), 1)])
    if has_bias:
        bias = builder.constant(builder.random.integers(-64, 64, (1, 7)).astype("f") / 64)
        value = builder.node("Add", [bias, value])
    builder.output(builder.quantize(builder.node("Relu", [value])))
    (node,) = agree(builder).sections[0].graph.nodes
    assert node.weight.shape == (7, 12, 1, 1)


def test_matmul_weights_behind_a_transpose(make_builder, agree):
    builder = make_builder(seed=8)
    weight = builder.node("Transpose", [builder.weight((7, 12), 0)], perm=[1, 0])
    value = builder.node("MatMul", [builder.activation((1, 12)), weight])
    builder.output(builder.quantize(value))
    agree(builder)


def test_weights_quantized_in_the_graph(make_builder, agree):
    builder = make_builder(seed=9)
    weight = builder.constant(builder.random.normal(0, 0.3, (7, 12)).astype(np.float32))
    quantization = [builder.constant(np.float32(2**-6)), builder.constant(np.int8(0))]
    weight = builder.node("QuantizeLinear", [weight, *quantization])
    weight = builder.dequantize(weight, quantization)
    value = builder.node("Gemm", [builder.activation((1, 12)), weight], transB=1)
    builder.output(builder.quantize(value))
    agree(builder)


@pytest.mark.parametrize("stored_order", ["NCHW", "NHWC"])
def test_flatten_and_gemm_is_a_conv_over_the_whole_map(make_builder, agree, stored_order):
    builder = make_builder(seed=10)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    if stored_order == "NHWC":
        value = builder.node("Transpose", [value], perm=[0, 2, 3, 1])
    value = builder.node("Flatten", [value])
    weight = builder.weight((64, 5), 1, around=2.0**-8)
    builder.output(builder.quantize(builder.node("Gemm", [value, weight])))
    imported = agree(builder)
    assert [node.kernel for node in imported.sections[0].graph.nodes] == [(3, 3), (4, 4)]


def test_matmul_over_the_pixels_of_a_map_needs_no_view(make_builder, agree):
    builder = make_builder(seed=11)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    value = builder.node("Reshape", [value, builder.constant([1, 4, 16])])
    value = builder.node("Transpose", [value], perm=[0, 2, 1])
    value = builder.node("MatMul", [value, builder.weight((4, 6), 1)])
    builder.output(builder.quantize(value))
    assert not any(isinstance(node, View) for node in agree(builder).sections[0].graph.nodes)


@pytest.mark.parametrize("sign", [1, -1])
def test_batch_normalization_folds_into_the_scales(make_builder, agree, sign):
    builder = make_builder(seed=12, is_exact=False)
    weight = builder.constant(builder.random.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8))
    weight = builder.node("DequantizeLinear", [weight, builder.constant(np.float32(0.01))])
    value = builder.node("Conv", [builder.activation((1, 3, 6, 6)), weight])
    parameters = [
        builder.constant(array.astype(np.float32))
        for array in (
            sign * builder.random.uniform(0.5, 2, 4),
            builder.random.normal(0, 1, 4),
            builder.random.normal(0, 1, 4),
            builder.random.uniform(0.5, 2, 4),
        )
    ]
    value = builder.node("BatchNormalization", [value, *parameters])
    builder.output(builder.quantize(value))
    agree(builder, fraction=0.02)


def test_scaled_conv_output(make_builder, agree):
    builder = make_builder(seed=13)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.node("Conv", inputs)
    value = builder.node("Mul", [value, builder.constant(np.full((1, 4, 1, 1), 0.5, np.float32))])
    value = builder.node("Sub", [value, builder.constant(np.float32(0.25))])
    builder.output(builder.quantize(value))
    agree(builder)


@pytest.mark.parametrize("zero_point", [128, 100])
def test_uint8_weights_with_a_zero_point_that_int8_absorbs(make_builder, agree, zero_point):
    builder = make_builder(seed=14)
    raw = builder.random.integers(zero_point - 90, zero_point + 100, (4, 3, 3, 3)).astype(np.uint8)
    quantization = [builder.constant(np.float32(2**-6)), builder.constant(np.uint8(zero_point))]
    weight = builder.dequantize(builder.constant(raw), quantization)
    value = builder.node("Conv", [builder.activation((1, 3, 6, 6)), weight])
    builder.output(builder.quantize(value))
    agree(builder)


@pytest.mark.parametrize("zero_point", [3, -128])
def test_asymmetric_weights_take_several_passes(make_builder, agree, zero_point):
    builder = make_builder(seed=15)
    quantization = [builder.constant(np.float32(2**-6)), builder.constant(np.int8(zero_point))]
    weight = builder.dequantize(builder.constant(builder.integers((4, 3, 3, 3))), quantization)
    value = builder.requantized(builder.node("Conv", [builder.activation((1, 3, 6, 6)), weight]))
    weight = builder.dequantize(builder.constant(builder.integers((64, 5))), quantization)
    value = builder.node("Gemm", [builder.node("Flatten", [value]), weight])
    builder.output(builder.quantize(value, around=1.0))
    imported = agree(builder)
    assert "the weights' zero point takes" in imported.notes[0]


def test_tokens_that_an_addition_reads_first_are_one_section(make_builder, agree):
    builder = make_builder(seed=21)
    summed = builder.node("Add", [builder.activation((1, 6, 8)), builder.activation((1, 6, 8))])
    value = builder.node("MatMul", [builder.requantized(summed), builder.weight((8, 5))])
    builder.output(builder.quantize(value))
    imported = agree(builder)
    assert imported.host_operators == ()
    assert len(imported.sections) == 1


def test_weights_of_more_axes_give_the_product_as_many(make_builder, agree):
    builder = make_builder(seed=21)
    value = builder.node("MatMul", [builder.activation((5, 6)), builder.weight((1, 6, 3))])
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 4, 6), (3, 6, 5)), ((2, 3, 4, 6), (3, 6, 5)), ((2, 1, 4, 6), (2, 3, 6, 5)),
     ((4, 6), (3, 6, 1)), ((3, 1, 6), (3, 6, 5))],
)  # fmt: skip
@pytest.mark.parametrize("has_bias", [False, True])
def test_each_batch_has_a_matrix_of_its_own(make_builder, agree, dtype, left, right, has_bias):
    builder = make_builder(seed=8, dtype=dtype)
    value = builder.requantized(builder.node("Neg", [builder.activation(left)]))
    value = builder.node("MatMul", [value, builder.weight(right)])
    if has_bias:
        bias = builder.random.integers(-64, 64, right[-1]).astype("f") / 64
        value = builder.node("Add", [value, builder.constant(bias)])
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize(
    ("activation", "weight"),
    [((12,), (12,)), ((12,), (12, 5)), ((3, 12), (12,)), ((2, 3, 12), (12,)), ((12,), (2, 12, 5))],
)
def test_products_with_vectors(make_builder, agree, activation, weight, is_left):
    """One axis less in the result, as NumPy has it."""
    builder = make_builder(seed=21)
    operands = [builder.activation(activation), builder.weight(weight)]
    if is_left:
        shapes = [(*shape[:-2], *shape[-2:][::-1]) for shape in (weight, activation)]
        operands = [builder.weight(shapes[0]), builder.activation(shapes[1])]
    builder.output(builder.quantize(builder.node("MatMul", operands)))
    imported = agree(builder)
    assert imported.host_operators == ()
    assert imported.coverage.macs_accelerator == imported.coverage.macs_total > 0
