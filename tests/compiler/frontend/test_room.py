"""Channels whose steps no int32 counts: scales and gains next to nothing, large sums."""

import numpy as np
import pytest

from tilewright.compiler.frontend.importer import import_model

GAINS = [0.0, 1e-9, 1e-12, -1e-20, 1e-30, 1e-38, 1e-45]


def constants(builder, *arrays):
    return [builder.constant(np.asarray(array, np.float32)) for array in arrays]


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("is_behind_conv", [False, True])
@pytest.mark.parametrize("function", ["", "Relu", "LeakyRelu", "Sigmoid"])
def test_a_normalized_channel_that_is_next_to_its_offset(
    make_builder, agree, gain, is_behind_conv, function
):
    builder = make_builder(seed=1, is_exact=False)
    value = builder.activation((1, 4, 6, 6))
    if is_behind_conv:
        value = builder.node("Conv", [value, builder.weight((4, 4, 3, 3), 0)])
    parameters = constants(
        builder, [1, gain, -0.5, gain], [0.1, -0.7, 0.3, 0.9], [0, 0, 1, 1], [1, 1, 2, 1]
    )
    value = builder.node("BatchNormalization", [value, *parameters])
    if function:
        value = builder.node(function, [value])
    builder.output(builder.quantize(value, 2.0**-4, 0))
    assert agree(builder, fraction=0.1 if function == "Sigmoid" else 0.03).host_operators == ()


@pytest.mark.parametrize("gain", GAINS)
def test_a_channel_times_next_to_nothing_plus_an_offset(make_builder, agree, gain):
    builder = make_builder(seed=2, is_exact=False)
    gains, offsets = constants(builder, [[[1]], [[gain]], [[2]]], [[[0.5]], [[-0.9]], [[0]]])
    value = builder.node("Mul", [builder.activation((1, 3, 5, 5)), gains])
    builder.output(builder.quantize(builder.node("Add", [value, offsets]), 2.0**-4))
    assert agree(builder, fraction=0.03).host_operators == ()


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-30, 1e-40])
def test_weights_of_a_scale_next_to_nothing(make_builder, agree, scale):
    """Quantizers write such scales for channels that are switched off."""
    builder = make_builder(seed=3, is_exact=False)
    weight = [builder.integers((3, 4, 3, 3), "int8"), np.array([0.01, scale, 0.02], np.float32)]
    weight = builder.node("DequantizeLinear", [builder.constant(item) for item in weight], axis=0)
    value = [builder.activation((1, 4, 6, 6)), weight, *constants(builder, [0.5, -0.7, 0.2])]
    value = builder.requantized(builder.node("Conv", value), 2.0**-4)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 3, 1, 1))])))
    assert agree(builder, fraction=0.03).host_operators == ()


def test_a_residual_of_a_channel_that_is_next_to_its_bias(make_builder, agree):
    builder = make_builder(seed=4, is_exact=False)
    source = builder.activation((1, 3, 6, 6))
    weight = [builder.integers((3, 3, 1, 1), "int8"), np.array([0.01, 1e-15, 0.02], np.float32)]
    weight = builder.node("DequantizeLinear", [builder.constant(item) for item in weight], axis=0)
    value = builder.node("Conv", [source, weight, *constants(builder, [0.5, -0.7, 0.2])])
    builder.output(builder.quantize(builder.node("Add", [value, source]), 2.0**-4))
    assert agree(builder, fraction=0.03).host_operators == ()


def test_only_the_operator_whose_sums_are_too_large_is_the_hosts(make_builder, agree):
    builder = make_builder(seed=5)
    first = builder.node("Conv", [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3))])
    bias = constants(builder, np.full(4, 1e9))
    value = [builder.requantized(first), builder.weight((4, 4, 1, 1)), *bias]
    builder.output(builder.quantize(builder.node("Conv", value)))
    imported = agree(builder)
    assert "Conv" in {item.op_type for item in imported.host_operators}
    assert imported.coverage.macs_accelerator > 0


def test_quantized_weights_of_a_scale_of_zero_are_the_hosts(make_builder):
    """The bias of QLinearConv counts in steps of that scale."""
    builder = make_builder(seed=6)
    source = builder.stored_input((1, 3, 6, 6))
    pair = builder.quantization()
    for scale in (0.01, 0.0):
        weight = builder.constant(builder.integers((3, 3, 1, 1), "int8"))
        scales = builder.constant(np.array([0.02, 0.01, scale], np.float32))
        inputs = [source, *pair, weight, scales, builder.constant(np.zeros(3, np.int8)), *pair]
        source = builder.node("QLinearConv", inputs)
    builder.output(source)
    (operator,) = import_model(builder.model()).host_operators
    assert "a scale of its weights" in operator.reason
