"""ResNet as torchvision has it, small: basic blocks, one with a convolution in its skip a stage."""

from network import Network
from onnx import ModelProto


def resnet(size: int) -> ModelProto:
    """Images [1, 3, size, size]; BatchNormalization is folded, as by an exporter."""
    net = Network("resnet")
    value = net.node("Relu", net.conv(net.input((1, 3, size, size)), 16, 3, 2))
    value = net.pool(value, "MaxPool", 3, 2, 1)
    for stage, channels in enumerate((16, 32, 64)):
        for number in range(2):
            value = block(net, value, channels, stride=1 if stage == 0 or number else 2)
    value = net.node("Flatten", net.pixel_mean(value), shape=(1, 64))
    return net.model(net.dense(value, 10))


def block(net: Network, value: str, channels: int, stride: int) -> str:
    inner = net.node("Relu", net.conv(value, channels, 3, stride))
    inner = net.conv(inner, channels)
    skip = value if stride == 1 else net.conv(value, channels, 1, stride)
    return net.node("Relu", net.node("Add", inner, skip))
