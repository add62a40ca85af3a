"""YOLOv8 as ultralytics exports it: C2f, SPPF, a feature pyramid, heads of distributed boxes."""

import numpy as np
from network import Network
from onnx import ModelProto

BINS = 16
CLASSES = 8


def yolo_v8(size: int = 64, width: int = 8, *, has_decoder: bool = True) -> ModelProto:
    net = Network("yolo_v8")
    value = _silu(net, net.conv(net.input((1, 3, size, size), "images"), width, 3, 2))
    levels = []
    for depth in (2, 4, 8, 16):
        value = _silu(net, net.conv(value, width * depth, 3, 2))
        value = c2f(net, value, width * depth)
        levels.append(value)
    deep = sppf(net, levels[3])
    middle = c2f(net, net.concat(net.upsampled(deep), levels[2]), 8 * width, adds=False)
    fine = c2f(net, net.concat(net.upsampled(middle), levels[1]), 4 * width, adds=False)
    down = _silu(net, net.conv(fine, 4 * width, 3, 2))
    middle = c2f(net, net.concat(down, middle), 8 * width, adds=False)
    down = _silu(net, net.conv(middle, 8 * width, 3, 2))
    deep = c2f(net, net.concat(down, deep), 16 * width, adds=False)
    heads = [_head(net, level, width) for level in (fine, middle, deep)]
    if not has_decoder:
        return net.model(*heads)
    return net.model(_decoded(net, heads, size))


def c2f(net: Network, value: str, channels: int, *, adds: bool = True) -> str:
    """Half of the channels go through a bottleneck, all that was made goes on."""
    half = channels // 2
    value = _silu(net, net.conv(value, channels, 1))
    shape = (1, half, *net.shapes[value][2:])
    first = net.node("Split", value, net.integers(half, half), shape=shape, outputs=2, axis=1)
    second = f"{first}_1"
    inner = _silu(net, net.conv(_silu(net, net.conv(second, half)), half))
    if adds:
        inner = net.node("Add", second, inner)
    return _silu(net, net.conv(net.concat(first, second, inner), channels, 1))


def sppf(net: Network, value: str) -> str:
    channels = net.channels(value)
    pooled = [_silu(net, net.conv(value, channels // 2, 1))]
    for _ in range(3):
        pooled.append(net.pool(pooled[-1], "MaxPool", 5, 1, 2))
    return _silu(net, net.conv(net.concat(*pooled), channels, 1))


def _silu(net: Network, value: str) -> str:
    return net.node("Mul", value, net.node("Sigmoid", value))


def _head(net: Network, level: str, width: int) -> str:
    """Box distributions and class scores [1, 4 * BINS + CLASSES, H * W]."""
    boxes = _silu(net, net.conv(_silu(net, net.conv(level, 4 * BINS)), 4 * BINS))
    scores = _silu(net, net.conv(_silu(net, net.conv(level, 2 * width)), 2 * width))
    both = net.concat(net.conv(boxes, 4 * BINS, 1), net.conv(scores, CLASSES, 1))
    _, depth, height, columns = net.shapes[both]
    shape = (1, depth, height * columns)
    return net.node("Reshape", both, net.integers(1, depth, -1), shape=shape)


def _decoded(net: Network, heads: list[str], size: int) -> str:
    """Boxes as the expected value of a softmax, in pixels, beside the classes' sigmoids."""
    total = sum(net.shapes[head][2] for head in heads)
    joined = net.node("Concat", *heads, shape=(1, 4 * BINS + CLASSES, total), axis=2)
    sizes = net.integers(4 * BINS, CLASSES)
    boxes = net.node("Split", joined, sizes, shape=(1, 4 * BINS, total), outputs=2, axis=1)
    bins = net.node("Reshape", boxes, net.integers(1, 4, BINS, total), shape=(1, 4, BINS, total))
    turned = net.node("Transpose", bins, shape=(1, BINS, 4, total), perm=[0, 2, 1, 3])
    weights = net.constant(np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
    expected = net.node(
        "Conv", net.node("Softmax", turned, axis=1), weights, shape=(1, 1, 4, total),
        kernel_shape=[1, 1],
    )  # fmt: skip
    edges = net.node("Reshape", expected, net.integers(1, 4, total), shape=(1, 4, total))
    near, far = (
        net.node("Slice", edges, net.integers(at), net.integers(at + 2), net.integers(1),
                 shape=(1, 2, total))
        for at in (0, 2)
    )  # fmt: skip
    centers = net.constant(net.random.uniform(0, 8, (1, 2, total)).astype(np.float32))
    near, far = net.node("Sub", centers, near), net.node("Add", centers, far)
    middle = net.node("Div", net.node("Add", near, far), net.number(2))
    extent = net.node("Sub", far, near)
    box = net.node("Concat", middle, extent, shape=(1, 4, total), axis=1)
    strides = net.constant(np.full((1, total), size / 8, np.float32))
    scores = net.node("Sigmoid", f"{boxes}_1")
    return net.node("Concat", net.node("Mul", box, strides), scores, axis=1)
