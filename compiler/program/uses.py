"""Who used the words of each memory last: what waits are derived from, and proved by.

Per engine and word, the number of the last of the engine's instructions that wrote it, and of the
last that touched it at all; 0: none.
"""

from collections.abc import Sequence

import numpy as np

from tilewright.hw.spec.access import Access, Words
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.intervals import merge
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space, num_words

Counts = list[int]
"""A number of instructions of each engine."""

Place = tuple[Space, Words]
"""Words of a memory."""


class Uses:
    """The last uses of every memory, of DRAM those of its first `dram_bytes`, in granules."""

    def __init__(self, config: Config, *, dram_bytes: int, granule: int) -> None:
        self._granule, self._dram_words = granule, -(-dram_bytes // granule)
        self._dram_bytes = self._dram_words * granule
        words = {
            space: self._dram_words if space == Space.DRAM else num_words(space, config)
            for space in Space
        }
        self._written = {s: np.zeros((len(Engine), n), np.int32) for s, n in words.items()}
        self._touched = {s: np.zeros((len(Engine), n), np.int32) for s, n in words.items()}
        self._is_written = {s: np.zeros(n, np.bool_) for s, n in words.items()}

    def places(self, touched: Sequence[Access]) -> list[Place]:
        """Return where accesses lie; a granule of DRAM that is touched in part counts whole."""
        places: list[Place] = []
        for access in touched:
            space = access.space
            if space == Space.DRAM:
                start, end = access.bounds
                if start >= self._dram_bytes:
                    continue
                if len(access.pairs) == 1:
                    places.append((space, self._granules(start, end)))
                    continue
                access = self._in_granules(access)
            places += [(space, words) for words in access.words]
        return places

    def _granules(self, start: int, end: int) -> slice:
        """Return what of an interval lies in front of `dram_bytes`."""
        return slice(start // self._granule, min(-(-end // self._granule), self._dram_words))

    def _in_granules(self, access: Access) -> Access:
        """Return what of an access lies in front of `dram_bytes`."""
        starts, ends = access.starts // self._granule, -(-access.ends // self._granule)
        starts, ends = merge(starts, np.minimum(ends, self._dram_words))
        inside = starts < self._dram_words
        return Access(space=Space.DRAM, starts=starts[inside], ends=ends[inside])

    def needed(self, engine: Engine, reads: Sequence[Place], writes: Sequence[Place]) -> Counts:
        """Return the instructions behind which an engine may read and write those words."""
        needs = [self.before_read(engine, place) for place in reads]
        needs += [self.before_write(engine, place) for place in writes]
        return list(map(max, [0] * len(Engine), *needs))

    def before_read(self, engine: Engine, place: Place) -> Counts:
        """Return the instructions behind which an engine may read words.

        Additions to accumulators are the array's own affair.
        """
        space, words = place
        last: Counts = np.maximum.reduce(self._written[space][:, words], axis=1).tolist()
        if engine == Engine.MATRIX and space == Space.ACCUMULATOR:
            last[engine] = 0
        return last

    def before_write(self, engine: Engine, place: Place) -> Counts:
        """Return the instructions behind which an engine may write words: others' alone."""
        space, words = place
        last: Counts = np.maximum.reduce(self._touched[space][:, words], axis=1).tolist()
        last[engine] = 0
        return last

    def unwritten(self, place: Place) -> int | None:
        """Return the first of some words that nobody has written; None: all are written."""
        space, words = place
        is_written = self._is_written[space][words]
        if is_written.all():
            return None
        found = int(np.argmin(is_written))
        return words.start + found if isinstance(words, slice) else int(words[found])

    def note(
        self, engine: Engine, number: int, reads: Sequence[Place], writes: Sequence[Place]
    ) -> None:
        """Note what the engine's instruction of that number reads and writes."""
        for space, words in reads:
            self._touched[space][engine, words] = number
        for space, words in writes:
            self._written[space][engine, words] = number
            self._touched[space][engine, words] = number
            self._is_written[space][words] = True
