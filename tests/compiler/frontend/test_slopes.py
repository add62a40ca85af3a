"""LeakyRelu and PRelu of unrounded values against ONNX Runtime."""

import numpy as np
import pytest

from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv

CONVOLUTIONS = {"dense": (8, 3, 1), "depthwise": (6, 1, 6), "grouped": (8, 2, 3)}
"""Filters, input channels of a group, groups."""


def convolved(builder, kind="dense"):
    """The float value of a convolution and its number of channels."""
    filters, inputs, groups = CONVOLUTIONS[kind]
    source = builder.activation((1, inputs * groups, 8, 8))
    filters = filters if filters % groups == 0 else groups * 2
    weight = builder.weight((filters, inputs, 3, 3), 0)
    steps = builder.random.integers(-500, 500, filters)
    bias = builder.constant(np.asarray(steps / 512, np.float32))
    value = builder.node("Conv", [source, weight, bias], group=groups, pads=[1, 1, 1, 1])
    return value, filters


def chain(builder, value, *operators):
    """Operators one behind the other: (type, constants, attributes)."""
    for op_type, constants, attributes in operators:
        operands = [builder.constant(np.asarray(number, np.float32)) for number in constants]
        value = builder.node(op_type, [value, *operands], **attributes)
    return value


def only_conv(imported):
    (section,) = imported.sections
    (node,) = section.graph.nodes
    assert isinstance(node, Conv)
    return node


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("alpha", [0.1, 0.01, 1.5, -0.25])
def test_leaky_relu_behind_a_convolution_is_exact(make_builder, agree, kind, alpha, dtype):
    builder = make_builder(seed=1, dtype=dtype)
    value, _ = convolved(builder, kind)
    value = chain(builder, value, ("LeakyRelu", [], {"alpha": alpha}))
    builder.output(builder.quantize(value))
    assert only_conv(agree(builder)).negative_scale is not None


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_prelu_with_a_slope_a_channel_behind_a_convolution_is_exact(make_builder, agree, kind):
    builder = make_builder(seed=2)
    value, channels = convolved(builder, kind)
    slopes = builder.random.uniform(-0.5, 1.5, (channels, 1, 1))
    builder.output(builder.quantize(chain(builder, value, ("PRelu", [slopes], {}))))
    assert len(only_conv(agree(builder)).negative_scale) == channels


def test_prelu_with_a_slope_a_channel_behind_dequantize_is_a_depthwise_convolution(
    make_builder, agree
):
    builder = make_builder(seed=3, is_exact=False)
    slopes = builder.random.uniform(0, 0.5, (6, 1, 1))
    value = chain(builder, builder.activation((1, 6, 8, 8)), ("PRelu", [slopes], {}))
    builder.output(builder.quantize(value, around=2.0**-5))
    assert only_conv(agree(builder)).groups == 6


def test_slopes_behind_gemm_and_matmul(make_builder, agree):
    builder = make_builder(seed=4)
    value = builder.node("Gemm", [builder.activation((4, 16)), builder.weight((16, 10), 1)])
    value = builder.requantized(chain(builder, value, ("PRelu", [np.linspace(0, 1, 10)], {})))
    value = builder.node("MatMul", [value, builder.weight((10, 6), 1)])
    value = chain(builder, value, ("LeakyRelu", [], {"alpha": 0.2}))
    builder.output(builder.quantize(value, around=2.0**-1))
    first, second = agree(builder).sections[0].graph.nodes
    assert first.negative_scale is not None
    assert second.negative_scale is not None


