"""Functions of one value as exporters write them in parts, behind every kind of layer."""

import numpy as np
import pytest
from onnx import helper

from tilewright.compiler.graph.graph import Conv, Elementwise, Pool, Requantize, View

SHAPE = (1, 6, 8, 8)


def node_of(builder, op_type, *operands, **attributes):
    """A node whose operands are values by name or numbers."""
    names = [
        item if isinstance(item, str) else builder.constant(np.float32(item)) for item in operands
    ]
    return builder.node(op_type, names, **attributes)


def relu6(builder, value):
    return node_of(builder, "Clip", node_of(builder, "Add", value, 3.0), 0.0, 6.0)


def hard_swish_divided(builder, value):
    return node_of(builder, "Div", node_of(builder, "Mul", value, relu6(builder, value)), 6.0)


def hard_swish_multiplied(builder, value):
    return node_of(builder, "Mul", value, node_of(builder, "Mul", relu6(builder, value), 1 / 6))


def hard_swish_of_a_gate(builder, value):
    gate = node_of(builder, "HardSigmoid", value, alpha=1 / 6, beta=0.5)
    return node_of(builder, "Mul", gate, value)


def gelu_of_erf(builder, value):
    error = node_of(builder, "Erf", node_of(builder, "Div", value, 2**0.5))
    half = node_of(builder, "Mul", value, node_of(builder, "Add", error, 1.0))
    return node_of(builder, "Mul", half, 0.5)


def gelu_of_tanh(builder, value):
    cube = node_of(builder, "Mul", node_of(builder, "Mul", value, value), value)
    inner = node_of(builder, "Add", value, node_of(builder, "Mul", cube, 0.044715))
    smooth = node_of(builder, "Tanh", node_of(builder, "Mul", inner, 0.7978845608))
    half = node_of(builder, "Mul", value, 0.5)
    return node_of(builder, "Mul", half, node_of(builder, "Add", smooth, 1.0))


def sigmoid_of_a_slope(builder, value):
    return node_of(builder, "Sigmoid", node_of(builder, "LeakyRelu", value, alpha=0.1))


SMOOTH = (
    hard_swish_divided, hard_swish_multiplied, hard_swish_of_a_gate, gelu_of_erf, gelu_of_tanh,
    sigmoid_of_a_slope,
)  # fmt: skip


def leaky_of_max(builder, value):
    return node_of(builder, "Max", value, node_of(builder, "Mul", value, 0.125))


def leaky_clamped(builder, value):
    return node_of(builder, "Clip", node_of(builder, "LeakyRelu", value, alpha=0.25), -0.5, 2.0)


def scaled(builder, value):
    return node_of(builder, "Mul", value, 1.001953125)


def scaled_relu(builder, value):
    return node_of(builder, "Div", node_of(builder, "Relu", value), 4.0)


LINES = (leaky_of_max, leaky_clamped, scaled, scaled_relu)


def stored(builder):
    return builder.activation(SHAPE)


def convolved(builder):
    return builder.node("Conv", [stored(builder), builder.weight((6, 6, 3, 3), 0)])


def added(builder):
    return builder.node("Add", [stored(builder), stored(builder)])


def multiplied(builder):
    return builder.node("Mul", [stored(builder), stored(builder)])


def largest(builder):
    return builder.node("MaxPool", [stored(builder)], kernel_shape=[2, 2], strides=[2, 2])


def mean(builder):
    return builder.node("AveragePool", [stored(builder)], kernel_shape=[2, 2], strides=[2, 2])


def joined(builder):
    parts = [stored(builder), builder.activation(SHAPE, around=2.0**-4)]
    return builder.node("Concat", parts, axis=1)


def padded(builder):
    pads = builder.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1]))
    return builder.node("Pad", [stored(builder), pads, builder.constant(np.float32(0.75))])


def check(builder, agree, value, fraction=0.0):
    builder.output(builder.quantize(value, around=2.0**-4))
    imported = agree(builder, fraction=fraction)
    assert not imported.host_operators
    (section,) = imported.sections
    return section.graph.nodes


@pytest.mark.parametrize("function", SMOOTH)
@pytest.mark.parametrize(("source", "fraction"), [(convolved, 0.12), (mean, 0.0)])
def test_smooth_functions_by_parts_become_the_tables_of_one(
    make_builder, agree, source, fraction, function
):
    """Exact of a mean of four pixels, which has no more values than the tables have levels."""
    builder = make_builder(seed=1, is_exact=False)
    (node,) = check(builder, agree, function(builder, source(builder)), fraction=fraction)
    assert isinstance(node, Conv)
    assert node.epilogue.pieces


