"""MobileNetV3 with squeeze and excite, as PyTorch and as PaddlePaddle export it."""

import numpy as np
from network import Network
from onnx import ModelProto

BLOCKS = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
)
"""Kernel, expanded and output channels, squeeze and excite, HardSwish, stride (small model)."""


def mobilenet_v3(size: int = 64) -> ModelProto:
    """torchvision's mobilenet_v3_small up to its fifth block, opset 17."""
    net = Network("mobilenet_v3")
    value = net.node("HardSwish", net.conv(net.input((1, 3, size, size)), 16, 3, 2))
    for kernel, hidden, channels, squeezes, swishes, stride in BLOCKS:
        before = value
        activation = "HardSwish" if swishes else "Relu"
        if hidden != net.channels(value):
            value = net.node(activation, net.conv(value, hidden, 1))
        value = net.node(activation, net.conv(value, hidden, kernel, stride, groups=hidden))
        if squeezes:
            value = squeezed(net, value, max(8, hidden // 4))
        value = net.conv(value, channels, 1)
        if net.shapes[value] == net.shapes[before]:
            value = net.node("Add", value, before)
    value = net.node("HardSwish", net.conv(value, 96, 1))
    value = net.pixel_mean(value)
    flat = net.node("Flatten", value, shape=(1, net.channels(value)), axis=1)
    return net.model(net.dense(net.node("HardSwish", net.dense(flat, 128)), 10))


def squeezed(net: Network, value: str, hidden: int) -> str:
    """Multiplied by a gate a channel: mean, two 1x1 convolutions, HardSigmoid."""
    gate = net.node("Relu", net.conv(net.pixel_mean(value), hidden, 1))
    gate = net.node("HardSigmoid", net.conv(gate, net.channels(value), 1), alpha=1 / 6)
    return net.node("Mul", value, gate)


def text_direction(width: int = 96) -> ModelProto:
    """PP-OCR's classifier: MobileNetV3 small x 0.35 as paddle2onnx writes it.

    Convolutions without bias, BatchNormalization behind them, HardSwish in three operators,
    strides (2, 1), ReduceMean or pooling, a matrix product and an Add, Softmax.
    """
    net = Network("text_direction", opset=11)
    value = _swish(
        net, net.normalized(net.conv(net.input((1, 3, 48, width)), 8, 3, 2, has_bias=False))
    )
    layers = ((3, 8, 8, True, False, (2, 1)), (3, 24, 8, False, False, (2, 1)),
              (5, 32, 16, True, True, (2, 1)), (5, 88, 16, True, True, 1))  # fmt: skip
    for kernel, hidden, channels, squeezes, swishes, stride in layers:
        before = value
        value = _activated(net, net.conv(value, hidden, 1, has_bias=False), swishes)
        value = net.conv(value, hidden, kernel, stride, groups=hidden, has_bias=False)
        value = _activated(net, value, swishes)
        if squeezes:
            value = _paddle_gate(net, value)
        value = net.normalized(net.conv(value, channels, 1, has_bias=False))
        if net.shapes[value] == net.shapes[before]:
            value = net.node("Add", before, value)
    value = _swish(net, net.normalized(net.conv(value, 104, 1, has_bias=False)))
    value = net.pool(value, "MaxPool", 2, 2)
    value = net.pixel_mean(value)
    flat = net.node("Reshape", value, net.integers(-1, 104), shape=(1, 104))
    weight = net.random.normal(0, 0.1, (104, 2)).astype(np.float32)
    product = net.node("MatMul", flat, net.constant(weight), shape=(1, 2))
    total = net.node("Add", product, net.constant(np.array([0.1, -0.1], np.float32)))
    return net.model(net.node("Softmax", total, axis=1))


def _activated(net: Network, value: str, swishes: bool) -> str:
    value = net.normalized(value)
    return _swish(net, value) if swishes else net.node("Relu", value)


def _swish(net: Network, value: str) -> str:
    """HardSwish as paddle2onnx writes it."""
    clipped = net.node("Clip", net.node("Add", value, net.number(3)), net.number(0), net.number(6))
    return net.node("Div", net.node("Mul", value, clipped), net.number(6))


def _paddle_gate(net: Network, value: str) -> str:
    """Squeeze and excite; each convolution's bias is an Add of [1, C, 1, 1]."""
    depth = net.channels(value)
    gate = _with_bias(net, net.conv(net.pixel_mean(value), max(depth // 4, 2), 1, has_bias=False))
    gate = _with_bias(net, net.conv(net.node("Relu", gate), depth, 1, has_bias=False))
    return net.node("Mul", value, net.node("HardSigmoid", gate, alpha=0.2, beta=0.5))


def _with_bias(net: Network, value: str) -> str:
    bias = net.random.normal(0, 0.1, net.channels(value)).astype(np.float32)
    row = net.node("Reshape", net.constant(bias), net.integers(1, -1, 1, 1))
    return net.node("Add", value, row)