def test_slopes_keep_to_their_channels_where_these_are_shuffled(make_builder, agree):
    builder = make_builder(seed=8)
    value, channels = convolved(builder)
    slopes = builder.random.uniform(-0.5, 1.5, (channels, 1, 1))
    value = builder.requantized(chain(builder, value, ("PRelu", [slopes], {})))
    for shape in ((1, 2, channels // 2, 8, 8), (1, channels, 8, 8)):
        value = builder.node("Reshape", [value, builder.constant(np.array(shape))])
        if len(shape) == 5:
            value = builder.node("Transpose", [value], perm=[0, 2, 1, 3, 4])
    value = builder.node("Conv", [value, builder.weight((4, channels, 1, 1), 0)])
    builder.output(builder.quantize(value))
    first, _ = agree(builder).sections[0].graph.nodes
    assert len(first.negative_scale) == channels


def test_slopes_behind_a_transposed_convolution(make_builder, agree):
    builder = make_builder(seed=9)
    weight = builder.weight((4, 3, 2, 2), 1)
    value = builder.node(
        "ConvTranspose", [builder.activation((1, 4, 6, 6)), weight], strides=[2, 2]
    )
    slopes = builder.random.uniform(-0.5, 1.5, (3, 1, 1))
    value = builder.requantized(chain(builder, value, ("PRelu", [slopes], {})))
    value = builder.node("Conv", [value, builder.weight((4, 3, 3, 3), 0)])
    builder.output(builder.quantize(value))
    agree(builder)


LEAKY = ("LeakyRelu", [], {"alpha": 0.2})
CLIP = ("Clip", [-1.5, 2.0], {})
CHAINS = {
    "clip behind": [LEAKY, ("Clip", [-0.25, 2.0], {})],
    "clip in front": [CLIP, LEAKY],
    "clip in front, high below 0": [("Clip", [-3.0, -0.5], {}), LEAKY],
    "relu in front": [("Relu", [], {}), LEAKY],
    "relu behind": [LEAKY, ("Relu", [], {})],
    "relu6 behind a falling slope": [("LeakyRelu", [], {"alpha": -0.3}), ("Clip", [0.2, 6.0], {})],
    "slope 0": [("LeakyRelu", [], {"alpha": 0.0})],
    "slope 1": [("PRelu", [1.0], {})],
    "two slopes": [LEAKY, LEAKY],
    "scaled behind": [LEAKY, ("Mul", [0.5], {})],
    "a clamp scaled behind": [CLIP, ("Div", [4.0], {})],
    "clip in front of slope 0": [CLIP, ("LeakyRelu", [], {"alpha": 0.0})],
}


@pytest.mark.parametrize("case", CHAINS)
def test_slopes_and_clamps_in_any_order_are_exact(make_builder, agree, case):
    builder = make_builder(seed=5)
    value, _ = convolved(builder)
    builder.output(builder.quantize(chain(builder, value, *CHAINS[case])))
    only_conv(agree(builder))


@pytest.mark.parametrize("alpha", [0.1, 0.3, -0.7, 2.5])
def test_calibrated_scales_differ_by_one_step_in_a_tie_at_most(make_builder, agree, alpha):
    builder = make_builder(seed=6, is_exact=False)
    value, _ = convolved(builder)
    value = chain(builder, value, ("LeakyRelu", [], {"alpha": alpha}))
    builder.output(builder.quantize(value))
    only_conv(agree(builder, fraction=0.005))


REFUSED = {
    "a slope a channel behind a clamp": (
        [CLIP, ("PRelu", [np.arange(1, 9).reshape(8, 1, 1)], {})],
        "behind a clamp its slope must be positive and the same for all channels",
    ),
    "a negative factor a channel behind a slope": (
        [LEAKY, ("Mul", [-np.arange(1, 9).reshape(8, 1, 1)], {})],
        "it works on an activation's float result",
    ),
    "slope a pixel": (
        [("PRelu", [np.arange(64).reshape(1, 8, 8)], {})],
        "its constant must vary along the channels only",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_negative_scales_cannot_do_is_left_to_the_host(make_builder, case):
    operators, reason = REFUSED[case]
    builder = make_builder(seed=7)
    value, _ = convolved(builder)
    builder.output(builder.quantize(chain(builder, value, *operators)))
    builder.output(builder.quantize(value))
    imported = import_model(builder.model())
    assert any(reason in item.reason for item in imported.host_operators)
