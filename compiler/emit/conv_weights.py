"""The weight tiles of a convolution, made when they are written."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv
from tilewright.compiler.plan.conv_shape import BlockGroup, ConvShape, block_weights
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class KernelPart:
    """Input blocks [first, first + blocks) of a block group and a rectangle of the kernel."""

    first: int
    blocks: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Of the rectangle."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


@dataclass(kw_only=True)
class ConvWeights:
    """What chunks of weights come from; it knows nothing of the layer's lowering, which ends first.

    slots: the channels of the input map's words.
    """

    node: Conv
    slots: NDArray[np.int64]
    shape: ConvShape
    _group: int = -1
    _blocks: list[NDArray[np.int8]] = field(default_factory=list)
    """Of that group, whose parts are written one after the other."""

    def tiles(self, group: BlockGroup, part: KernelPart) -> NDArray[np.int8]:
        """Return the weights of a part of a group: int8 [tiles, rows, cols]."""
        if self._group != group.number:
            numbers = range(group.first, group.first + group.blocks)
            self._blocks = [block_weights(self.node, self.slots, n, self.shape) for n in numbers]
            self._group = group.number
        low = part.first - group.source
        rectangle = slice(low, low + part.blocks), slice(*part.rows), slice(*part.columns)
        tiles = np.stack([block[rectangle] for block in self._blocks])
        return tiles.reshape(-1, self.shape.config.rows, self.shape.config.cols)
