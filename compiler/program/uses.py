"""Who used the words of each memory last: what waits are derived from, and proved by.

Per engine and word, the number of the last of the engine's instructions that wrote it, and of the
last that touched it at all; 0: none. What came before the last write is forgotten: whoever is
behind that is behind all that it waited for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np

from tilewright.hw.spec.access import Access, Pairs
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Addresses, Space, num_words

Counts = list[int]
"""A number of instructions of each engine; never changed."""

NOTHING: Counts = [0] * len(Engine)


def latest(some: Counts, others: Counts) -> Counts:
    """Return the later one of each engine's."""
    if some is others:
        return some
    a, b, c, d, e = some
    v, w, x, y, z = others
    return [
        a if a > v else v,
        b if b > w else w,
        c if c > x else x,
        d if d > y else y,
        e if e > z else z,
    ]


def is_behind(some: Counts, others: Counts) -> bool:
    """Tell whether none of them is later than the other one of its engine."""
    a, b, c, d, e = some
    v, w, x, y, z = others
    return a <= v and b <= w and c <= x and d <= y and e <= z


Place = tuple[Space, Pairs, Addresses | None]
"""Words of a memory in intervals; if these are many, their bounds and the words one by one."""

MATRIX: Final = Engine.MATRIX
ACCUMULATOR: Final = Space.ACCUMULATOR
DRAM: Final = Space.DRAM
"""Native code has what is final at hand."""

MAX_PAIRS = 32
"""More intervals than that are looked up word by word."""


