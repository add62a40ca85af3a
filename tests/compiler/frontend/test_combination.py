"""Add, Sub and Mul of a convolution's unrounded value and an activation, against ONNX Runtime."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ModelError

CONVOLUTIONS = {"dense": (8, 3, 1), "depthwise": (6, 1, 6), "grouped": (8, 4, 2)}
"""Filters, input channels of a group, groups."""


def convolved(builder, kind="dense", *, has_bias=True):
    """The float value of a convolution and its number of channels."""
    filters, inputs, groups = CONVOLUTIONS[kind]
    source = builder.activation((1, inputs * groups, 8, 8))
    operands = [source, builder.weight((filters, inputs, 3, 3), 0)]
    if has_bias:
        steps = builder.random.integers(-500, 500, filters)
        operands.append(builder.constant(np.asarray(steps / 512, np.float32)))
    return builder.node("Conv", operands, group=groups, pads=[1, 1, 1, 1]), filters


def on_both(builder, imported):
    """The simulator gives what the reference gives; the only residual."""
    expected = run_on_reference(imported, builder.feeds)
    for preset in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[preset]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)
    (section,) = imported.sections
    convolutions = (node for node in section.graph.nodes if isinstance(node, Conv))
    (node,) = (node for node in convolutions if node.residual is not None)
    return node


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("is_first", [True, False])
def test_of_a_convolution_is_exact(make_builder, agree, op_type, kind, is_first, dtype):
    builder = make_builder(seed=1, dtype=dtype)
    value, channels = convolved(builder, kind)
    operands = [value, builder.activation((1, channels, 8, 8), 2.0**-4)]
    value = builder.node(op_type, operands if is_first else operands[::-1])
    builder.output(builder.quantize(value))
    assert on_both(builder, agree(builder)).residual.unrounded


@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_differs_from_onnx_runtime_in_ties_alone(make_builder, agree, op_type):
    builder = make_builder(seed=2, is_exact=False)
    value, channels = convolved(builder, has_bias=False)
    value = builder.node(op_type, [value, builder.activation((1, channels, 8, 8), 2.0**-4)])
    builder.output(builder.quantize(value))
    agree(builder, fraction=0.002)


@pytest.mark.parametrize("before", ["Relu", "LeakyRelu", "PRelu", "Max of x and x/4"])
@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_slopes_in_front_of_it_are_exact(make_builder, agree, op_type, before):
    builder = make_builder(seed=3)
    value, channels = convolved(builder)
    if before == "PRelu":
        slopes = builder.random.integers(-4, 12, (channels, 1, 1)) / 8
        value = builder.node("PRelu", [value, builder.constant(slopes.astype(np.float32))])
    elif before.startswith("Max"):
        part = builder.node("Mul", [value, builder.constant(np.float32(0.25))])
        value = builder.node("Max", [value, part])
    else:
        value = builder.node(before, [value], **({"alpha": 0.125} if before != "Relu" else {}))
    value = builder.node(op_type, [value, builder.activation((1, channels, 8, 8), 2.0**-4)])
    builder.output(builder.quantize(value))
    node = on_both(builder, agree(builder))
    assert node.residual.unrounded
    assert node.negative_scale is not None


@pytest.mark.parametrize("behind", ["Relu", "Clip", "LeakyRelu"])
def test_clamps_and_lines_behind_it_are_exact(make_builder, agree, behind):
    builder = make_builder(seed=4)
    value, channels = convolved(builder)
    value = builder.node("Add", [value, builder.activation((1, channels, 8, 8), 2.0**-4)])
    bounds = [builder.constant(np.float32(bound)) for bound in (-1.25, 3)] * (behind == "Clip")
    value = builder.node(behind, [value, *bounds], **({"alpha": 0.125} if "y" in behind else {}))
    builder.output(builder.quantize(value))
    imported = agree(builder)
    (section,) = imported.sections
    assert len(imported.steps) == 1
    convolutions = [node for node in section.graph.nodes if isinstance(node, Conv)]
    assert len(convolutions) == (2 if behind == "LeakyRelu" else 1)


def test_clamps_behind_the_quantized_sum_join_it(make_builder, agree):
    builder = make_builder(seed=5)
    value, channels = convolved(builder)
    value = builder.node("Add", [value, builder.activation((1, channels, 8, 8), 2.0**-4)])
    value = builder.node("Relu", [builder.requantized(value, zero_point=-20)])
    builder.output(builder.quantize(value, zero_point=-20))
    (section,) = agree(builder).sections
    assert [node.residual.unrounded for node in section.graph.nodes[:1]] == [True]


def test_gates_and_rows_are_repeated(make_builder, agree):
    builder = make_builder(seed=6)
    value, channels = convolved(builder)
    value = builder.node("Mul", [builder.activation((1, channels, 1, 1), 2.0**-6), value])
    value = builder.requantized(value, 2.0**-4)
    product = builder.node("MatMul", [builder.activation((1, 6, 8)), builder.weight((8, 8), 1)])
    total = builder.node("Add", [product, builder.activation((1, 1, 8), 2.0**-4)])
    builder.output(builder.quantize(value))
    builder.output(builder.quantize(total))
    imported = agree(builder)
    assert len(imported.steps) == 1
    residuals = [n.residual for n in imported.sections[0].graph.nodes if isinstance(n, Conv)]
    assert [residual.unrounded for residual in residuals] == [True, True]


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("is_clamped", [False, True])
def test_sums_and_means_are_convolutions(make_builder, agree, op_type, is_clamped):
    builder = make_builder(seed=8)
    source = builder.stored_input((1, 5, 8, 8))
    quantization = builder.quantization(2.0**-4)
    value = builder.dequantize(source, quantization)
    total = builder.node("Add", [value, builder.activation((1, 5, 8, 8))])
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    mean = builder.node("AveragePool", [value], **window)
    for pending, shape in ((total, (1, 5, 8, 8)), (mean, (1, 5, 4, 4))):
        value = builder.node("Relu", [pending]) if is_clamped else pending
        value = builder.node(op_type, [value, builder.activation(shape, 2.0**-4)])
        builder.output(builder.quantize(value))
    imported = agree(builder)
    assert len(imported.steps) == 1
    residuals = [n.residual for n in imported.sections[0].graph.nodes if isinstance(n, Conv)]
    assert [item.unrounded for item in residuals if item] == [True, True]


def test_a_product_of_two_convolutions_stays_on_the_host(make_builder):
    builder = make_builder(seed=7)
    first, _ = convolved(builder)
    builder.output(builder.quantize(builder.node("Mul", [first, convolved(builder)[0]])))
    with pytest.raises(ModelError, match="that has no bounds; put a QuantizeLinear"):
        import_model(builder.model())
