"""Operators that choose elements, and maps that are repeated, against ONNX Runtime."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference
from onnx import helper

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

CHOICES = {
    "slice_of_channels": ("Slice", [[2], [6], [1]], {}),
    "slice_from_the_end": ("Slice", [[-1], [-7], [1], [-2]], {}),
    "crop": ("Slice", [[1, 2], [7, 2**62], [2, 3]], {}),
    "strided_crop": ("Slice", [[1, 0], [8, 8], [2, 3], [3, 2]], {}),
    "flip": ("Slice", [[-1], [-(2**62)], [3], [-1]], {}),
    "gather_of_channels": ("Gather", [[5, 0, 3, 3, -1]], {"axis": 1}),
    "gather_of_a_row": ("Gather", [np.array(2)], {"axis": 2}),
    "space_to_depth": ("SpaceToDepth", [], {"blocksize": 2}),
    "depth_to_space": ("DepthToSpace", [], {"blocksize": 2}),
    "depth_to_space_crd": ("DepthToSpace", [], {"blocksize": 2, "mode": "CRD"}),
    "reflected": ("Pad", [[0, 0, 1, 2, 0, 0, 2, 1]], {"mode": "reflect"}),
    "repeated_edges": ("Pad", [[0, 0, 2, 0, 0, 0, 1, 3]], {"mode": "edge"}),
    "tile": ("Tile", [[1, 2, 1, 1]], {}),
    "nearest": ("Resize", [[], np.array([1, 1, 2, 3], "f")], {"nearest_mode": "floor",
                "coordinate_transformation_mode": "asymmetric"}),
    "nearest_of_half_pixels": ("Resize", [[], np.array([1, 1, 2, 0.5], "f")], {}),
}  # fmt: skip
CHANNELS = {
    "slice_of_channels": 4,
    "slice_from_the_end": 3,
    "gather_of_channels": 5,
    "space_to_depth": 32,
    "depth_to_space": 2,
    "depth_to_space_crd": 2,
    "tile": 16,
}
"""Of the result, where they are not 8."""


def convolved(builder, channels=8, size=8):
    inputs = [builder.activation((1, 4, size, size)), builder.weight((channels, 4, 1, 1), 0)]
    return builder.requantized(builder.node("Conv", inputs))


def finished(builder, value, channels):
    inputs = [value, builder.weight((4, channels, 2, 2), 0)]
    builder.output(builder.quantize(builder.node("Conv", inputs, pads=[1, 1, 0, 0])))


def check_simulator(imported, builder):
    expected = run_on_reference(imported, builder.feeds)
    for config in ("nano", "edge"):
        given = run_on_iss(compile_model(imported, PRESETS[config]), builder.feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(given[name], array)


@pytest.mark.parametrize("case", CHOICES)
def test_choosing_elements_equals_onnxruntime(make_builder, agree, case):
    op_type, constants, attributes = CHOICES[case]
    builder = make_builder(seed=1)
    names = [
        builder.constant(np.asarray(item, None if np.size(item) else np.float32))
        for item in constants
    ]
    value = builder.node(op_type, [convolved(builder), *names], **attributes)
    if case == "gather_of_a_row":
        value = builder.node("Unsqueeze", [value, builder.constant([3])])
    finished(builder, value, CHANNELS.get(case, 8))
    imported = agree(builder)
    assert imported.host_operators == ()
    assert len(imported.sections) == 1
    check_simulator(imported, builder)


def pixel_unshuffle(builder, value):
    """SpaceToDepth with the block innermost in the channels, as PyTorch exports it."""
    value = builder.node("Reshape", [value, builder.constant([1, 8, 4, 2, 4, 2])])
    value = builder.node("Transpose", [value], perm=[0, 1, 3, 5, 2, 4])
    return builder.node("Reshape", [value, builder.constant([1, 32, 4, 4])])


def focus(builder, value):
    """Four strided slices and their concatenation, of YOLOv5."""
    starts = [builder.constant([y, x]) for x in (0, 1) for y in (0, 1)]
    rest = [builder.constant([8, 8]), builder.constant([2, 3]), builder.constant([2, 2])]
    parts = [builder.node("Slice", [value, start, *rest]) for start in starts]
    return builder.node("Concat", parts, axis=1)


@pytest.mark.parametrize("form", [pixel_unshuffle, focus])
@pytest.mark.parametrize("is_quantized", [True, False])
def test_pixels_become_channels_on_the_device(make_builder, agree, form, is_quantized):
    builder = make_builder(seed=9)
    value = form(builder, convolved(builder))
    finished(builder, builder.requantized(value) if is_quantized else value, 32)
    imported = agree(builder)
    assert imported.host_operators == ()
    assert len(imported.sections) == 1
    check_simulator(imported, builder)


def test_split_and_concat(make_builder, agree):
    builder = make_builder(seed=2)
    value, names = convolved(builder), ["left", "right"]
    builder.nodes.append(
        helper.make_node("Split", [value, builder.constant([3, 5])], names, axis=1)
    )
    right = builder.requantized(builder.node("Conv", ["right", builder.weight((4, 5, 1, 1), 0)]))
    joined = builder.node("Concat", ["left", right, "right"], axis=1)
    finished(builder, builder.requantized(joined), 12)
    imported = agree(builder)
    assert imported.host_operators == ()
    assert len(imported.sections) == 1


@pytest.mark.parametrize("op_type", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 1, 8, 8), (1, 8, 1, 8), (1, 1, 1, 1)])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_smaller_operand_is_repeated(make_builder, agree, op_type, shape, is_first):
    builder = make_builder(seed=3, is_exact=op_type == "Add")
    value = convolved(builder)
    gate = builder.node("Conv", [builder.activation((1, 4, *shape[2:])),
                                 builder.weight((shape[1], 4, 1, 1))])  # fmt: skip
    operands = [value, builder.requantized(gate)]
    value = builder.node(op_type, operands if is_first else operands[::-1])
    builder.output(builder.quantize(value))
    imported = agree(builder, fraction=0.02 if op_type == "Mul" else 0)
    assert imported.host_operators == ()
    assert len(imported.sections) == 1
    check_simulator(imported, builder)


@pytest.mark.parametrize("is_alone", [True, False])
def test_shuffled_channels_join_the_weights(make_builder, agree, is_alone):
    builder = make_builder(seed=4)
    value = convolved(builder)
    shuffled = builder.node("Reshape", [value, builder.constant([1, 2, 4, 8, 8])])
    shuffled = builder.node("Transpose", [shuffled], perm=[0, 2, 1, 3, 4])
    shuffled = builder.node("Reshape", [shuffled, builder.constant([1, 8, 8, 8])])
    finished(builder, shuffled, 8)
    if not is_alone:
        finished(builder, value, 8)
    imported = agree(builder)
    assert len(imported.sections) == 1
    assert len(imported.sections[0].graph.nodes) == (2 if is_alone else 3)
    check_simulator(imported, builder)


def test_a_slice_that_is_read_alone_costs_nothing(make_builder, agree):
    builder = make_builder(seed=5)
    ends = [builder.constant([number]) for number in (2, 6, 1)]
    finished(builder, builder.node("Slice", [convolved(builder), *ends]), 4)
    (conv, _) = agree(builder).sections[0].graph.nodes
    assert conv.weight.shape == (4, 4, 1, 1)


@pytest.mark.parametrize("op_type", ["Mul", "Div", "Add", "Sub"])
def test_channels_that_a_slice_leaves_out_take_no_constant(make_builder, agree, op_type):
    builder = make_builder(seed=6)
    value = builder.node(
        "Conv", [builder.activation((1, 4, 6, 6)), builder.weight((8, 4, 1, 1), 0)]
    )
    value = builder.node("Slice", [value, *(builder.constant([number]) for number in (2, 6, 1))])
    factor = np.array([0.5, 2, -4, 0.25], np.float32).reshape(1, 4, 1, 1)
    value = builder.node(op_type, [value, builder.constant(factor)])
    builder.output(builder.quantize(value, 2.0**-1))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("width", [1, 8])
def test_repeated_channels_join_the_weights_only_for_less_work(make_builder, agree, width):
    """Eight times the outputs of a 3x3 kernel are more work than a copy, of a 1x1 kernel less."""
    builder = make_builder(seed=7)
    kernel = (3, 3) if width == 8 else (1, 1)
    inputs = [builder.activation((1, 8, 6, 6)), builder.weight((8, 8, *kernel))]
    value = builder.requantized(builder.node("Conv", inputs))
    value = builder.node("Tile", [value, builder.constant([1, width, 1, 1])])
    finished(builder, value, 8 * width)
    first = agree(builder).sections[0].graph.nodes[0]
    assert first.weight.shape[0] == 8


def test_the_scale_of_a_split_input_may_stand_behind_any_part(make_builder, agree):
    builder = make_builder(seed=8)
    names, quantization = ["left", "right"], builder.quantization()
    builder.nodes.append(
        helper.make_node("Split", [builder.stored_input((1, 4, 6, 6))], names, axis=1)
    )
    pooled = builder.node("MaxPool", ["right"], kernel_shape=[2, 2])
    value = builder.dequantize(pooled, quantization)
    finished(builder, value, 2)
    builder.output(builder.node("Identity", ["left"]))
    hosted = {item.op_type for item in agree(builder).host_operators}
    assert hosted <= {"Split", "Identity"}


CHOSEN = {
    "other_order": ((1, 5, 4), 2, [2, 0, 3, 1]),
    "fewer_rows": ((4, 4), 0, [2, 3]),
    "repeated": ((1, 4), 1, [2, 2, 0, 1]),
    "fewer_columns": ((1, 4), 1, [3, 1]),
    "more_rows": ((1, 4), 0, [0, 0, 0]),
}


@pytest.mark.parametrize("op_type", ["MatMul", "Gemm"])
@pytest.mark.parametrize("case", CHOSEN)
def test_a_product_reads_the_elements_that_were_chosen(make_builder, agree, op_type, case):
    shape, axis, places = CHOSEN[case]
    builder = make_builder(seed=9)
    value = builder.node("MatMul", [builder.activation(shape), builder.weight((4, 4))])
    value = builder.node(
        "Gather", [builder.requantized(value), builder.constant(places)], axis=axis
    )
    depth = len(places) if axis == len(shape) - 1 else 4
    if op_type == "Gemm" and len(shape) == 3:
        value = builder.node("Reshape", [value, builder.constant([-1, depth])])
    value = builder.node(op_type, [value, builder.weight((depth, 3))])
    builder.output(builder.quantize(value))
    imported = agree(builder)
    check_simulator(imported, builder)
