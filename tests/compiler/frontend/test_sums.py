"""Functions of a sum of two maps that is not quantized: by the depthwise convolution that it is."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

SHAPE = (1, 5, 6, 7)


def on_both(builder, imported):
    """The simulator gives what the reference gives."""
    assert len(imported.steps) == 1
    expected = run_on_reference(imported, builder.feeds)
    for preset in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[preset]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


def smooth(builder, value, op_type):
    if op_type == "Silu":
        return builder.node("Mul", [value, builder.node("Sigmoid", [value])])
    return builder.node(op_type, [value])


@pytest.mark.parametrize("op_type", ["Silu", "Tanh", "Softplus"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_smooth_function_is_exact_where_the_scales_are_powers_of_two(
    make_builder, agree, op_type, dtype
):
    builder = make_builder(seed=1, dtype=dtype)
    value = builder.node("Add", [builder.activation(SHAPE), builder.activation(SHAPE)])
    builder.output(builder.quantize(smooth(builder, value, op_type), 2.0**-5))
    on_both(builder, agree(builder))


@pytest.mark.parametrize("op_type", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("zero_point", [-128, 20, 127])
def test_smooth_function_is_exact_at_the_extremes_of_the_sum(
    make_builder, agree, op_type, dtype, zero_point
):
    builder = make_builder(seed=1, dtype=dtype)
    parts = [builder.activation(SHAPE, 2.0**-7, zero_point) for _ in range(2)]
    builder.set_extremes()
    value = builder.node(op_type, [builder.node("Add", parts)])
    builder.output(builder.quantize(value, 2.0**-7))
    agree(builder)


@pytest.mark.parametrize("op_type", ["Silu", "Tanh", "HardSwish"])
@pytest.mark.parametrize("ratio", [1.0, 3.7, 300.0])
def test_smooth_function_is_at_most_one_step_off(make_builder, agree, op_type, ratio):
    builder = make_builder(seed=2, is_exact=False)
    parts = [builder.activation(SHAPE, around) for around in (0.02, 0.02 / ratio)]
    builder.output(builder.quantize(smooth(builder, builder.node("Add", parts), op_type), 0.02))
    on_both(builder, agree(builder, fraction=0.12))


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("is_clamped", [True, False])
def test_slopes_of_every_channel(make_builder, agree, is_exact, is_clamped):
    builder = make_builder(seed=3, is_exact=is_exact)
    value = builder.node("Add", [builder.activation(SHAPE), builder.activation(SHAPE)])
    slopes = builder.random.integers(-4, 12, (5, 1, 1)) / 8
    value = builder.node("PRelu", [value, builder.constant(slopes.astype(np.float32))])
    if is_clamped:
        bounds = [builder.constant(np.float32(bound)) for bound in (-1, 3)]
        value = builder.node("Clip", [value, *bounds])
    builder.output(builder.quantize(value, 2.0**-4))
    on_both(builder, agree(builder, fraction=0.0 if is_exact else 0.02))


def test_tokens_and_a_constant(make_builder, agree):
    builder = make_builder(seed=4)
    value = builder.node("MatMul", [builder.activation((1, 6, 8)), builder.weight((8, 8), 1)])
    value = builder.requantized(value)
    total = builder.node("Add", [value, builder.weight((1, 6, 8), around=2.0**-3)])
    value = builder.requantized(smooth(builder, total, "Silu"))
    builder.output(builder.quantize(builder.node("MatMul", [value, builder.weight((8, 4), 1)])))
    on_both(builder, agree(builder))
