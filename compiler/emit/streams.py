"""Weights and parameters on their way from DRAM: chunks in the rings, loaded when first needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.emit.context import Context
from tilewright.compiler.limits import MAX_RUN
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.rings import ChunkRing
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Target
from tilewright.hw.spec.layout import pack_weight_tiles
from tilewright.hw.spec.operations.transfer import Load
from tilewright.hw.spec.parameters import (
    block_words,
    depthwise_words,
    num_block_words,
    pack_words,
    table_words,
)
from tilewright.support.records import record

Key = tuple[int, int]


@lru_cache(maxsize=1 << 10)
def _load_of(target: Target, words: int) -> Load:
    """Return a LOAD of consecutive words, without its bases."""
    return Load(target=target, run=words, count0=1, count1=1, count2=1)


@dataclass(kw_only=True)
class WeightStream:
    """Chunks of one layer's weight tiles by key, loaded when they are not in the ring."""

    context: Context
    layer: int
    _dram: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def define(self, key: Key, num_tiles: int, tiles: Callable[[], NDArray[np.int8]]) -> None:
        """Give a chunk its content: int8 [tiles, rows, cols], in the order of the loops."""
        config = self.context.config
        words = num_tiles * config.rows
        address = self.context.constants.add(
            words * config.weight_pitch, lambda: pack_weight_tiles(tiles(), config)
        )
        self._dram[key] = (address, words)

    def prefetch(self, keys: Sequence[Key]) -> None:
        """Load chunks ahead of their use, in this order, as many as the ring has room for."""
        room = self.context.config.weight_words
        for key in keys:
            room -= self._dram[key][1]
            if room < 0:
                return
            self.get(key)

    def get(self, key: Key) -> int:
        """Return the chunk's first weight word; emit its load if it is not in the ring."""
        tasks, config = self.context.tasks, self.context.config
        first = tasks.weights.find((self.layer, key))
        if first is not None:
            return first
        address, words = self._dram[key]
        first = tasks.weights.take((self.layer, key), words)
        for at in range(0, words, MAX_RUN):
            tasks.emit(
                _load_of(Target.WEIGHT, min(MAX_RUN, words - at)).based(
                    dram_address=address + at * config.weight_pitch,
                    sram_address=(first + at) % config.weight_words,
                )
            )
        return first


class ParameterBlock(NamedTuple):
    """Parameter words of a block's header, table and depthwise weights (0: it has none)."""

    header: int
    table: int
    weights: int


@record(frozen=True, kw_only=True, eq=False)
class _Block:
    """A parameter block among those of its layer, and in it table (0: none) and weights."""

    start: int
    words: int
    table: int
    weights: int
    content: Callable[[], NDArray[np.uint8]]


def _block_content(
    header: Mapping[str, int | float],
    bias: NDArray[np.int32],
    scale: NDArray[np.float32],
    table: NDArray[np.int8] | None,
    weights: Sequence[NDArray[np.int8]],
    config: Config,
) -> NDArray[np.uint8]:
    parts = [block_words(header, bias, scale, config)]
    if table is not None:
        parts.append(table_words(table, config))
    return np.concatenate([*parts, *(depthwise_words(part, config) for part in weights)])


class ParameterStream:
    """Parameter blocks (header, groups, table, depthwise weights) of one layer, by number.

    All are loaded at once when the region that `bind` gives has room; otherwise the region is a
    ring, and each block is loaded when it is used and not there.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.total_words = 0
        """Parameter words of all blocks."""
        self.largest_words = 0
        """Parameter words of the largest block."""
        self._blocks: list[_Block] = []
        self._ring: ChunkRing | None = None
        self._all: int | None = None
        self._address: dict[int, int] = {}

    def define(
        self,
        header: Mapping[str, int | float],
        bias: NDArray[np.int32],
        scale: NDArray[np.float32],
        table: NDArray[np.int8] | None = None,
        weights: Sequence[NDArray[np.int8]] = (),
    ) -> int:
        """Add a block for channels (bias, scale) and return its number. Define before `bind`.

        scale: [channels], or [2, channels] with those of sums below 0 first; weights: depthwise
        ones by instruction, int8 [blocks, kernel rows, kernel columns, rows].
        """
        config = self.context.config
        table_at = num_block_words(scale, config)
        weights_at = table_at + (config.table_words if table is not None else 0)
        block = _Block(
            start=self.total_words,
            words=weights_at + sum(map(len, weights)) * config.depthwise_words,
            table=table_at if table is not None else 0,
            weights=weights_at,
            content=partial(_block_content, header, bias, scale, table, weights, config),
        )
        self._blocks.append(block)
        self.total_words += block.words
        self.largest_words = max(self.largest_words, block.words)
        return len(self._blocks) - 1

    def bind(self, start: int, words: int) -> None:
        """Take the region [start, start + words) of parameter SRAM."""
        self._ring = ChunkRing(start=start, words=words, wraps=False)

    def prefetch(self, number: int) -> None:
        """Load a block ahead of its use, if the region has room for more than the present one."""
        assert self._ring is not None
        if self._ring.words >= min(2 * self.largest_words, self.total_words):
            self.get(number)

    def get(self, number: int) -> ParameterBlock:
        """Return where a block is; emit its load if it needs one."""
        assert self._ring is not None
        block = self._blocks[number]
        if self.total_words <= self._ring.words:
            if self._all is None:
                self._all = self._load(-1, self._blocks)
            first = self._all + block.start
        else:
            found = self._ring.find(number)
            first = self._load(number, [block]) if found is None else found
        return ParameterBlock(
            first, first + block.table if block.table else 0, first + block.weights
        )

    def _load(self, key: int, blocks: Sequence[_Block]) -> int:
        """Emit the load of some blocks, which stay in DRAM once; return where they go."""
        assert self._ring is not None
        words = sum(block.words for block in blocks)
        if key not in self._address:
            config = self.context.config
            self._address[key] = self.context.constants.add(
                words * config.parameter_pitch,
                lambda: pack_words(np.concatenate([block.content() for block in blocks]), config),
            )
        first = self._ring.take(key, words)
        self.context.tasks.emit(
            _load_of(Target.PARAMETER, words).based(
                dram_address=self._address[key], sram_address=first
            )
        )
        return first


def bind_parameters(streams: Sequence[ParameterStream], context: Context) -> None:
    """Give the layers of a chain their regions of parameter SRAM.

    All blocks of all layers where they take at most half of it; otherwise the layers with the most
    get rings. Raises DoesNotFitError when the largest blocks alone do not fit.
    """
    capacity = context.config.parameter_words
    sizes = [stream.total_words for stream in streams]
    if sum(sizes) > capacity // 2:
        least = sum(stream.largest_words for stream in streams)
        if least > capacity:
            raise DoesNotFitError(
                f"the parameter blocks of {len(streams)} layers need {least} words of parameter "
                f"SRAM at least, which has {capacity}; raise parameter_kib"
            )
        room = max(capacity // (1 if len(streams) > 1 else 2) - least, 0)
        order = sorted(range(len(streams)), key=lambda n: sizes[n])
        for place, number in enumerate(order):
            largest = streams[number].largest_words
            share = room // (len(order) - place)
            sizes[number] = min(sizes[number], largest + share)
            room -= sizes[number] - largest
    start = context.tasks.take_parameters(sum(sizes))
    for stream, words in zip(streams, sizes, strict=True):
        stream.bind(start, words)
        start += words
