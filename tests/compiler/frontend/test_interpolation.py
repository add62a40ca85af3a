"""Linear Resize and Upsample against ONNX Runtime."""

import numpy as np
import onnx
import pytest

from tilewright.compiler.frontend.importer import import_model

ALIGNED = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
CASES = {
    "twice": (17, [1, 1, 2, 2], {}),
    "four times along the rows": (
        17,
        [1, 1, 1, 4],
        {"coordinate_transformation_mode": "half_pixel"},
    ),
    "three times": (17, [1, 1, 3, 3], {"coordinate_transformation_mode": "pytorch_half_pixel"}),
    "without half pixels": (17, [1, 1, 2, 4], {"coordinate_transformation_mode": "asymmetric"}),
    "opset 10": (10, [1, 1, 2, 2], {}),
}


def resized(builder, case, value):
    opset, scales, attributes = CASES[case]
    factors = builder.constant(np.array(scales, np.float32))
    inputs = [value, factors] if opset == 10 else [value, "", factors]
    return builder.node("Resize", inputs, mode="linear", **attributes)


@pytest.mark.parametrize("case", CASES)
def test_enlarging_by_integers_equals_onnxruntime(make_builder, agree, case):
    builder = make_builder(seed=2, opset=CASES[case][0])
    inputs = [builder.activation((1, 3, 5, 4)), builder.weight((6, 3, 1, 1))]
    value = builder.requantized(builder.node("Conv", inputs))
    value = builder.requantized(resized(builder, case, value))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 6, 3, 3))])))
    fraction = 0.05 if case == "three times" else 0
    imported = agree(builder, fraction=fraction)
    assert (len(imported.sections), imported.host_operators) == (1, ())


def test_sizes_may_be_given(make_builder, agree):
    builder = make_builder(seed=3)
    value = builder.activation((1, 2, 4, 4))
    sizes = builder.constant(np.array([1, 2, 8, 12]))
    builder.output(builder.quantize(builder.node("Resize", [value, "", "", sizes], mode="linear")))
    assert agree(builder, fraction=0.05).host_operators == ()


@pytest.mark.parametrize("size", [(7, 10), (4, 13), (4, 1)])
def test_corners_may_be_aligned(make_builder, agree, size):
    builder = make_builder(seed=5)
    given = (4, 4) if size[1] > 1 else (4, 1)
    inputs = [builder.activation((1, 3, *given)), builder.weight((6, 3, 1, 1))]
    value = builder.requantized(builder.node("Conv", inputs))
    sizes = builder.constant(np.array([1, 6, *size]))
    value = builder.requantized(builder.node("Resize", [value, "", "", sizes], **ALIGNED))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 6, 1, 1))])))
    assert len(agree(builder, fraction=0.05).steps) == 1


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_one_axis_of_pixels(make_builder, agree, mode, by):
    """A sequence [1, C, W]."""
    builder = make_builder(seed=9)
    size = 13 if mode == "align_corners" else 14
    others = ["", builder.constant(np.array([1, 1, size / 7], np.float32))]
    if by == "sizes":
        others = ["", "", builder.constant(np.array([1, 3, size]))]
    coordinates = {"coordinate_transformation_mode": mode}
    value = builder.activation((1, 3, 7))
    value = builder.node("Resize", [value, *others], mode="linear", **coordinates)
    builder.output(builder.quantize(value))
    assert agree(builder, fraction=0.05).host_operators == ()


@pytest.mark.parametrize("axes", [[2, 3], [-1, 2], [3]])
@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_axes_may_be_named(make_builder, agree, axes, by):
    builder = make_builder(seed=10, opset=18)
    factors = {2: 2, 3: 4, -1: 4}
    scales = np.array([factors[axis] for axis in axes], np.float32)
    others = ["", builder.constant(scales)]
    if by == "sizes":
        others = ["", "", builder.constant(np.array([factors[axis] * 5 for axis in axes]))]
    value = builder.activation((1, 3, 5, 5))
    value = builder.node("Resize", [value, *others], mode="linear", axes=axes)
    builder.output(builder.quantize(value))
    assert agree(builder, fraction=0.05).host_operators == ()


