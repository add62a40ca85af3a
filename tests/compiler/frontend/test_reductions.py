"""Reductions and differences of maps against ONNX Runtime."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

PIXELS, CHANNELS = [2, 3], [1]


def convolved(builder):
    inputs = [builder.activation((1, 4, 6, 5)), builder.weight((8, 4, 3, 3), 0)]
    return builder.requantized(builder.node("Conv", inputs), 2.0**-5)


def check(builder, imported):
    assert imported.host_operators == ()
    expected = run_on_reference(imported, builder.feeds)
    for config in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[config]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize(
    ("op_type", "axes"),
    [
        ("ReduceMean", PIXELS),
        ("ReduceMean", CHANNELS),
        ("ReduceSum", PIXELS),
        ("ReduceSum", CHANNELS),
        ("ReduceMax", PIXELS),
    ],
)
def test_reductions_equal_onnxruntime(make_builder, agree, op_type, axes, keeps):
    builder = make_builder(seed=1, opset=18)
    inputs = [convolved(builder), builder.constant(np.array(axes))]
    value = builder.node(op_type, inputs, keepdims=keeps)
    builder.output(builder.quantize(value, 2.0**-4))
    check(builder, agree(builder, fraction=0.1))


def test_tokens_are_summed_over_their_channels(make_builder, agree):
    builder = make_builder(seed=2)
    value = builder.node("MatMul", [builder.activation((1, 8, 6)), builder.weight((6, 5))])
    inputs = [builder.requantized(value), builder.constant([-1])]
    builder.output(builder.quantize(builder.node("ReduceSum", inputs), 2.0**-2))
    check(builder, agree(builder))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_difference_of_two_maps(make_builder, agree, dtype):
    builder = make_builder(seed=3, dtype=dtype)
    value = builder.node("Sub", [convolved(builder), convolved(builder)])
    builder.output(builder.quantize(value, 2.0**-4))
    check(builder, agree(builder))