class Uses:
    """The last uses of every memory, of DRAM those of its first `dram_bytes`, in granules."""

    def __init__(self, config: Config, *, dram_bytes: int, granule: int) -> None:
        self._granule, self._dram_words = granule, -(-dram_bytes // granule)
        self._dram_bytes = self._dram_words * granule
        self._cells = [
            _Cells(self._dram_words if space == Space.DRAM else num_words(space, config))
            for space in Space
        ]
        """By memory."""

    def places(self, touched: Sequence[Access]) -> list[Place]:
        """Return where accesses lie; a granule of DRAM that is touched in part counts whole."""
        places: list[Place] = []
        for access in touched:
            space, run = access.space, access.run
            if space is DRAM:
                if access.bounds[0] < self._dram_bytes:
                    places.append((space, self._granules(access.pairs), None))
            elif run is not None:
                places.append((space, (run,), None))
            elif access.num_pairs > MAX_PAIRS:
                places.append((space, (access.bounds,), access.addresses))
            else:
                places.append((space, access.pairs, None))
        return places

    def _granules(self, pairs: Pairs) -> Pairs:
        """Return what of some intervals lies in front of `dram_bytes`, in granules."""
        size, found = self._granule, [(0, 0)]
        for first, behind in pairs:
            start, end = first // size, min(-(-behind // size), self._dram_words)
            if start < end and start <= found[-1][1]:
                found[-1] = found[-1][0], end
            elif start < end:
                found.append((start, end))
        return found if found[0][1] else found[1:]

    def needed(self, engine: Engine, reads: Sequence[Place], writes: Sequence[Place]) -> Counts:
        """Return the instructions behind which an engine may read and write those words."""
        needed = NOTHING
        for place in reads:
            needed = latest(needed, self.before_read(engine, place))
        for place in writes:
            needed = latest(needed, self.before_write(engine, place))
        return needed

    def before_read(self, engine: Engine, place: Place) -> Counts:
        """Return the instructions behind which an engine may read words.

        Additions to accumulators are the array's own affair.
        """
        space, pairs, words = place
        cells = self._cells[space]
        last = cells.last(cells.written, pairs, words)
        is_sum = engine is MATRIX and space is ACCUMULATOR
        return _without(engine, last) if is_sum else last

    def before_write(self, engine: Engine, place: Place) -> Counts:
        """Return the instructions behind which an engine may write words: others' alone."""
        space, pairs, words = place
        cells = self._cells[space]
        last = cells.last(cells.touched, pairs, words)
        if cells.has_single_reads:
            last = cells.with_single_reads(last, pairs, words)
        return _without(engine, last)

    def unwritten(self, place: Place) -> int | None:
        """Return the first of some words that nobody has written; None: all are written."""
        space, pairs, words = place
        return self._cells[space].unwritten(pairs, words)

    def note(
        self, engine: Engine, number: int, reads: Sequence[Place], writes: Sequence[Place]
    ) -> None:
        """Note what the engine's instruction of that number reads and writes."""
        for space, pairs, words in reads:
            if words is None:
                self._cells[space].read(engine, number, pairs)
            else:
                self._cells[space].read_singly(engine, number, words)
        for space, pairs, words in writes:
            self._cells[space].write(engine, number, pairs if words is None else _runs(words))


def _runs(words: Addresses) -> Pairs:
    """Return ascending words as intervals."""
    last = np.append(np.flatnonzero(np.diff(words) > 1), words.size - 1)
    first = np.append(0, last[:-1] + 1)
    return list(zip(words[first].tolist(), (words[last] + 1).tolist(), strict=True))


def _without(engine: Engine, counts: Counts) -> Counts:
    if not counts[engine]:
        return counts
    other = counts.copy()
    other[engine] = 0
    return other


class _Cells:
    """A memory in cells of words that were used alike: cell n begins at `starts[n]`."""

    def __init__(self, words: int) -> None:
        self._words = words
        self.starts = [0]
        self.written, self.touched = [NOTHING], [NOTHING]
        self.has_single_reads = False
        self._singly = np.zeros((len(Engine), 0), np.int32)
        """By engine and word, the last reads that are noted by word; no words while none is."""
        self._singly_from, self._singly_to = words, 0

    def last(self, uses: list[Counts], pairs: Pairs, words: Addresses | None) -> Counts:
        """Return the last of the uses of any of some words."""
        starts = self.starts
        if words is None and len(pairs) == 1:
            start, end = pairs[0]
            behind = bisect_right(starts, start)
            last = uses[behind - 1]
            for cell in range(behind, bisect_left(starts, end, behind)):
                last = latest(last, uses[cell])
            return last
        last = NOTHING
        for cell in self._meeting(pairs, words):
            last = latest(last, uses[cell])
        return last

    def _meeting(self, pairs: Pairs, words: Addresses | None) -> list[int]:
        """Return the cells that have any of some words."""
        starts = self.starts
        found: list[int] = []
        for start, end in pairs:
            first = bisect_right(starts, start) - 1
            found += range(first, bisect_left(starts, end, first + 1))
        if words is None or len(found) == 1:
            return found
        borders = np.array([*starts[found[0] : found[-1] + 1], pairs[0][1]])
        held = np.diff(words.searchsorted(borders))
        return [cell for cell, count in zip(found, held.tolist(), strict=True) if count]

    def with_single_reads(self, last: Counts, pairs: Pairs, words: Addresses | None) -> Counts:
        """Return the last uses, those included that are noted by word."""
        for start, end in pairs:
            if start < self._singly_to and end > self._singly_from:
                read = self._singly[:, start:end] if words is None else self._singly[:, words]
                last = latest(last, np.maximum.reduce(read, axis=1).tolist())
        return last

    def unwritten(self, pairs: Pairs, words: Addresses | None) -> int | None:
        """Return the first of some words that nobody has written."""
        for cell in self._meeting(pairs, words):
            if self.written[cell] is NOTHING:
                start = self.starts[cell]
                if words is not None:
                    return int(words[words.searchsorted(start)])
                return max(start, next(first for first, end in pairs if end > start))
        return None

    def read(self, engine: Engine, number: int, pairs: Pairs) -> None:
        """Note a read of intervals."""
        for start, end in pairs:
            first = self._border(start)
            for cell in range(first, self._border(end, first)):
                touched = self.touched[cell].copy()
                touched[engine] = number
                self.touched[cell] = touched

    def read_singly(self, engine: Engine, number: int, words: Addresses) -> None:
        """Note a read of scattered words, which would make too many cells."""
        if not self.has_single_reads:
            self._singly = np.zeros((len(Engine), self._words), np.int32)
            self.has_single_reads = True
        self._singly[engine, words] = number
        self._singly_from = min(self._singly_from, int(words[0]))
        self._singly_to = max(self._singly_to, int(words[-1]) + 1)

    def write(self, engine: Engine, number: int, pairs: Pairs) -> None:
        """Note a write of intervals."""
        use = NOTHING.copy()
        use[engine] = number
        for start, end in pairs:
            first = self._border(start)
            behind = self._border(end, first)
            if behind > first + 1:
                del self.starts[first + 1 : behind]
                del self.written[first + 1 : behind]
                del self.touched[first + 1 : behind]
            self.written[first] = self.touched[first] = use

    def _border(self, word: int, at_least: int = 0) -> int:
        """Return the number of the cell that begins at a word, which it does from now on."""
        starts = self.starts
        cell = bisect_left(starts, word, at_least)
        if word < self._words and (cell == len(starts) or starts[cell] != word):
            starts.insert(cell, word)
            self.written.insert(cell, self.written[cell - 1])
            self.touched.insert(cell, self.touched[cell - 1])
        return cell
