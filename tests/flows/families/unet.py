"""U-Net with transposed convolutions or with linear upsampling, as PyTorch exports it."""

from network import Network
from onnx import ModelProto


def unet(size: int = 48, width: int = 8, *, linear: bool = False) -> ModelProto:
    """Two levels down and up; the skip connections are padded by sizes read at run time."""
    net = Network("unet_linear" if linear else "unet")
    value = _double(net, net.input((1, 3, size, size)), width)
    skips = [value]
    for depth in (2, 4):
        value = _double(net, net.pool(value, "MaxPool", 2, 2), width * depth)
        skips.append(value)
    for skip in reversed(skips[:-1]):
        channels = net.channels(skip)
        if linear:
            value = net.upsampled(value, mode="linear", coordinate_transformation_mode="half_pixel")
        else:
            value = net.conv_transpose(value, channels)
        value = _double(net, net.concat(skip, _padded_to(net, value, skip)), channels)
    return net.model(net.node("Sigmoid", net.conv(value, 1, 1)))


def _double(net: Network, value: str, channels: int) -> str:
    for _ in range(2):
        value = net.node("Relu", net.normalized(net.conv(value, channels, has_bias=False)))
    return value


def _padded_to(net: Network, value: str, skip: str) -> str:
    """F.pad by half of the difference of the sizes, which is 0 here."""
    zeros = net.integers(0, 0)
    widths = []
    for axis in (2, 3):
        difference = net.node("Sub", net.size_of(skip, axis), net.size_of(value, axis))
        half = net.node("Div", difference, net.integers(2))
        widths.append((half, net.node("Sub", difference, half)))
    before, after = zip(*widths, strict=True)
    pads = net.node("Concat", zeros, *before, zeros, *after, axis=0)
    return net.node("Pad", value, pads, net.number(0), mode="constant")
