"""ConvTranspose against ONNX Runtime."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

CASES = {
    "plain": ((1, 3, 5, 6), (3, 4, 3, 3), {}),
    "doubling": ((1, 4, 5, 5), (4, 3, 2, 2), {"strides": [2, 2]}),
    "overlapping": ((1, 4, 5, 4), (4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "output_padding": ((1, 2, 4, 5), (2, 5, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1],
                       "output_padding": [1, 1]}),
    "gaps": ((1, 2, 4, 3), (2, 3, 2, 1), {"strides": [3, 2]}),
    "asymmetric": ((1, 2, 4, 5), (2, 3, 3, 5), {"strides": [2, 3], "pads": [0, 1, 2, 3]}),
    "dilated": ((1, 2, 5, 4), (2, 3, 3, 2), {"strides": [2, 1], "dilations": [2, 3]}),
    "grouped": ((1, 6, 4, 4), (6, 2, 3, 3), {"group": 3, "strides": [2, 2]}),
    "depthwise": ((1, 5, 4, 4), (5, 1, 4, 4), {"group": 5, "strides": [2, 2], "pads": [1] * 4}),
    "cropped": ((1, 2, 6, 6), (2, 3, 2, 2), {"strides": [2, 2], "pads": [3, 2, 1, 4]}),
    "same": ((1, 2, 5, 5), (2, 3, 4, 4), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same_upper_odd": ((1, 2, 5, 4), (2, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same_lower_odd": ((1, 2, 5, 4), (2, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "output_shape_odd": ((1, 2, 5, 5), (2, 3, 3, 3), {"strides": [2, 2], "output_shape": [10, 8]}),
    "output_shape": ((1, 2, 5, 5), (2, 3, 3, 3), {"strides": [2, 2], "output_shape": [9, 9]}),
    "one_dimension": ((1, 3, 7), (3, 4, 4), {"strides": [3], "pads": [1, 0]}),
}  # fmt: skip


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("case", CASES)
def test_transposed_convolution_equals_onnxruntime(make_builder, agree, case, axis):
    shape, weight_shape, attributes = CASES[case]
    builder = make_builder(seed=1)
    outputs = weight_shape[1] * attributes.get("group", 1)
    bias = builder.constant(builder.random.integers(-64, 64, outputs).astype("f") / 64)
    inputs = [builder.activation(shape), builder.weight(weight_shape, axis), bias]
    result = builder.node("ConvTranspose", inputs, **attributes)
    value = builder.requantized(builder.node("Relu", [result]))
    kernel = (1,) * (len(shape) - 2)
    behind = builder.node("Conv", [value, builder.weight((4, outputs, *kernel), 0)])
    builder.output(builder.quantize(behind))
    imported = agree(builder)
    assert imported.host_operators == ()
    expected = run_on_reference(imported, builder.feeds)
    for config in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[config]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


def test_depthwise_weights_may_have_their_scales_on_axis_0(make_builder, agree):
    builder = make_builder(seed=2)
    inputs = [builder.activation((1, 5, 4, 4)), builder.weight((5, 1, 3, 3), 0)]
    result = builder.node("ConvTranspose", inputs, group=5, strides=[2, 2])
    builder.output(builder.quantize(result))
    assert agree(builder).host_operators == ()
