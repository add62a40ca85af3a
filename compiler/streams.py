"""Weights and parameters on their way from DRAM: chunks in the rings, loaded when first needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.context import Context
from tilewright.compiler.tiles import MAX_RUN
from tilewright.hw.spec.isa import Target
from tilewright.hw.spec.layout import pack_weight_tiles
from tilewright.hw.spec.parameters import block_words, pack_words, table_words

Key = tuple[int, int]


@dataclass(kw_only=True)
class WeightStream:
    """Chunks of weight tiles by key; a chunk stays known until `forget`."""

    context: Context
    _dram: dict[Key, tuple[int, int]] = field(default_factory=dict)
    _ring: dict[Key, int] = field(default_factory=dict)

    def define(self, key: Key, tiles: NDArray[np.int8]) -> None:
        """Give a chunk its bytes: int8 [tiles, rows, cols], in the order of the loops."""
        config = self.context.config
        address = self.context.constants.add(pack_weight_tiles(tiles, config))
        self._dram[key] = (address, len(tiles) * config.rows)

    def get(self, key: Key) -> int:
        """Return the chunk's first weight word; emit its load if it is not in the ring."""
        if key not in self._ring:
            address, words = self._dram[key]
            self._ring[key] = first = self.context.tasks.take_weights(words)
            config = self.context.config
            for at in range(0, words, MAX_RUN):
                self.context.tasks.emit(
                    "LOAD",
                    target=Target.WEIGHT,
                    dram_address=address + at * config.weight_pitch,
                    sram_address=(first + at) % config.weight_words,
                    run=min(MAX_RUN, words - at),
                    count0=1,
                    count1=1,
                    count2=1,
                )
        return self._ring[key]

    def forget(self) -> None:
        """The ring may overwrite what was loaded so far."""
        self._ring.clear()


@dataclass(kw_only=True)
class ParameterStream:
    """Parameter blocks (header, groups, table) of one layer, by number.

    They stay in parameter SRAM for the layer when they fit into half of it, with one load;
    otherwise each is loaded when it is used.
    """

    context: Context
    _words: list[NDArray[np.uint8]] = field(default_factory=list)
    _tables: list[int | None] = field(default_factory=list)
    _at: list[int] | None = None
    _address: dict[int, int] = field(default_factory=dict)

    def define(
        self,
        header: Mapping[str, int | float],
        bias: NDArray[np.int32],
        scale: NDArray[np.float32],
        table: NDArray[np.int8] | None = None,
    ) -> int:
        """Add a block for channels (bias, scale) and return its number. Define before any get."""
        config = self.context.config
        block = block_words(header, bias, scale, config)
        self._tables.append(None if table is None else len(block))
        if table is not None:
            block = np.concatenate([block, table_words(table, config)])
        self._words.append(block)
        return len(self._words) - 1

    def get(self, number: int) -> tuple[int, int]:
        """Return (header word, table word or 0) of a block; emit its load if it needs one."""
        total = sum(len(block) for block in self._words)
        if total <= self.context.config.parameter_words // 2:
            if self._at is None:
                self._at = self._load_all()
            first = self._at[number]
        else:
            if number not in self._address:
                self._address[number] = self._constant(self._words[number])
            first = self._load(self._address[number], len(self._words[number]))
        table = self._tables[number]
        return first, 0 if table is None else first + table

    def _load_all(self) -> list[int]:
        everything = np.concatenate(self._words)
        start = self._load(self._constant(everything), len(everything))
        sizes = [len(block) for block in self._words]
        return [start + sum(sizes[:number]) for number in range(len(sizes))]

    def _constant(self, words: NDArray[np.uint8]) -> int:
        return self.context.constants.add(pack_words(words, self.context.config))

    def _load(self, address: int, words: int) -> int:
        tasks = self.context.tasks
        first = tasks.take_parameters(words)
        tasks.emit(
            "LOAD",
            target=Target.PARAMETER,
            dram_address=address,
            sram_address=first,
            run=words,
            count0=1,
            count1=1,
            count2=1,
        )
        return first
