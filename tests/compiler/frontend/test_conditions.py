"""If operators with conditions that are constant when the model is read."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.frontend.importer import import_model


def branch(name, scale, reads):
    """A subgraph that multiplies the captured value `reads` by `scale`."""
    factor = numpy_helper.from_array(np.float32(scale), "factor")
    product = helper.make_node("Mul", [reads, "factor"], ["scaled"], "multiply")
    result = helper.make_tensor_value_info("scaled", TensorProto.FLOAT, None)
    return helper.make_graph([product], name, [], [result], [factor])


def condition_of(builder, kind, value):
    if kind == "constant":
        return builder.constant(np.array(True))
    shape = builder.node("Shape", [value])
    size = builder.node("Gather", [shape, builder.constant(np.int64(1))], axis=0)
    return builder.node("Equal", [size, builder.constant(np.int64(4))])


@pytest.mark.parametrize("kind", ["constant", "of_a_shape"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_the_branch_that_is_taken_is_inlined(make_builder, agree, kind, is_nested):
    builder = make_builder(seed=1)
    value = builder.activation((1, 4, 5, 5))
    for _ in range(2):
        condition = condition_of(builder, kind, value)
        other, taken = branch("other", 4, value), branch("taken", 0.5, value)
        if is_nested:
            inner = helper.make_node(
                "If", [condition], ["chosen"], "inner", then_branch=taken, else_branch=other
            )
            result = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
            taken = helper.make_graph([inner], "outer", [], [result])
        scaled = builder.node("If", [condition], then_branch=taken, else_branch=other)
        value = builder.requantized(scaled, 2.0**-4)
        value = builder.node("Conv", [value, builder.weight((4, 4, 1, 1))])
        value = builder.requantized(value)
    builder.output(value, "float32")
    imported = agree(builder)
    assert [item.op_type for item in imported.host_operators] == ["DequantizeLinear"]


def test_a_random_condition_is_not_decided_when_the_model_is_read(make_builder):
    builder = make_builder(seed=2)
    value = builder.activation((1, 4, 5, 5))
    number = builder.node("RandomUniform", [], shape=[1])
    condition = builder.node("Greater", [number, builder.constant(np.array([0.5], np.float32))])
    scaled = builder.node(
        "If",
        [condition],
        then_branch=branch("half", 0.5, value),
        else_branch=branch("no", 0, value),
    )
    value = builder.node("Conv", [builder.requantized(scaled), builder.weight((4, 4, 1, 1))])
    builder.output(builder.quantize(value))
    imported = import_model(builder.model())
    assert "If" in [item.op_type for item in imported.host_operators]


def test_shapes_that_inference_cannot_follow_are_computed(make_builder, agree):
    """F.pad by half of a difference of sizes, as U-Net is exported: Sub and Div of Gather."""
    builder = make_builder(seed=3)
    value = builder.activation((1, 4, 5, 5))
    shape = builder.node("Shape", [value])
    size = builder.node("Gather", [shape, builder.constant(np.array([2]))], axis=0)
    doubled = builder.node("Mul", [size, builder.constant(np.array([2]))])
    half = builder.node(
        "Div", [builder.node("Sub", [doubled, size]), builder.constant(np.array([2]))]
    )
    zeros = builder.constant(np.zeros(2, np.int64))
    pads = builder.node("Concat", [zeros, half, half, zeros, half, half], axis=0)
    reflected = builder.node("Pad", [value, pads], mode="reflect")
    weight = builder.weight((3, 4, 3, 3), axis=0)
    builder.output(builder.quantize(builder.node("Conv", [builder.requantized(reflected), weight])))
    agree(builder)
    coverage = import_model(builder.model()).coverage
    assert coverage.macs_accelerator == coverage.macs_total == 3 * 4 * 9 * 7 * 7
