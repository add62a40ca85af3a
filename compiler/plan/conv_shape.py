"""A convolution on the array: its output blocks, the input blocks each one needs, groups."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.hw.spec.config import Config
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class BlockGroup:
    """Consecutive output blocks that one MATRIX instruction can compute.

    Output block `first + i` reads the input blocks from `source + i * step` on, `sources` of them.
    """

    number: int
    first: int
    blocks: int
    source: int
    sources: int
    step: int

    @property
    def reach(self) -> int:
        """Input blocks that the group reads."""
        return (self.blocks - 1) * self.step + self.sources

    @property
    def source_range(self) -> tuple[int, int]:
        return self.source, self.source + self.reach


@record(frozen=True, kw_only=True)
class ConvShape:
    """A convolution's sizes in blocks and pixels, and the input blocks of each output block."""

    config: Config
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    in_blocks: int
    in_height: int
    in_width: int
    out_channels: int
    out_height: int
    out_width: int
    source_ranges: tuple[tuple[int, int], ...]
    """(first input block, input blocks) of each output block."""

    @property
    def out_blocks(self) -> int:
        """Blocks of cols output channels."""
        return len(self.source_ranges)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def out_pixels(self) -> int:
        return self.out_height * self.out_width

    @property
    def result_words(self) -> int:
        """Activation words of the output."""
        return -(-self.out_channels // self.config.rows) * self.out_pixels

    @cached_property
    def weight_tiles(self) -> int:
        return sum(count for _, count in self.source_ranges) * self.taps

    def groups(self, limit: int) -> list[BlockGroup]:
        """Cut the output blocks into groups of one stride that cross no multiple of `limit`."""
        result: list[BlockGroup] = []
        at = 0
        while at < self.out_blocks:
            first, count = self.source_ranges[at]
            step, blocks = 0, 1
            while at + blocks < self.out_blocks and (at + blocks) % limit:
                following, following_count = self.source_ranges[at + blocks]
                difference = following - self.source_ranges[at + blocks - 1][0]
                if following_count != count or (blocks > 1 and difference != step):
                    break
                if difference < 0:
                    break
                step, blocks = difference, blocks + 1
            result.append(
                BlockGroup(
                    number=len(result),
                    first=at,
                    blocks=blocks,
                    source=first,
                    sources=count,
                    step=step,
                )
            )
            at += blocks
        return result


def conv_shape(node: Conv, context: LayerView) -> ConvShape:
    """Return the shape of a convolution for the places of its maps."""
    config = context.config
    source, target = context.map(node.input), context.map(node.output)
    slots = context.place(node.input).slots
    return ConvShape(
        config=config,
        kernel=node.kernel,
        strides=node.strides,
        pads=node.pads,
        dilations=node.dilations,
        in_blocks=context.place(node.input).blocks,
        in_height=source.height,
        in_width=source.width,
        out_channels=target.channels,
        out_height=target.height,
        out_width=target.width,
        source_ranges=_source_ranges(node, slots, target.channels, config),
    )


def _source_ranges(
    node: Conv, slots: NDArray[np.int64], channels: int, config: Config
) -> tuple[tuple[int, int], ...]:
    firsts = range(0, channels, config.cols)
    if node.groups == 1:
        return (_blocks_of(slots, config),) * len(firsts)
    per_group, inputs = node.weight.shape[0] // node.groups, node.weight.shape[1]
    ranges = []
    for first in firsts:
        last = min(first + config.cols, node.weight.shape[0]) - 1
        used = slots[first // per_group * inputs : (last // per_group + 1) * inputs]
        ranges.append(_blocks_of(used, config))
    return tuple(ranges)


def _blocks_of(slots: NDArray[np.int64], config: Config) -> tuple[int, int]:
    """Return (first input block, input blocks) of some channels."""
    low, high = int(slots.min()) // config.rows, int(slots.max()) // config.rows
    return low, high - low + 1


def block_weights(
    node: Conv, slots: NDArray[np.int64], block: int, shape: ConvShape
) -> NDArray[np.int8]:
    """Return the weights of one output block: int8 [input blocks, kh, kw, rows, cols]."""
    config = shape.config
    first_source, sources = shape.source_ranges[block]
    first = block * config.cols
    last = min(first + config.cols, shape.out_channels)
    lanes = np.zeros((sources * config.rows, *node.kernel, config.cols), np.int8)
    inputs = node.weight.shape[1]
    per_group = node.weight.shape[0] // node.groups
    begin = first
    while begin < last:
        group = begin // per_group
        end = min((group + 1) * per_group, last)
        positions = slots[group * inputs : (group + 1) * inputs] - first_source * config.rows
        lanes[positions, :, :, begin - first : end - first] = node.weight[begin:end].transpose(
            1, 2, 3, 0
        )
        begin = end
    return np.ascontiguousarray(
        lanes.reshape(sources, config.rows, *node.kernel, config.cols).transpose(0, 2, 3, 1, 4)
    )
