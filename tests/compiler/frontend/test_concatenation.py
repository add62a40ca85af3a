"""Concat along channels and along pixels, of activations and of constants."""

from collections import Counter

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.compiler.graph.graph import Concat, Conv, Pool, Requantize, View
from tilewright.compiler.graph.normalize import normalize
from tilewright.hw.spec.config import PRESETS

NANO = PRESETS["nano"]


def convolved(builder, value, weight_shape, **attributes):
    weight = builder.weight(weight_shape, 0)
    return builder.requantized(builder.node("Conv", [value, weight], **attributes))


def nodes_of(imported):
    """The nodes of the only section, which the simulator runs as the reference does."""
    (section,) = imported.sections
    assert len(imported.steps) == 1
    return section.graph.nodes


@pytest.mark.parametrize("is_exact", [True, False])
def test_concat_rescales_its_inputs(make_builder, agree, is_exact):
    builder = make_builder(seed=6)
    source = builder.activation((1, 3, 6, 6))
    parts = [convolved(builder, source, (count, 3, 3, 3)) for count in (4, 2)]
    builder.is_exact = is_exact
    value = builder.node("Concat", [*parts, parts[0]], axis=1)
    value = builder.requantized(value)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((5, 10, 1, 1))])))
    nodes = agree(builder, fraction=0 if is_exact else 0.02).sections[0].graph.nodes
    assert isinstance(nodes[-2], Concat)


def test_concat_of_integers(make_builder, agree):
    builder = make_builder(seed=7)
    source, quantization = builder.activation((1, 3, 6, 6)), builder.quantization(2.0**-3)
    parts = []
    for count in (4, 2):
        value = builder.node("Conv", [source, builder.weight((count, 3, 3, 3), 0)])
        parts.append(builder.node("QuantizeLinear", [value, *quantization]))
    builder.output(builder.node("Concat", parts, axis=1))
    agree(builder)


def test_concat_of_matrix_columns(make_builder, agree):
    builder = make_builder(seed=8)
    source = builder.activation((3, 6))
    parts = [
        builder.requantized(builder.node("MatMul", [source, builder.weight((6, count), 1)]))
        for count in (4, 5)
    ]
    value = builder.requantized(builder.node("Concat", parts, axis=-1))
    builder.output(builder.quantize(builder.node("MatMul", [value, builder.weight((9, 4))])))
    agree(builder)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [2, 3])
def test_maps_are_joined_along_rows_and_columns(make_builder, agree, axis, dtype):
    builder = make_builder(seed=9, dtype=dtype)
    source = builder.activation((1, 3, 6, 6))
    wide = convolved(builder, source, (5, 3, 1, 1))
    small = convolved(builder, source, (5, 3, *((3, 1) if axis == 2 else (1, 3))))
    constant = np.ones((1, 5, *((2, 6) if axis == 2 else (6, 2))), np.float32) / 3
    parts = [wide, small, builder.constant(constant), source_of_five(builder, axis)]
    value = builder.requantized(builder.node("Concat", parts, axis=axis))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 5, 2, 2))])))
    imported = agree(builder)
    (joined,) = (node for node in nodes_of(imported) if isinstance(node, Concat))
    assert joined.axis == axis - 1
    given = run_on_iss(compile_model(imported, NANO), builder.feeds)
    for name, expected in run_on_reference(imported, builder.feeds).items():
        np.testing.assert_array_equal(given[name], expected)


def source_of_five(builder, axis):
    """A model input that joins the others."""
    return builder.activation((1, 5, *((1, 6) if axis == 2 else (6, 1))))


def test_values_that_are_not_quantized_yet_are_joined_along_columns(make_builder, agree):
    builder = make_builder(seed=10)
    source = builder.activation((1, 4, 5, 5))
    parts = [builder.node("Conv", [source, builder.weight((6, 4, 1, n), 0)]) for n in (1, 2)]
    value = builder.node("Relu", [builder.node("Concat", parts, axis=-1)])
    value = builder.requantized(value)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((4, 6, 1, 1))])))
    assert not any(isinstance(node, Requantize) for node in nodes_of(agree(builder)))


