"""PP-OCR's text detector and recognizers as paddle2onnx writes them."""

import numpy as np
from mobilenet import squeezed
from network import Network
from onnx import ModelProto


def text_detector(size: int = 64) -> ModelProto:
    """DB: MobileNetV3-like levels, RSE-FPN, a head of two transposed convolutions."""
    net = Network("text_detector", opset=14)
    value = net.node(
        "HardSwish",
        net.normalized(net.conv(net.input((1, 3, size, size)), 8, 3, 2, has_bias=False)),
    )
    levels = []
    for channels in (16, 24, 40, 80):
        hidden = 3 * channels
        value = net.node("Relu", net.normalized(net.conv(value, hidden, 1, has_bias=False)))
        stride = 2 if levels else 1
        value = net.conv(value, hidden, 5, stride, groups=hidden, has_bias=False)
        value = net.node("HardSwish", net.normalized(value))
        value = net.normalized(net.conv(value, channels, 1, has_bias=False))
        levels.append(value)
    levels = [_residual_squeeze(net, level, 24, 1) for level in levels]
    for at in (2, 1, 0):
        levels[at] = net.node("Add", levels[at], net.upsampled(levels[at + 1]))
    parts = [_residual_squeeze(net, level, 6, 3) for level in levels]
    parts = [net.upsampled(part, 2**at) if at else part for at, part in enumerate(parts)]
    value = net.concat(*reversed(parts))
    value = net.node("Relu", net.normalized(net.conv(value, 6, has_bias=False)))
    value = net.node("Relu", net.normalized(net.conv_transpose(value, 6)))
    return net.model(net.node("Sigmoid", net.conv_transpose(value, 1)))


