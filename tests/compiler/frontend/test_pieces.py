"""Smooth functions of unrounded values against ONNX Runtime: off by one step at most."""

import numpy as np
import pytest

from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv
from tilewright.support.errors import ModelError

LARGEST_RATE = 0.12
"""Of values that are off by one step, at these scales."""


def convolved(builder, groups=1):
    source = builder.activation((1, 6, 16, 16))
    weight = builder.weight((6, 6 // groups, 3, 3), 0)
    return builder.node("Conv", [source, weight], group=groups, pads=[1, 1, 1, 1])


def apply(builder, name, value):
    """The function of that name, as exporters write it."""
    if name == "SiLU":
        return builder.node("Mul", [value, builder.node("Sigmoid", [value])])
    if name == "Mish by parts":
        smooth = builder.node("Tanh", [builder.node("Softplus", [value])])
        return builder.node("Mul", [value, smooth])
    if name == "scaled Tanh":
        half = builder.constant(np.float32(0.5))
        return builder.node("Mul", [builder.node("Tanh", [value]), half])
    if name == "squared Relu":
        clamped = builder.node("Relu", [value])
        return builder.node("Mul", [clamped, clamped])
    return builder.node(name, [value])


FUNCTIONS = ("SiLU", "HardSwish", "Sigmoid", "Tanh", "Gelu", "Mish by parts", "Elu",
             "scaled Tanh", "squared Relu", "Softplus", "Erf")  # fmt: skip


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_behind_a_convolution_is_one_step_off_at_most(make_builder, agree, name, groups):
    builder = make_builder(seed=1, is_exact=False, opset=20)
    is_bounded = name in ("Sigmoid", "Tanh", "scaled Tanh", "Erf")
    value = apply(builder, name, convolved(builder, groups))
    builder.output(builder.quantize(value, around=2.0**-7 if is_bounded else 2.0**-4))
    (node,) = agree(builder, fraction=LARGEST_RATE).sections[0].graph.nodes
    assert isinstance(node, Conv)
    assert node.epilogue.pieces


CURVES = {
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.0**-8, -128),
    "Tanh": (np.tanh, 2.0**-7, 0),
    "SiLU": (lambda x: x / (1 + np.exp(-x)), 2.0**-6, -110),
}


def results_of(pieces, inputs):
    """What drains of these pieces add up to."""
    total = np.zeros(inputs.size)
    for number, piece in enumerate(pieces):
        level = np.clip(np.rint((inputs - piece.middle) / piece.step) + 128, 0, 255).astype(int)
        total += piece.results[level] - float(piece.results[0]) * (number > 0)
    return total


def test_pieces_end_where_few_values_are_rounded_elsewhere(make_builder, agree):
    rates = []
    for name, (curve, scale, zero_point) in CURVES.items():
        builder = make_builder(seed=1, is_exact=False)
        value = apply(builder, name, convolved(builder))
        output = [builder.constant(np.float32(scale)), builder.constant(np.int8(zero_point))]
        builder.output(builder.node("QuantizeLinear", [value, *output]))
        (node,) = agree(builder, fraction=LARGEST_RATE).sections[0].graph.nodes
        first, *_, last = node.epilogue.pieces
        ends = first.middle - 127 * first.step, last.middle + 126 * last.step
        inputs = np.linspace(*ends, 100_000)
        expected = np.clip(np.rint(curve(inputs) / scale + zero_point), -128, 127)
        rates.append(np.mean(results_of(node.epilogue.pieces, inputs) != expected))
    assert np.mean(rates) < 0.042, rates  # 0.045 where pieces are cut alone


def test_a_function_behind_gemm_with_uint8(make_builder, agree):
    builder = make_builder(seed=2, dtype="uint8", is_exact=False)
    value = builder.node("Gemm", [builder.activation((8, 24)), builder.weight((24, 10), 1)])
    builder.output(builder.quantize(apply(builder, "SiLU", value), around=2.0**-4))
    agree(builder, fraction=LARGEST_RATE)


@pytest.mark.parametrize("scale", [1e-8, 1e-9, 1e-12, 1e-30])
def test_a_channel_whose_weights_are_next_to_nothing(make_builder, agree, scale):
    """In its accumulator's steps, where the tables start is beyond int32."""
    builder = make_builder(seed=7, is_exact=False)
    scales = np.array([0.01, scale, 0.01], np.float32)
    weight = [builder.integers((3, 6, 3, 3), "int8"), scales, np.zeros(3, np.int8)]
    weight = builder.node("DequantizeLinear", [builder.constant(part) for part in weight], axis=0)
    value = builder.node("Conv", [builder.activation((1, 6, 8, 8)), weight])
    builder.output(builder.quantize(apply(builder, "SiLU", value), around=2.0**-6))
    agree(builder, fraction=LARGEST_RATE)


def test_a_function_of_channels_whose_scales_differ_too_much_is_left_to_the_host(
    make_builder, agree
):
    builder = make_builder(seed=8, is_exact=False)
    scales = np.array([1e-2, 1e-8], np.float32)
    weight = [np.ones((2, 16384, 1, 1), np.int8), scales, np.zeros(2, np.int8)]
    weight = builder.node("DequantizeLinear", [builder.constant(part) for part in weight], axis=0)
    value = builder.node("Conv", [builder.activation((1, 16384, 1, 1)), weight])
    builder.output(builder.quantize(apply(builder, "Sigmoid", value), around=2.0**-6))
    reasons = [item.reason for item in agree(builder, fraction=LARGEST_RATE).host_operators]
    assert any("no accumulator holds what" in reason for reason in reasons)


def test_a_clamp_of_the_stored_result_joins_the_pieces(make_builder, agree):
    builder = make_builder(seed=3, is_exact=False)
    value = apply(builder, "SiLU", convolved(builder))
    value = builder.node("Relu", [builder.requantized(value, around=2.0**-4)])
    builder.output(value, "float32")
    (node,) = import_model(builder.model()).sections[0].graph.nodes
    assert node.epilogue.pieces


def test_where_four_pieces_are_too_coarse_there_are_eight(make_builder, agree):
    builder = make_builder(seed=5, is_exact=False)
    value = apply(builder, "SiLU", convolved(builder))
    builder.output(builder.quantize(value, around=2.0**-10, zero_point=0))
    (node,) = agree(builder, fraction=LARGEST_RATE).sections[0].graph.nodes
    assert len(node.epilogue.pieces) == 8


def test_where_a_function_falls_and_rises_too_far_for_four_pieces_there_are_eight(
    make_builder, agree
):
    """SiLU less Relu of -2.5 to 4: down by 160 steps on either side of 0, less at the ends."""
    builder = make_builder(seed=5, is_exact=False)
    scales = [builder.constant(np.float32(scale)) for scale in (2.0**-8, 6.5 / 255 / 127 * 2**8)]
    zero = builder.constant(np.int8(0))
    stored = builder.dequantize(builder.stored_input((1, 6, 16, 16)), [scales[0], zero])
    weight = builder.constant(np.full((6, 1, 1, 1), 127, np.int8))
    weight = builder.node("DequantizeLinear", [weight, scales[1], zero])
    bias = builder.constant(np.full(6, 0.76, np.float32))
    value = builder.node("Conv", [stored, weight, bias], group=6)
    rest = builder.node("Sub", [apply(builder, "SiLU", value), builder.node("Relu", [value])])
    output = [builder.constant(np.float32(0.00174)), builder.constant(np.int8(48))]
    builder.output(builder.node("QuantizeLinear", [rest, *output]))
    (node,) = agree(builder, fraction=LARGEST_RATE).sections[0].graph.nodes
    assert len(node.epilogue.pieces) == 8


def test_a_function_that_ends_between_two_levels_is_exact_where_it_has_ended(make_builder, agree):
    """The tables' first and last levels hold -63.5 and 63.5 steps, which are rounded to even."""
    builder = make_builder(seed=6, is_exact=False)
    stored = builder.activation((1, 6, 16, 16), around=4.0)
    value = builder.node("Tanh", [builder.node("Conv", [stored, builder.weight((6, 6, 1, 1))])])
    quantization = [builder.constant(np.float32(1 / 63.5)), builder.constant(np.int8(0))]
    builder.output(builder.node("QuantizeLinear", [value, *quantization]))
    agree(builder, fraction=0.002)


def test_a_function_that_is_too_steep_is_left_to_the_host(make_builder, agree):
    """The accelerator hands the convolution's value over (test_handing), a step off at most."""
    builder = make_builder(seed=4, is_exact=False)
    builder.output(builder.quantize(builder.node("Sin", [convolved(builder)]), around=2.0**-7))
    reasons = [item.reason for item in agree(builder, fraction=0.25).host_operators]
    assert any("its function is too steep for 8 tables" in reason for reason in reasons)


def test_a_function_that_is_not_finite_is_left_to_the_host(make_builder):
    builder = make_builder(seed=4, is_exact=False)
    builder.output(builder.quantize(builder.node("Log", [convolved(builder)]), around=2.0**-4))
    with pytest.raises(ModelError, match="its function is not finite for every value"):
        import_model(builder.model())
