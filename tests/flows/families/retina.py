"""RetinaFace with a MobileNet of a quarter of the width, LeakyRelu throughout."""

from network import Network
from onnx import ModelProto

SLOPE = 26 / 256
"""LeakyRelu as Vitis AI's quantizer writes it."""


def retina_face(size: int = 64) -> ModelProto:
    net = Network("retina_face")
    value = _leaky(net, net.conv(net.input((1, 3, size, size)), 8, 3, 2))
    levels = []
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)):
        value = _leaky(
            net, net.conv(value, net.channels(value), 3, stride, groups=net.channels(value))
        )
        value = _leaky(net, net.conv(value, channels, 1))
        levels.append(value)
    fine, middle, deep = (_leaky(net, net.conv(levels[at], 32, 1)) for at in (2, 4, 5))
    middle = _leaky(net, net.conv(net.node("Add", middle, net.resized_like(deep, middle)), 32))
    fine = _leaky(net, net.conv(net.node("Add", fine, net.resized_like(middle, fine)), 32))
    features = [_context(net, level) for level in (fine, middle, deep)]
    boxes = _joined(net, [_head(net, feature, 4) for feature in features])
    scores = net.node("Softmax", _joined(net, [_head(net, f, 2) for f in features]), axis=-1)
    landmarks = _joined(net, [_head(net, feature, 10) for feature in features])
    return net.model(boxes, scores, landmarks)


def _leaky(net: Network, value: str) -> str:
    return net.node("LeakyRelu", value, alpha=SLOPE)


def _context(net: Network, level: str) -> str:
    """SSH: receptive fields of 3, 5 and 7, joined."""
    first = net.conv(level, 16)
    start = _leaky(net, net.conv(level, 8))
    second = net.conv(start, 8)
    third = net.conv(_leaky(net, net.conv(start, 8)), 8)
    return net.node("Relu", net.concat(first, second, third))


def _head(net: Network, feature: str, width: int) -> str:
    """Two anchors a pixel: [1, 2 * H * W, width]."""
    value = net.conv(feature, 2 * width, 1)
    _, depth, height, columns = net.shapes[value]
    turned = net.node("Transpose", value, shape=(1, height, columns, depth), perm=[0, 2, 3, 1])
    batch = net.size_of(turned, 0)
    target = net.node("Concat", batch, net.integers(-1, width), axis=0)
    return net.node("Reshape", turned, target, shape=(1, 2 * height * columns, width))


def _joined(net: Network, heads: list[str]) -> str:
    shape = (1, sum(net.shapes[head][1] for head in heads), net.shapes[heads[0]][2])
    return net.node("Concat", *heads, shape=shape, axis=1)
