"""Values that no QuantizeLinear follows, in 16 bits: one step off at most."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference
from unquantized import SHAPE, convolved, gated, quantized

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

FEW = 0.12
"""The part of the results that may be one step off."""


def check(builder, agree, fraction=FEW):
    imported = agree(builder, fraction=fraction)
    assert imported.host_operators == ()
    assert any("was rounded to 16 bits; its result is one step" in n for n in imported.notes)
    expected = run_on_reference(imported, builder.feeds)
    for config in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[config]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


@pytest.mark.parametrize("function", ["none", "Relu", "HardSwish", "SiLU"])
@pytest.mark.parametrize("op_type", ["Add", "Sub"])
def test_two_convolutions(make_builder, agree, op_type, function):
    """Of which no scale states a range."""
    builder = make_builder(seed=1, is_exact=False)
    values = [convolved(builder, function=function), convolved(builder)]
    quantized(builder, builder.node("Relu", [builder.node(op_type, values)]), 0.03, -128)
    check(builder, agree)


def test_values_at_their_extremes(make_builder, agree):
    """Nothing saturates but the result."""
    builder = make_builder(seed=2, is_exact=False)
    builder.output(
        builder.quantize(builder.node("Sub", [convolved(builder), convolved(builder)]), 2.0)
    )
    builder.set_extremes()
    check(builder, agree)


def test_pixels_that_are_repeated(make_builder, agree):
    """A feature pyramid."""
    builder = make_builder(seed=3, is_exact=False)
    scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
    coarse = builder.node("Resize", [convolved(builder, (1, 8, 6, 6)), "", scales], mode="nearest")
    quantized(builder, builder.node("Add", [convolved(builder), coarse]), 0.03)
    check(builder, agree)


def test_blocks_of_a_residual_network(make_builder, agree):
    """Sums of sums, the last of which a mean reads; a shortcut that is stored, and one that is a
    convolution."""
    builder = make_builder(seed=4, is_exact=False)
    value = builder.node("Add", [convolved(builder), builder.activation(SHAPE)])
    value = builder.node("Relu", [value])
    value = builder.node("Relu", [builder.node("Add", [convolved(builder), value])])
    value = builder.node("Add", [value, convolved(builder)])
    quantized(builder, builder.node("GlobalAveragePool", [builder.node("Relu", [value])]), 0.04)
    check(builder, agree)


@pytest.mark.parametrize("function", ["none", "Relu", "HardSwish", "SiLU"])
@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "ReduceMean", "AveragePool", "Resize"])
def test_pixels_that_are_mixed(make_builder, agree, op_type, function):
    builder = make_builder(seed=5, is_exact=False)
    value = convolved(builder, function=function)
    others = []
    attributes = {
        "AveragePool": {"kernel_shape": [3, 2], "strides": [2, 2]},
        "ReduceMean": {"axes": [2, 3]},
        "Resize": {"mode": "linear"},
    }.get(op_type, {})
    if op_type == "Resize":
        others = ["", builder.constant(np.array([1, 1, 2, 2], np.float32))]
    quantized(builder, builder.node(op_type, [value, *others], **attributes), 0.02)
    check(builder, agree)


@pytest.mark.parametrize("gate", ["HardSigmoid", "Sigmoid"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_value_and_what_its_gate_opens_of_it(make_builder, agree, gate, is_first):
    """x + x * gate, the squeeze and excite of a text detector's pyramid, is x * (1 + gate)."""
    builder = make_builder(seed=6, is_exact=False)
    value = convolved(builder)
    opened = builder.node("Mul", [value, gated(builder, value, gate)])
    pair = [value, opened] if is_first else [opened, value]
    quantized(builder, builder.node("Add", pair), 0.05)
    check(builder, agree)


def test_what_is_wrong_already_is_counted_where_it_is_rounded_once_more(make_builder, agree):
    """The gate's error and half a step of the sum's own scale are more than a step together."""
    builder = make_builder(seed=6, is_exact=False)
    value = convolved(builder)
    opened = builder.node("Add", [value, builder.node("Mul", [value, gated(builder, value)])])
    quantized(builder, opened, 0.05)
    quantized(builder, builder.node("Add", [opened, convolved(builder)]), 0.05)
    imported = agree(builder, fraction=FEW)
    reasons = [item.reason for item in imported.host_operators]
    assert "adds up the two halves of a convolution's value" in reasons
