"""The QLinear operators (QOperator form) against ONNX Runtime."""

import numpy as np
import pytest

from tilewright.compiler.graph.graph import Concat, Conv, Elementwise, Pool, Requantize

MICROSOFT = "com.microsoft"


def weights(builder, shape, axis=None):
    """int8 weights within 6 bits, so that no x86 kernel saturates its 16-bit sums."""
    channels = () if axis is None else (shape[axis],)
    raw = builder.random.integers(-31, 32, shape).astype(np.int8)
    scale = np.asarray(builder.random.uniform(0.01, 0.05, channels), np.float32)
    return [
        builder.constant(raw),
        builder.constant(scale),
        builder.constant(np.zeros(channels, np.int8)),
    ]


def stored(builder, shape):
    return [builder.stored_input(shape), *builder.quantization(0.02)]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [None, 0])
def test_qlinear_conv(make_builder, agree, axis, dtype):
    builder = make_builder(seed=1, dtype=dtype, is_exact=False)
    bias = builder.constant(builder.random.integers(-2000, 2000, 4).astype(np.int32))
    operands = [*stored(builder, (1, 3, 9, 8)), *weights(builder, (4, 3, 3, 3), axis)]
    operands += [*builder.quantization(0.1), bias]
    builder.output(
        builder.node("QLinearConv", operands, pads=[1, 0, 1, 2], strides=[2, 1], dilations=[1, 2])
    )
    (node,) = agree(builder).sections[0].graph.nodes
    assert isinstance(node, Conv)


def test_qlinear_conv_depthwise_with_uint8_weights(make_builder, agree):
    builder = make_builder(seed=2, dtype="uint8", is_exact=False)
    raw = builder.random.integers(100, 157, (4, 1, 3, 3)).astype(np.uint8)
    weight = [raw, np.float32(0.02), np.uint8(128)]
    operands = [*stored(builder, (1, 4, 9, 8)), *map(builder.constant, weight)]
    builder.output(builder.node("QLinearConv", [*operands, *builder.quantization(0.05)], group=4))
    agree(builder)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 12), (5, 12), (1, 3, 12)])
def test_qlinear_matmul(make_builder, agree, shape, dtype):
    builder = make_builder(seed=3, dtype=dtype, is_exact=False)
    operands = [*stored(builder, shape), *weights(builder, (12, 7)), *builder.quantization(0.1)]
    builder.output(builder.node("QLinearMatMul", operands))
    agree(builder)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("is_transposed", [0, 1])
def test_qgemm(make_builder, agree, is_transposed, dtype):
    builder = make_builder(seed=4, dtype=dtype, is_exact=False)
    bias = builder.constant(builder.random.integers(-2000, 2000, 7).astype(np.int32))
    shape, axis = ((7, 12), 0) if is_transposed else ((12, 7), 1)
    operands = [*stored(builder, (3, 12)), *weights(builder, shape, None if axis else axis)]
    operands += [bias, *builder.quantization(0.1)]
    builder.output(builder.node("QGemm", operands, MICROSOFT, transB=is_transposed))
    agree(builder)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("op_type", "fraction"), [("QLinearAdd", 1e-3), ("QLinearMul", 0)])
def test_qlinear_add_and_mul(make_builder, agree, op_type, fraction, dtype):
    builder = make_builder(seed=5, dtype=dtype, is_exact=False)
    operands = [*stored(builder, (1, 8, 8, 8)), *stored(builder, (1, 8, 8, 8))]
    builder.output(builder.node(op_type, [*operands, *builder.quantization(0.05)], MICROSOFT))
    (node,) = agree(builder, fraction=fraction).sections[0].graph.nodes
    assert isinstance(node, Elementwise)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_qlinear_pooling(make_builder, agree, dtype):
    builder = make_builder(seed=6, dtype=dtype, is_exact=False)
    source, quantization = stored(builder, (1, 4, 8, 8)), builder.quantization(0.02)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}
    value = builder.node("QLinearAveragePool", [*source, *quantization], MICROSOFT, **window)
    value = builder.node("MaxPool", [value], kernel_shape=[2, 2])
    operands = [value, *quantization, *builder.quantization(0.01)]
    builder.output(builder.node("QLinearGlobalAveragePool", operands, MICROSOFT))
    kinds = [type(node) for node in agree(builder, fraction=0.3).sections[0].graph.nodes]
    assert kinds == [Pool, Pool, Pool]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op_type", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_qlinear_unary_is_a_table(make_builder, agree, op_type, dtype):
    builder = make_builder(seed=7, dtype=dtype, is_exact=False)
    attributes = {"alpha": 0.1} if op_type == "QLinearLeakyRelu" else {}
    operands = [*stored(builder, (1, 4, 8, 8)), *builder.quantization(0.01)]
    builder.output(builder.node(op_type, operands, MICROSOFT, **attributes))
    (node,) = agree(builder).sections[0].graph.nodes
    assert isinstance(node, Requantize)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_qlinear_concat(make_builder, agree, dtype):
    builder = make_builder(seed=8, dtype=dtype, is_exact=False)
    parts = [*stored(builder, (1, 3, 4, 4)), *stored(builder, (1, 5, 4, 4))]
    operands = [*builder.quantization(0.03), *parts]
    builder.output(builder.node("QLinearConcat", operands, MICROSOFT, axis=1))
    assert isinstance(agree(builder).sections[0].graph.nodes[-1], Concat)


def test_flatten_between_qlinear_operators(make_builder, agree):
    builder = make_builder(seed=9, dtype="uint8", is_exact=False)
    quantization = builder.quantization(0.1)
    operands = [*stored(builder, (1, 3, 6, 6)), *weights(builder, (4, 3, 3, 3), 0), *quantization]
    value = builder.node("Flatten", [builder.node("QLinearConv", operands)])
    operands = [value, *quantization, *weights(builder, (64, 5)), *builder.quantization(0.2)]
    builder.output(builder.node("QLinearMatMul", operands))
    kinds = [type(node) for node in agree(builder).sections[0].graph.nodes]
    assert kinds == [Conv, Conv]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_qlinear_add_of_a_constant(make_builder, agree, dtype):
    builder = make_builder(seed=10, dtype=dtype, is_exact=False)
    operand = [builder.constant(builder.integers((8, 1, 1))), *builder.quantization(0.02)]
    operands = [*operand, *stored(builder, (1, 8, 8, 8)), *builder.quantization(0.05)]
    builder.output(builder.node("QLinearAdd", operands, MICROSOFT))
    assert agree(builder, fraction=1e-2).sections[0].constants