@pytest.mark.parametrize("op_type", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("zero_point", [-128, 20, 127])
def test_smooth_functions_of_a_mean_are_exact_at_its_extremes(
    make_builder, agree, op_type, dtype, zero_point
):
    builder = make_builder(seed=1, dtype=dtype)
    value = builder.activation(SHAPE, 2.0**-7, zero_point)
    value = builder.node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
    builder.set_extremes()
    builder.output(builder.quantize(builder.node(op_type, [value]), around=2.0**-7))
    agree(builder)


def test_a_root_of_a_mean_is_finite_where_nothing_is_below_0(make_builder, agree):
    builder = make_builder(seed=1, dtype="uint8")
    value = builder.activation(SHAPE, zero_point=-128)
    value = builder.node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
    builder.set_extremes()
    check(builder, agree, builder.node("Sqrt", [value]))


@pytest.mark.parametrize("function", [*SMOOTH, *LINES])
@pytest.mark.parametrize("source", [stored, largest, joined, padded])
def test_functions_of_stored_values_are_exact(make_builder, agree, source, function):
    builder = make_builder(seed=2)
    nodes = check(builder, agree, function(builder, source(builder)))
    assert any(isinstance(node, Requantize) for node in nodes)


@pytest.mark.parametrize("function", LINES)
@pytest.mark.parametrize("source", [convolved, added, multiplied, mean])
def test_lines_of_unrounded_values_are_exact(make_builder, agree, source, function):
    builder = make_builder(seed=3)
    nodes = check(builder, agree, function(builder, source(builder)), fraction=1e-3)
    assert not any(isinstance(node, Requantize) for node in nodes)
    assert all(isinstance(node, Conv | Elementwise | Pool | View) for node in nodes)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 2.5])
@pytest.mark.parametrize("source", [added, mean])
def test_calibrated_lines_differ_by_one_step_in_a_tie_at_most(make_builder, agree, source, alpha):
    builder = make_builder(seed=4, is_exact=False, dtype="uint8")
    value = node_of(builder, "LeakyRelu", source(builder), alpha=alpha)
    check(builder, agree, value, fraction=0.02)


def test_a_largest_value_is_read_without_being_quantized(make_builder, agree):
    builder = make_builder(seed=5)
    value = builder.node("Conv", [largest(builder), builder.weight((6, 6, 3, 3), 0)])
    check(builder, agree, value)


def unrounded_parts(builder):
    """Three values of six channels and 6x6 pixels: of a convolution, a slope, a stored map."""
    sloped = node_of(builder, "LeakyRelu", convolved(builder), alpha=0.125)
    return [convolved(builder), sloped, builder.activation((1, 6, 6, 6), around=2.0**-4)]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_values_are_concatenated_before_they_are_quantized(make_builder, agree, axis):
    builder = make_builder(seed=6)
    value = builder.node("Concat", unrounded_parts(builder), axis=axis)
    check(builder, agree, builder.node("Relu", [value]))


def test_poolings_and_functions_are_concatenated_before_they_are_quantized(make_builder, agree):
    builder = make_builder(seed=7)
    source = builder.activation(SHAPE)
    around = {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}
    pooled = builder.node("MaxPool", [source], **around)
    parts = [source, node_of(builder, "Sigmoid", source), pooled]
    check(builder, agree, builder.node("Concat", parts, axis=1))


def test_parts_of_a_convolution_are_joined_with_what_is_made_of_them(make_builder, agree):
    builder = make_builder(seed=8)
    value = node_of(builder, "LeakyRelu", convolved(builder), alpha=0.25)
    parts = [builder.name("part"), builder.name("part")]
    sizes = builder.constant(np.array([2, 4]))
    builder.nodes.append(helper.make_node("Split", [value, sizes], parts, axis=1))
    inner = builder.requantized(parts[1])
    inner = builder.node("Conv", [inner, builder.weight((4, 4, 3, 3), 0)], pads=[1, 1, 1, 1])
    check(builder, agree, builder.node("Concat", [*parts, inner], axis=1))


def smallest(builder):
    return builder.node("Min", [stored(builder), stored(builder)])


def padded_channels(builder):
    widths = builder.constant(np.array([0, 1, 0, 0, 0, 2, 0, 0]))
    return builder.node("Pad", [convolved(builder), widths])


@pytest.mark.parametrize("source", [smallest, padded_channels])
def test_a_clamp_behind_what_waits_for_its_quantization_is_not_lost(make_builder, agree, source):
    builder = make_builder(seed=9)
    check(builder, agree, node_of(builder, "Clip", source(builder), -0.5, 1.0))