def _residual_squeeze(net: Network, value: str, channels: int, kernel: int) -> str:
    value = net.conv(value, channels, kernel, has_bias=False)
    return net.node("Add", value, squeezed(net, value, max(channels // 4, 2)))


def text_recognizer(width: int = 96, *, attention: bool = True) -> ModelProto:
    """MobileNetV1-like columns of text; a block of attention; a matrix product a column."""
    net = Network("text_recognizer" if attention else "text_recognizer_columns", opset=14)
    value = net.node(
        "HardSwish",
        net.normalized(net.conv(net.input((1, 3, 32, width)), 16, 3, 2, has_bias=False)),
    )
    for channels, stride in ((32, 1), (32, (2, 1)), (64, 1), (64, (2, 1)), (96, 1), (96, (2, 1))):
        depth = net.channels(value)
        value = net.node(
            "HardSwish",
            net.normalized(net.conv(value, depth, 3, stride, groups=depth, has_bias=False)),
        )
        value = net.node("HardSwish", net.normalized(net.conv(value, channels, 1, has_bias=False)))
    value = squeezed(net, value, 24)
    value = net.pool(value, "AveragePool", 2, 2)
    if attention:
        value = _mixed(net, value)
    _, depth, _, columns = net.shapes[value]
    value = net.node("Squeeze", value, net.integers(2), shape=(1, depth, columns))
    value = net.node("Transpose", value, shape=(1, columns, depth), perm=[0, 2, 1])
    weight = net.random.normal(0, 0.1, (depth, 97)).astype(np.float32)
    product = net.node("MatMul", value, net.constant(weight), shape=(1, columns, 97))
    bias = net.random.normal(0, 0.1, 97).astype(np.float32)
    total = net.node("Add", product, net.constant(bias))
    return net.model(net.node("Softmax", total, axis=2))


def _mixed(net: Network, value: str) -> str:
    """SVTR's neck: a 1x1 bottleneck, attention over the columns, joined with the map."""
    depth, columns = net.channels(value), net.shapes[value][3]
    width = 48
    small = _silu(net, net.normalized(net.conv(value, width, 1, has_bias=False)))
    shape = (1, width, columns)
    flat = net.node("Flatten", small, shape=(width, columns), axis=2)
    flat = net.node("Reshape", small, net.integers(1, width, columns), shape=shape)
    tokens = net.node("Transpose", flat, shape=(1, columns, width), perm=[0, 2, 1])
    tokens = net.node("Add", tokens, _attended(net, tokens))
    hidden = _linear(net, _layer_normalized(net, tokens), 2 * width)
    tokens = net.node("Add", tokens, _linear(net, _silu(net, hidden), width))
    back = net.node("Reshape", _layer_normalized(net, tokens), net.integers(0, 1, columns, width),
                    shape=(1, 1, columns, width))  # fmt: skip
    back = net.node("Transpose", back, shape=(1, width, 1, columns), perm=[0, 3, 1, 2])
    back = _silu(net, net.normalized(net.conv(back, depth, 1, has_bias=False)))
    joined = net.concat(value, back)
    joined = _silu(net, net.normalized(net.conv(joined, width, 3, has_bias=False)))
    return _silu(net, net.normalized(net.conv(joined, width, 1, has_bias=False)))


def _attended(net: Network, tokens: str) -> str:
    """Attention of 4 heads, the three projections in one product."""
    _, count, width = net.shapes[tokens]
    heads, size = 4, width // 4
    mixed = _linear(net, _layer_normalized(net, tokens), 3 * width)
    split = net.node("Reshape", mixed, net.integers(0, count, 3, heads, size),
                     shape=(1, count, 3, heads, size))  # fmt: skip
    turned = net.node("Transpose", split, shape=(3, 1, heads, count, size), perm=[2, 0, 3, 1, 4])
    query, key, given = (
        net.node("Squeeze", net.node("Slice", turned, net.integers(at), net.integers(at + 1),
                 net.integers(0)), net.integers(0), shape=(1, heads, count, size))
        for at in range(3)
    )  # fmt: skip
    query = net.node("Mul", query, net.number(size**-0.5))
    turned_key = net.node("Transpose", key, shape=(1, heads, size, count), perm=[0, 1, 3, 2])
    scores = net.node("MatMul", query, turned_key, shape=(1, heads, count, count))
    result = net.node("MatMul", net.node("Softmax", scores, axis=-1), given,
                      shape=(1, heads, count, size))  # fmt: skip
    turned = net.node("Transpose", result, shape=(1, count, heads, size), perm=[0, 2, 1, 3])
    flat = net.node("Reshape", turned, net.integers(0, count, width), shape=(1, count, width))
    return _linear(net, flat, width)


def _layer_normalized(net: Network, value: str) -> str:
    """In single operators, as paddle2onnx below opset 17."""
    shape = net.shapes[value]
    mean = net.node("ReduceMean", value, axes=[-1], shape=(*shape[:-1], 1))
    centered = net.node("Sub", value, mean)
    square = net.node("Pow", centered, net.number(2))
    variance = net.node("ReduceMean", square, axes=[-1], shape=(*shape[:-1], 1))
    deviation = net.node("Sqrt", net.node("Add", variance, net.number(1e-6)))
    scaled = net.node("Div", centered, deviation, shape=shape)
    gain = net.random.uniform(0.5, 1.5, shape[-1]).astype(np.float32)
    offset = net.random.normal(0, 0.1, shape[-1]).astype(np.float32)
    return net.node("Add", net.node("Mul", scaled, net.constant(gain)), net.constant(offset))


def _linear(net: Network, value: str, channels: int) -> str:
    depth = net.shapes[value][-1]
    weight = net.random.normal(0, np.sqrt(1 / depth), (depth, channels)).astype(np.float32)
    bias = net.random.normal(0, 0.1, channels).astype(np.float32)
    shape = (*net.shapes[value][:-1], channels)
    product = net.node("MatMul", value, net.constant(weight), shape=shape)
    return net.node("Add", product, net.constant(bias))


def _silu(net: Network, value: str) -> str:
    return net.node("Mul", value, net.node("Sigmoid", value))
