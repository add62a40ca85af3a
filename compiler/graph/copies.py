"""Convolutions that copy: 64 times the scale 1/64 is exactly 1."""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv, Epilogue
from tilewright.hw.spec.tensor import Tensor

UNIT = 64
"""The weight that stands for 1 at the scale 1/64."""


def copy_channels(
    stored: Tensor, channels: NDArray[np.int64], output: str, groups: int = 1
) -> Conv:
    """Return the 1x1 convolution that makes the map `output` of those channels of `stored`.

    channels: [output channels]; of -1 nothing is read, the value is 0. groups: so many equal parts
    of the output are made of so many parts of `stored`, in order.
    """
    width = stored.channels // groups
    weight = np.zeros((len(channels), width, 1, 1), np.int8)
    places = np.flatnonzero(channels >= 0)
    weight[places, channels[places] % width] = UNIT
    return Conv(
        name=output,
        output=output,
        input=stored.name,
        weight=weight,
        bias=np.zeros(len(channels), np.int32),
        weight_scale=np.full(len(channels), 1 / UNIT, np.float32),
        groups=groups,
        epilogue=Epilogue(quantization=stored.quantization),
    )
