"""ConvTranspose as a convolution whose channels are the phases of the stride.

Output pixel q * s + r is the sum over the taps k of input pixel q + t, with t = (r + p - k * d) / s
where that is an integer: for each phase r a convolution of stride 1. All phases are output channels
of one; the result's index puts their pixels in between each other (ONNX ConvTranspose).
"""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Context, Values, optional
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.linear import with_bias
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation
from tilewright.compiler.frontend.values import Linear, Real, UnsupportedError, Value
from tilewright.compiler.frontend.weights import Weights, channel_weights
from tilewright.compiler.frontend.window import spatial_index
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Axis:
    """One spatial axis of a transposed convolution."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    output: int

    @property
    def taps(self) -> list[tuple[int, int, int]]:
        """(phase, input pixel relative to the output's, kernel position) of every product."""
        found = []
        for phase in range(self.stride):
            for position in range(self.kernel):
                reach = phase + self.before - position * self.dilation
                if reach % self.stride == 0:
                    found.append((phase, reach // self.stride, position))
        return found

    @property
    def first(self) -> int:
        """The first input pixel that output 0 reads."""
        return min(offset for _, offset, _ in self.taps)

    @property
    def reach(self) -> int:
        """Input pixels from the first to the last that an output reads."""
        return max(offset for _, offset, _ in self.taps) - self.first + 1

    @property
    def pixels(self) -> int:
        """Outputs of a phase."""
        return -(-self.output // self.stride)

    @property
    def pads(self) -> tuple[int, int]:
        """Of the convolution, before and behind the input."""
        return -self.first, max(self.first + self.reach - 1 + self.pixels - self.size, 0)


@handles(
    Entry(
        operators=("ConvTranspose",),
        runs="convolution whose channels are the phases of the stride; a resampling puts their "
        "pixels in between each other",
        conditions="1-D or 2-D; any kernel, stride, padding, output_padding, dilation, group "
        "count; auto_pad and output_shape; constant weights and bias",
        cost="the array and the drain, stride_y x stride_x times the output channels over the "
        "input's pixels; a pass",
    )
)
def convolve_transposed(context: Context, node: Operator, values: Values) -> list[Value]:
    """ConvTranspose: X, W [C, M / groups, ...], B."""
    source = as_activation(context, values[0])
    want = spatial_index(source.index)
    groups = int(node.attribute("group", 1))
    weight, scales = _weights(values[1], groups)
    if weight.ndim != source.index.ndim or weight.shape[0] != want.shape[0]:
        raise UnsupportedError("its weights and its input do not fit")
    weight = weight.reshape(*weight.shape[:2], -1 if weight.ndim == 4 else 1, weight.shape[-1])
    vertical, horizontal = _axes(node, want.shape[1:], weight.shape[2:], source.index.ndim - 2)
    phases = _phases(weight, groups, vertical, horizontal)
    shape = (len(phases), vertical.pixels, horizontal.pixels)
    top, bottom = vertical.pads
    left, right = horizontal.pads
    num_phases = vertical.stride * horizontal.stride
    producer = Linear(
        source=source,
        feature_map=context.builder.as_map(source, want[:, max(-top, 0) :, max(-left, 0) :]),
        weight=phases,
        weight_scale=np.tile(scales.reshape(groups, 1, -1), (1, num_phases, 1)).reshape(-1),
        bias=np.zeros(len(phases)),
        pads=(max(top, 0), max(left, 0), bottom, right),
        groups=groups,
        shape=shape,
    )
    index = _index(producer.shape, groups, vertical, horizontal)
    if source.index.ndim == 3:
        index = index[:, :, 0]
    real = Real(producer=producer, index=index, names=(node.name,))
    return [with_bias(real, optional(values, 2), (1, -1, *([1] * (index.ndim - 2))))]


def _weights(value: Value | None, groups: int) -> Weights:
    """Weights [C, M / groups, ...] and the scale of each of M output channels."""
    try:
        weight, scales = channel_weights(value, 1)
    except UnsupportedError:
        weight, scales = channel_weights(value, 0)
        if weight.shape[:2] != (groups, 1):
            raise
        return weight, scales
    return weight, np.tile(scales, groups)


def _axes(
    node: Operator, size: tuple[int, ...], kernel: tuple[int, ...], rank: int
) -> tuple[Axis, Axis]:
    """The vertical and the horizontal axis; of one dimension the vertical one has one pixel."""

    def pair(name: str, default: int) -> list[int]:
        given = list(node.attribute(name, [default] * rank))
        return [default] * (2 - rank) + [int(number) for number in given]

    strides, dilations, extra = pair("strides", 1), pair("dilations", 1), pair("output_padding", 0)
    pads = [int(number) for number in node.attribute("pads", [0] * (2 * rank))]
    before, after = [0] * (2 - rank) + pads[:rank], [0] * (2 - rank) + pads[rank:]
    wanted = node.attribute("output_shape", None)
    auto = node.attribute("auto_pad", "NOTSET")
    axes = []
    for axis in (0, 1):
        stride, reach = strides[axis], (kernel[axis] - 1) * dilations[axis] + 1
        full = stride * (size[axis] - 1) + extra[axis] + reach
        output = full - before[axis] - after[axis]
        start = before[axis]
        if auto.startswith("SAME") or wanted:
            output = size[axis] * stride
            if wanted and axis >= 2 - rank:
                output = int(wanted[axis - 2])
            padding = full - output
            if padding < 0:
                raise UnsupportedError("its output_shape is larger than its result without padding")
            start = padding // 2 if auto == "SAME_UPPER" else -(-padding // 2)
        elif auto == "VALID":
            output, start = full, 0
        axes.append(
            Axis(
                size=size[axis],
                kernel=kernel[axis],
                stride=stride,
                dilation=dilations[axis],
                before=start,
                output=output,
            )
        )
    if min(axis.output for axis in axes) < 1:
        raise UnsupportedError("its result has no elements")
    return axes[0], axes[1]


def _phases(
    weight: NDArray[np.int16], groups: int, vertical: Axis, horizontal: Axis
) -> NDArray[np.int16]:
    """Weights [groups * phases * M / groups, C / groups, height, width] of the convolution."""
    inputs, outputs = weight.shape[0] // groups, weight.shape[1]
    grouped = weight.reshape(groups, inputs, outputs, *weight.shape[2:]).swapaxes(1, 2)
    result = np.zeros(
        (groups, vertical.stride, horizontal.stride, outputs, inputs,
         vertical.reach, horizontal.reach), np.int16
    )  # fmt: skip
    for row, down, ky in vertical.taps:
        for column, along, kx in horizontal.taps:
            place = (down - vertical.first, along - horizontal.first)
            result[:, row, column, :, :, place[0], place[1]] = grouped[..., ky, kx]
    return result.reshape(-1, inputs, vertical.reach, horizontal.reach)


def _index(
    shape: tuple[int, ...], groups: int, vertical: Axis, horizontal: Axis
) -> NDArray[np.int64]:
    """Positions in the convolution's map of the result [1, M, height, width]."""
    places = np.arange(int(np.prod(shape))).reshape(
        groups, vertical.stride, horizontal.stride, -1, *shape[1:]
    )
    ordered = places.transpose(0, 3, 4, 1, 5, 2)
    channels = groups * places.shape[3]
    whole = ordered.reshape(1, channels, shape[1] * vertical.stride, shape[2] * horizontal.stride)
    return whole[:, :, : vertical.output, : horizontal.output]
