"""Operands that no QuantizeLinear follows, rounded by themselves: one step off at most."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv
from tilewright.hw.spec.config import PRESETS

FEW, SOME = 0.1, 0.25
"""The part of the results that may be one step off where one operand is rounded, and where two
are."""
SHAPE = (1, 8, 12, 12)


def convolved(builder, shape=SHAPE, *functions):
    weight = builder.weight((shape[1], shape[1], 3, 3), 0, around=2.0**-9)
    value = builder.node("Conv", [builder.activation(shape), weight], pads=[1, 1, 1, 1])
    for function in functions:
        value = builder.node(function, [value])
    return value


def quantized(builder, value, scale, zero_point=0):
    """An output of the model."""
    pair = [builder.constant(np.float32(scale)), builder.constant(builder.zero_point(zero_point))]
    builder.output(builder.node("QuantizeLinear", [value, *pair]))


def squeezed(builder, value, gate, scale):
    """Squeeze and excite as TensorRT's tools write it: Q/DQ in front of pooling and products."""
    channels = SHAPE[1]
    pair = [builder.constant(np.float32(scale)), builder.constant(builder.zero_point(0))]
    stored = builder.dequantize(builder.node("QuantizeLinear", [value, *pair]), pair)
    mean = builder.node("GlobalAveragePool", [stored])
    weight = builder.weight((channels, channels, 1, 1), around=2.0**-7)
    inner = builder.node("Conv", [builder.requantized(mean, 2.0**-7), weight])
    weight = builder.weight((channels, channels, 1, 1), around=2.0**-5)
    return builder.node(gate, [builder.node("Conv", [builder.requantized(inner, 2.0**-7), weight])])


def functions_of_stored(builder):
    return [
        builder.node(function, [builder.requantized(convolved(builder), 2.0**-4)])
        for function in ("HardSwish", "Sigmoid")
    ]


def check(builder, imported):
    expected = run_on_reference(imported, builder.feeds)
    for config in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[config]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("gate", ["HardSigmoid", "Sigmoid"])
def test_squeeze_and_excite_of_a_convolutions_value(make_builder, agree, gate, dtype):
    """What the gate opens is taken unrounded, the gate alone is rounded."""
    builder = make_builder(seed=1, dtype=dtype, is_exact=False)
    value = convolved(builder, SHAPE, "Relu")
    gate = squeezed(builder, value, gate, 0.1)
    quantized(builder, builder.node("Mul", [value, gate]), 0.04)
    imported = agree(builder, fraction=FEW)
    assert imported.host_operators == ()
    assert "was rounded to 8 bits; its result is one step off" in imported.notes[-1]
    check(builder, imported)


def test_squeeze_and_excite_of_a_function(make_builder, agree):
    """Both are rounded, over the range that the QuantizeLinear of the pooling states."""
    builder = make_builder(seed=2, is_exact=False)
    value = convolved(builder, SHAPE, "HardSwish")
    gate = squeezed(builder, value, "HardSigmoid", 0.13)
    quantized(builder, builder.node("Mul", [gate, value]), 0.08)
    imported = agree(builder, fraction=SOME)
    assert imported.host_operators == ()
    check(builder, imported)


def test_a_product_that_would_be_further_off_is_left_to_the_host(make_builder):
    builder = make_builder(seed=3, is_exact=False)
    value = convolved(builder, SHAPE, "HardSwish")
    gate = squeezed(builder, value, "HardSigmoid", 0.13)
    quantized(builder, builder.node("Mul", [value, gate]), 0.02)
    reasons = {item.op_type: item.reason for item in import_model(builder.model()).host_operators}
    assert "more than a step off; put a QuantizeLinear" in reasons["QuantizeLinear"]


def test_a_product_of_values_without_bounds_is_left_to_the_host(make_builder):
    builder = make_builder(seed=4)
    value = builder.node("Mul", [convolved(builder), convolved(builder)])
    builder.output(
        builder.quantize(builder.node("MaxPool", [convolved(builder)], kernel_shape=[2, 2]))
    )
    builder.output(builder.quantize(value))
    reasons = {item.op_type: item.reason for item in import_model(builder.model()).host_operators}
    assert "that has no bounds; put a QuantizeLinear" in reasons["Mul"]


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_functions_of_stored_values(make_builder, agree, op_type):
    """Where convolutions alone are quantized, functions of their results are not."""
    builder = make_builder(seed=5, is_exact=False)
    values = functions_of_stored(builder)
    quantized(builder, builder.node(op_type, values), 0.08)
    assert agree(builder, fraction=SOME).host_operators == ()