@pytest.mark.parametrize("mode", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("factors", [(2, 2), (3, 2), (4, 1), (6, 12), (2, 6)])
@pytest.mark.parametrize("is_stored", [True, False])
def test_height_and_width_divided_by_integers(make_builder, agree, mode, factors, is_stored):
    builder = make_builder(seed=11)
    inputs = [builder.activation((1, 3, 12, 12)), builder.weight((6, 3, 1, 1))]
    value = builder.node("Conv", inputs)
    value = builder.requantized(value) if is_stored else value
    scales = builder.constant(np.array([1, 1, *(1 / np.array(factors))], np.float32))
    coordinates = {"coordinate_transformation_mode": mode}
    value = builder.node("Resize", [value, "", scales], mode="linear", **coordinates)
    builder.output(builder.quantize(value))
    assert agree(builder, fraction=0.05).host_operators == ()


def scaled(builder, value, given, size, **attributes):
    """From `given` pixels along both axes to `size`, by scales as exporters write them."""
    scales = np.array([1, 1, size / given, size / given], np.float32)
    return builder.node("Resize", [value, "", builder.constant(scales)], **ALIGNED | attributes)


SIZES = [(3, 5), (5, 9), (7, 13), (6, 11)]
"""In float64, all but the last of the scales make less than the size."""


@pytest.mark.parametrize(("given", "size"), SIZES)
def test_aligned_corners_by_scales(make_builder, agree, given, size):
    builder = make_builder(seed=7)
    value = scaled(builder, builder.activation((1, 3, given, given)), given, size)
    builder.output(builder.quantize(value))
    assert agree(builder, fraction=0.05).host_operators == ()


@pytest.mark.parametrize("is_described", [False, True])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize(("given", "size"), SIZES)
def test_the_size_is_the_same_on_the_host(make_builder, given, size, mode, is_described):
    """As ONNX Runtime has it; ONNX's inference, which may have described the model, has another."""
    builder = make_builder(seed=8)
    value = scaled(builder, builder.activation((1, 3, given, given)), given, size, mode=mode)
    value = builder.requantized(builder.node("Softmax", [builder.requantized(value)], axis=3))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 3, 3, 3))])))
    model = builder.model()
    if is_described:
        model.graph.output[0].type.tensor_type.ClearField("shape")
        model = onnx.shape_inference.infer_shapes(model)
    (output,) = import_model(model).outputs
    assert output.shape == (1, 2, size - 2, size - 2)


@pytest.mark.parametrize("mode", ["align_corners", "half_pixel"])
def test_a_single_pixel_is_repeated_any_number_of_times(make_builder, agree, mode):
    builder = make_builder(seed=6)
    value = builder.requantized(
        builder.node("GlobalAveragePool", [builder.activation((1, 6, 4, 4))])
    )
    sizes = builder.constant(np.array([1, 6, 11, 20]))
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
    value = builder.requantized(builder.node("Resize", [value, "", "", sizes], **attributes))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 6, 3, 3))])))
    assert len(agree(builder).steps) == 1


def test_a_kept_ratio_of_height_and_width_is_left_to_the_host(make_builder, agree):
    builder = make_builder(seed=9, opset=18)
    stored = builder.requantized(builder.node("Relu", [builder.activation((1, 2, 4, 4))]))
    sizes = builder.constant(np.array([1, 2, 8, 12]))
    policy = {"mode": "linear", "keep_aspect_ratio_policy": "not_larger"}
    value = builder.node("Resize", [stored, "", "", sizes], **policy)
    builder.output(builder.quantize(value))
    reasons = {item.op_type: item.reason for item in agree(builder).host_operators}
    assert "without antialias and keep_aspect_ratio_policy" in reasons["Resize"]


@pytest.mark.parametrize(
    ("scales", "attributes", "reason"),
    [
        ([1, 1, 1.5, 2], {}, "must enlarge height and width by 1 to 8 times or divide them"),
        ([1, 1, 1.3, 2], {}, "must give integers for height and width, got"),
        (
            [1, 1, 2, 2],
            {"coordinate_transformation_mode": "align_corners"},
            "must enlarge the distances between pixels by 1 to 8 times or",
        ),
        (
            [1, 1, 2, 2],
            {"coordinate_transformation_mode": "half_pixel_symmetric"},
            "must be half_pixel, pytorch_half_pixel, asymmetric, align_corners, got half_pixel_sym",
        ),
        ([1, 1, 2, 2], {"antialias": 1}, "must be without antialias and keep_aspect_"),
        ([1, 1, 2, 2], {"mode": "cubic"}, "its mode must be nearest, or linear behind"),
    ],
)
def test_other_resizing_is_left_to_the_host(make_builder, agree, scales, attributes, reason):
    builder = make_builder(seed=4, opset=19)
    value = builder.activation((1, 2, 4, 4))
    factors = builder.constant(np.array(scales, np.float32))
    value = builder.node("Resize", [value, "", factors], **{"mode": "linear"} | attributes)
    value = builder.requantized(value)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((2, 2, 3, 3))])))
    reasons = {item.op_type: item.reason for item in agree(builder).host_operators}
    assert reason in reasons["Resize"]