@pytest.mark.parametrize("is_quantized", [True, False])
def test_a_class_token_joins_the_tokens_of_a_convolution(make_builder, agree, is_quantized):
    builder = make_builder(seed=11)
    patches = convolved(builder, builder.activation((1, 3, 8, 8)), (16, 3, 2, 2), strides=[2, 2])
    tokens = builder.node("Reshape", [patches, builder.constant(np.array([1, 16, 16]))])
    tokens = builder.node("Transpose", [tokens], perm=[0, 2, 1])
    own = builder.random.normal(0, 1, (1, 1, 16)).astype(np.float32)
    own = builder.weight((1, 1, 16)) if is_quantized else builder.constant(own)
    value = builder.requantized(builder.node("Concat", [own, tokens], axis=1))
    value = builder.requantized(builder.node("Add", [value, builder.weight((1, 17, 16))]))
    value = builder.requantized(builder.node("MatMul", [value, builder.weight((16, 12), 1)]))
    first = builder.node("Gather", [value, builder.constant(np.array(0))], axis=1)
    builder.output(builder.quantize(builder.node("MatMul", [first, builder.weight((12, 4), 1)])))
    nodes_of(agree(builder))


def test_heads_of_several_sizes_are_written_in_place(make_builder, agree):
    """What YOLO concatenates: [1, C, H * W] of every scale."""
    builder = make_builder(seed=12)
    quantization = builder.quantization(2.0**-2)
    heads, source = [], builder.activation((1, 4, 8, 8))
    for pixels in (64, 16):
        value = builder.node("Conv", [source, builder.weight((12, 4, 1, 1))])
        value = builder.dequantize(
            builder.node("QuantizeLinear", [value, *quantization]), quantization
        )
        shape = builder.constant(np.array([1, 12, pixels]))
        heads.append(builder.node("Reshape", [value, shape]))
        source = builder.node("MaxPool", [source], kernel_shape=[2, 2], strides=[2, 2])
    value = builder.node("Concat", heads, axis=2)
    builder.output(builder.node("QuantizeLinear", [value, *quantization]))
    imported = agree(builder)
    nodes_of(imported)
    kinds = Counter(type(node) for node in normalize(imported.sections[0].graph, NANO).nodes)
    assert kinds == {Conv: 2, View: 2, Pool: 1, Concat: 1}


def test_stored_integers_are_joined_along_rows_with_constants(make_builder, agree):
    builder = make_builder(seed=13, dtype="uint8")
    source, quantization = builder.activation((1, 3, 6, 6)), builder.quantization(2.0**-3)
    value = builder.node("Conv", [source, builder.weight((4, 3, 1, 1), 0)])
    value = builder.node("QuantizeLinear", [value, *quantization])
    rows = builder.constant(builder.integers((1, 4, 2, 6)))
    builder.output(builder.node("Concat", [value, rows], axis=2))
    nodes_of(agree(builder))


def test_a_transposed_convolution_joins_a_sequence(make_builder, agree):
    """Its map holds two phases of half the length."""
    builder = make_builder(seed=14)
    source = builder.activation((1, 4, 8))
    long = convolved(builder, source, (5, 4, 1))
    half = builder.node("MaxPool", [source], kernel_shape=[2], strides=[2])
    half = builder.node("ConvTranspose", [half, builder.weight((4, 6, 2))], strides=[2])
    value = builder.node("Concat", [long, builder.requantized(half)], axis=1)
    value = builder.requantized(value)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((3, 11, 3))])))
    nodes_of(agree(builder))


def test_parts_without_elements_vanish(make_builder, agree):
    """What a state of no columns is to a sequence."""
    builder = make_builder(seed=15)
    value = convolved(builder, builder.activation((1, 4, 6)), (5, 4, 1))
    empty = builder.constant(np.zeros((1, 5, 0), np.float32))
    value = builder.requantized(builder.node("Concat", [empty, value], axis=2))
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((3, 5, 2))])))
    nodes = nodes_of(agree(builder))
    assert all(min(node.weight.shape) for node in nodes if isinstance(node, Conv))
