"""Reductions and differences of maps against ONNX Runtime."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference
from onnx import helper

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

CHANNELS = [1]
AXES = ([2, 3], [2], [3], [1, 2], [1, -1], [0], [0, 1, 2, 3])
STEPS = {"ReduceMean": 2.0**-3, "ReduceSum": 2.0, "ReduceMax": 2.0**-2, "ReduceMin": 2.0**-2}
"""The step of the result, so that it does not saturate."""


def convolved(builder):
    inputs = [builder.activation((1, 4, 6, 5)), builder.weight((8, 4, 3, 3), 0)]
    return builder.requantized(builder.node("Conv", inputs), 2.0**-2)


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
        *((op_type, axes) for op_type in STEPS for axes in AXES),
        ("ReduceMean", CHANNELS),
        ("ReduceSum", CHANNELS),
        ("ReduceMax", CHANNELS),
        ("ReduceMin", CHANNELS),
        ("ReduceSum", [0, 1]),
    ],
)
def test_reductions_equal_onnxruntime(make_builder, agree, op_type, axes, keeps):
    builder = make_builder(seed=1, opset=18)
    inputs = [convolved(builder), builder.constant(np.array(axes))]
    value = builder.node(op_type, inputs, keepdims=keeps)
    builder.output(builder.quantize(value, STEPS[op_type]))
    check(builder, agree(builder))


@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("op_type", STEPS)
def test_reducing_rows_or_columns_stays_on_the_accelerator(
    make_builder, agree, op_type, axis, keeps
):
    builder = make_builder(seed=4, opset=18)
    inputs = [convolved(builder), builder.constant(np.array([axis]))]
    value = builder.requantized(builder.node(op_type, inputs, keepdims=keeps), STEPS[op_type])
    weight = builder.weight((3, 8, 1, 1) if keeps else (3, 8, 1))
    builder.output(builder.quantize(builder.node("Conv", [value, weight])))
    assert len(agree(builder).steps) == 1


def test_coordinate_attention_stays_on_the_accelerator(make_builder, agree):
    """Means over rows and over columns are joined, convolved, split and multiplied again."""
    builder = make_builder(seed=5)
    source = convolved(builder)
    rows, columns = (
        builder.requantized(builder.node("ReduceMean", [source], axes=[axis])) for axis in (3, 2)
    )
    columns = builder.node("Transpose", [columns], perm=[0, 1, 3, 2])
    joined = builder.requantized(builder.node("Concat", [rows, columns], axis=2))
    joined = builder.node("Conv", [joined, builder.weight((8, 8, 1, 1), around=2.0**-9)])
    joined = builder.requantized(joined)
    sizes, gates = builder.constant(np.array([4, 3])), [builder.name("gate") for _ in range(2)]
    builder.nodes.append(helper.make_node("Split", [joined, sizes], gates, axis=2))
    across = builder.node("Transpose", [gates[1]], perm=[0, 1, 3, 2])
    value = builder.requantized(builder.node("Mul", [source, gates[0]]), 2.0)
    builder.output(builder.quantize(builder.node("Mul", [value, across]), 16.0))
    imported = agree(builder)
    assert len(imported.steps) == 1
    check(builder, imported)


@pytest.mark.parametrize("axes", [CHANNELS, [1, 2], [1, 2, 3]])
@pytest.mark.parametrize("channels", [2, 3, 7, 24, 32, 64, 100])
@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin"])
def test_the_extreme_channel_is_found_on_the_accelerator(
    make_builder, agree, op_type, channels, axes
):
    builder = make_builder(seed=6, opset=18)
    inputs = [builder.activation((1, 4, 6, 5)), builder.weight((channels, 4, 3, 3), 0)]
    value = builder.requantized(builder.node("Conv", inputs), 2.0**-1)
    value = builder.node(op_type, [value, builder.constant(np.array(axes))])
    value = builder.requantized(value, 2.0**-1)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((3, 1, 1, 1))])))
    imported = agree(builder)
    assert len(imported.steps) == 1
    check(builder, imported)


def test_a_gate_of_means_and_largest_channels_stays_on_the_accelerator(make_builder, agree):
    """The spatial gate of CBAM, behind that of the channels."""
    builder = make_builder(seed=7, is_exact=False)
    source = convolved(builder)
    ends = [builder.node(kind, [source], axes=[1]) for kind in ("ReduceMean", "ReduceMax")]
    joined = builder.requantized(builder.node("Concat", ends, axis=1), 2.0**-2)
    weight = builder.weight((1, 2, 7, 7), around=2.0**-10)
    gate = builder.requantized(builder.node("Conv", [joined, weight], pads=[3] * 4), 2.0**-4)
    gate = builder.requantized(builder.node("Sigmoid", [gate]), 2.0**-7)
    builder.output(builder.quantize(builder.node("Mul", [source, gate]), 2.0**-2))
    imported = agree(builder, fraction=0.01)
    assert len(imported.steps) == 1
    check(builder, imported)


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


def test_moves_that_change_nothing_stay_within_a_table(make_builder, agree):
    """A Pad of nothing and a mean over one element are no arithmetic between two operators."""
    builder = make_builder(seed=4, opset=18)
    value = builder.node("Sigmoid", [convolved(builder)])
    value = builder.node("Pad", [value, builder.constant([0] * 8)])
    value = builder.node("ReduceMean", [value, builder.constant([0])], keepdims=0)
    builder.output(builder.quantize(builder.node("HardSwish", [value]), 2.0**-7))
    imported = agree(builder)
    assert imported.host_operators == ()
    (conv,) = imported.sections[0].graph.nodes
    assert conv.epilogue.table is not None


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("step", [2.0**-2, 2.0**-3])
def test_the_smallest_of_saturated_values_is_exact(make_builder, agree, dtype, step):
    """Also of the lowest stored value, which has no negative in int8; a table may follow."""
    builder = make_builder(seed=5, dtype=dtype, opset=18)
    value = builder.activation((2, 3, 40))
    least = builder.node("ReduceMin", [value, builder.constant([2])])
    builder.output(builder.quantize(builder.node("Abs", [least]), step))
    builder.output(builder.quantize(least, step))
    check(builder, agree(builder))