def test_a_clamped_convolution_plus_an_activation(make_builder, agree):
    """Relu6 has bounds on both sides."""
    builder = make_builder(seed=6, is_exact=False)
    bounds = [builder.constant(np.float32(bound)) for bound in (0, 6)]
    value = builder.node("Clip", [convolved(builder), *bounds])
    value = builder.node("Add", [value, builder.activation(SHAPE)])
    builder.output(builder.quantize(value, 2.0**-4))
    assert agree(builder, fraction=FEW).host_operators == ()


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("function", ["Relu", "LeakyRelu", "Identity", "Sigmoid"])
def test_pixels_that_are_mixed_before_they_are_quantized(make_builder, agree, mode, function):
    builder = make_builder(seed=7, is_exact=False)
    value = convolved(builder, SHAPE, function)
    size = 23 if mode == "align_corners" else 24
    sizes = builder.constant(np.array([1, 8, size, size]))
    value = builder.node(
        "Resize", [value, "", "", sizes], mode="linear", coordinate_transformation_mode=mode
    )
    joined = builder.node("Concat", [value, convolved(builder, (1, 8, size, size), "Relu")], axis=1)
    zero_point, scale = (-128, 2.0**-8) if function == "Sigmoid" else (-60, 0.1)
    quantized(builder, joined, scale, zero_point)
    imported = agree(builder, fraction=SOME)
    assert imported.host_operators == ()
    check(builder, imported)


def test_pixels_next_to_a_saturated_result_are_as_near(make_builder, agree):
    """Pixels have all the range that the accumulators can hold, not that of the result."""
    builder = make_builder(seed=15, is_exact=False)
    scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
    value = builder.node("Resize", [convolved(builder, SHAPE, "Relu"), "", scales], mode="linear")
    quantized(builder, value, 0.02)
    assert agree(builder, fraction=SOME).host_operators == ()


def test_a_hard_sigmoid_of_a_convolution_is_its_clamp(make_builder, agree):
    """One drain, without tables, exact but for the bias."""
    builder = make_builder(seed=9, is_exact=False)
    value = convolved(builder, SHAPE, "HardSigmoid")
    builder.output(builder.quantize(value, 2.0**-8, -128))
    imported = agree(builder, fraction=0.02)
    (node,) = imported.sections[0].graph.nodes
    assert isinstance(node, Conv)
    assert not node.epilogue.pieces
    assert node.epilogue.table is None


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "ReduceMean"])
@pytest.mark.parametrize("scale", [0.05, 0.005])
def test_a_mean_of_a_function_of_stored_values(make_builder, agree, op_type, scale):
    """Rounded, or where that is too coarse in 16 bits."""
    builder = make_builder(seed=10, is_exact=False)
    value = builder.requantized(convolved(builder), 2.0**-4)
    value = builder.node("HardSwish", [value])
    attributes = {"axes": [2, 3]} if op_type == "ReduceMean" else {}
    quantized(builder, builder.node(op_type, [value], **attributes), scale)
    imported = agree(builder, fraction=SOME)
    assert imported.host_operators == ()
    check(builder, imported)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_a_function_of_stored_values_in_16_bits(make_builder, agree, op_type):
    """At a scale of the result that is too fine for 8 bits of both operands."""
    builder = make_builder(seed=11, is_exact=False)
    values = functions_of_stored(builder)
    quantized(builder, builder.node(op_type, values), 0.018 if op_type == "Mul" else 0.012)
    imported = agree(builder, fraction=SOME)
    assert imported.host_operators == ()
    assert any(map_name.endswith("/rest") for map_name in imported.sections[0].graph.maps)
    check(builder, imported)


EXTREMES = {
    "GlobalMaxPool": {},
    "ReduceMax": {"axes": [1]},
    "ReduceMin": {"axes": [2, 3]},
    "Max": {},
    "Min": {},
}


@pytest.mark.parametrize("op_type", EXTREMES)
def test_extremes_of_unrounded_values_are_exact(make_builder, agree, op_type):
    """Quantizing keeps the order."""
    builder = make_builder(seed=12)
    num_values = 2 if op_type in ("Max", "Min") else 1
    values = [convolved(builder) for _ in range(num_values)]
    value = builder.node(op_type, values, **EXTREMES[op_type])
    builder.output(builder.quantize(value, 2.0**-4))
    imported = agree(builder)
    assert imported.host_operators == ()
    check(builder, imported)


@pytest.mark.parametrize("op_type", ["Mul", "Div"])
@pytest.mark.parametrize("function", ["Relu", "LeakyRelu"])
def test_positive_factors_of_channels_behind_relu_are_exact(make_builder, agree, function, op_type):
    builder = make_builder(seed=13)
    factors = 2.0 ** np.arange(-4, 4).reshape(1, 8, 1, 1)
    factors = builder.constant(factors.astype(np.float32))
    value = builder.node(op_type, [convolved(builder, SHAPE, function), factors])
    builder.output(builder.quantize(value, 2.0**-3))
    (node,) = agree(builder, fraction=0.01).sections[0].graph.nodes
    assert isinstance(node, Conv)


def test_the_range_of_what_only_moves_is_that_of_its_source(make_builder, agree):
    """A pyramid: pixels that are repeated are added to a convolution, and quantized for another."""
    builder = make_builder(seed=14, is_exact=False)
    coarse = convolved(builder, (1, 8, 6, 6))
    scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
    repeated = builder.node("Resize", [coarse, "", scales], mode="nearest")
    quantized(builder, builder.node("Add", [convolved(builder), repeated]), 0.4)
    quantized(builder, coarse, 0.4)
    imported = agree(builder, fraction=SOME)
    assert imported.host_operators == ()
    check(builder, imported)
