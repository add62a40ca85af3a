"""A speech embedding as tf2onnx writes it: pixels last, LeakyRelu and Max, kernels of one axis."""

from network import Network
from onnx import ModelProto


def audio_embedding(frames: int = 76) -> ModelProto:
    net = Network("audio_embedding", opset=13)
    value = net.input((1, frames, 32, 1), "input_1")
    value = net.node("Transpose", value, shape=(1, 1, frames, 32), perm=[0, 3, 1, 2])
    value = _activated(net, net.conv(value, 24, 3, pads=[1, 0, 1, 0]))
    for channels in (24, 48, 72, 96):
        value = _activated(net, net.conv(value, channels, (1, 3)))
        value = _activated(net, net.conv(value, channels, (3, 1), pads=[0, 0, 0, 0]))
        value = net.pool(value, "MaxPool", 2, 2)
    value = net.conv(value, 96, (net.shapes[value][2], 1), pads=[0, 0, 0, 0])
    return net.model(net.node("Transpose", value, perm=[0, 2, 3, 1]))


def _activated(net: Network, value: str) -> str:
    leaky = net.node("LeakyRelu", value, alpha=0.2)
    return net.node("Max", leaky, net.number(-0.4))
