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
    if v <= a and w <= b and x <= c and y <= d and z <= e:
        return some
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


class Place:
    """Words of a memory: all in [first, behind), those of them in the intervals `pairs`, or `words`
    one by one.
    """

    __slots__ = ("behind", "first", "pairs", "part", "space", "words")

    def __init__(
        self,
        space: Space,
        bounds: tuple[int, int],
        pairs: Pairs | None = None,
        words: Addresses | None = None,
        part: int = 0,
    ) -> None:
        self.space, self.pairs, self.words = space, pairs, words
        self.first, self.behind = bounds
        self.part = int(space) + part
        """The space and, of DRAM, which is the last one, its part."""

    @property
    def intervals(self) -> Pairs:
        """The intervals; of words one by one, their bounds."""
        return [(self.first, self.behind)] if self.pairs is None else self.pairs


MATRIX: Final = Engine.MATRIX
ACCUMULATOR: Final = Space.ACCUMULATOR
DRAM: Final = Space.DRAM
"""Native code has what is final at hand."""

PART_GRANULES = 1024
"""DRAM is kept in parts, since it has many cells, whose lists grow in the middle."""

MAX_PAIRS = 32
"""More intervals than that are looked up word by word."""


class Uses:
    """The last uses of every memory, of DRAM those of its first `dram_bytes`, in granules."""

    def __init__(self, config: Config, *, dram_bytes: int, granule: int) -> None:
        self._granule, self._dram_words = granule, -(-dram_bytes // granule)
        self._dram_bytes = self._dram_words * granule
        self._cells: list[_Cells | None] = [
            _Cells(num_words(space, config)) for space in Space if space < DRAM
        ]
        """By memory, then by part of DRAM; None: nobody asked for it."""
        self._cells += [None] * -(-self._dram_words // PART_GRANULES)

    def _cells_of(self, place: Place) -> "_Cells":
        cells = self._cells[place.part]
        if cells is None:
            behind = (place.part - int(DRAM) + 1) * PART_GRANULES
            cells = self._cells[place.part] = _Cells(min(behind, self._dram_words))
        return cells

    def places(self, touched: Sequence[Access]) -> list[Place]:
        """Return where accesses lie; a granule of DRAM that is touched in part counts whole."""
        places: list[Place] = []
        for access in touched:
            space, run = access.space, access.run
            if space is DRAM:
                if access.bounds[0] < self._dram_bytes:
                    places += self._in_dram(access)
            elif run is not None:
                places.append(Place(space, run))
            elif access.num_pairs > MAX_PAIRS:
                places.append(Place(space, access.bounds, None, access.addresses))
            else:
                places.append(Place(space, access.bounds, access.pairs))
        return places

    def _in_dram(self, access: Access) -> list[Place]:
        """Return what of an access lies in front of `dram_bytes`, in granules, part by part."""
        size, parts = self._granule, dict[int, list[tuple[int, int]]]()
        for first, behind in access.pairs:
            start, end = first // size, min(-(-behind // size), self._dram_words)
            while start < end:
                part = start // PART_GRANULES
                border = min(end, (part + 1) * PART_GRANULES)
                found = parts.setdefault(part, [])
                if found and start <= found[-1][1]:
                    found[-1] = found[-1][0], max(border, found[-1][1])
                else:
                    found.append((start, border))
                start = border
        return [
            Place(DRAM, (found[0][0], found[-1][1]), found if len(found) > 1 else None, None, part)
            for part, found in parts.items()
        ]

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
        cells = self._cells_of(place)
        last = cells.last(cells.written, place)
        is_sum = engine is MATRIX and place.space is ACCUMULATOR
        return _without(engine, last) if is_sum else last

    def before_write(self, engine: Engine, place: Place) -> Counts:
        """Return the instructions behind which an engine may write words: others' alone."""
        cells = self._cells_of(place)
        last = cells.last(cells.touched, place)
        if cells.has_single_reads:
            last = cells.with_single_reads(last, place)
        return _without(engine, last)

    def unwritten(self, place: Place) -> int | None:
        """Return the first of some words that nobody has written; None: all are written."""
        return self._cells_of(place).unwritten(place)

    def note(
        self, engine: Engine, number: int, reads: Sequence[Place], writes: Sequence[Place]
    ) -> None:
        """Note what the engine's instruction of that number reads and writes."""
        for place in reads:
            cells = self._cells_of(place)
            if place.words is not None:
                cells.read_singly(engine, number, place.words)
            elif place.pairs is None:
                cells.read(engine, number, place.first, place.behind)
            else:
                for start, end in place.pairs:
                    cells.read(engine, number, start, end)
        for place in writes:
            cells = self._cells_of(place)
            use = NOTHING.copy()
            use[engine] = number
            if place.pairs is None and place.words is None:
                cells.write(use, place.first, place.behind)
                continue
            for start, end in place.intervals if place.words is None else _runs(place.words):
                cells.write(use, start, end)


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

    def last(self, uses: list[Counts], place: Place) -> Counts:
        """Return the last of the uses of any of some words."""
        if place.pairs is not None or place.words is not None:
            last = NOTHING
            for cell in self._meeting(place):
                last = latest(last, uses[cell])
            return last
        starts, end = self.starts, place.behind
        cell = bisect_right(starts, place.first)
        last = uses[cell - 1]
        while cell < len(starts) and starts[cell] < end:
            last = latest(last, uses[cell])
            cell += 1
        return last

    def _meeting(self, place: Place) -> list[int]:
        """Return the cells that have any of some words."""
        starts, words = self.starts, place.words
        found: list[int] = []
        for start, end in place.intervals:
            cell = bisect_right(starts, start)
            found.append(cell - 1)
            while cell < len(starts) and starts[cell] < end:
                found.append(cell)
                cell += 1
        if words is None or len(found) == 1:
            return found
        borders = np.array([*starts[found[0] : found[-1] + 1], place.behind])
        held = np.diff(words.searchsorted(borders))
        return [cell for cell, count in zip(found, held.tolist(), strict=True) if count]

    def with_single_reads(self, last: Counts, place: Place) -> Counts:
        """Return the last uses, those included that are noted by word."""
        if place.first >= self._singly_to or place.behind <= self._singly_from:
            return last
        words = place.words
        for start, end in place.intervals:
            if start < self._singly_to and end > self._singly_from:
                read = self._singly[:, start:end] if words is None else self._singly[:, words]
                last = latest(last, np.maximum.reduce(read, axis=1).tolist())
        return last

    def unwritten(self, place: Place) -> int | None:
        """Return the first of some words that nobody has written."""
        for cell in self._meeting(place):
            if self.written[cell] is NOTHING:
                start, words = self.starts[cell], place.words
                if words is not None:
                    return int(words[words.searchsorted(start)])
                return max(start, next(first for first, end in place.intervals if end > start))
        return None

    def read(self, engine: Engine, number: int, start: int, end: int) -> None:
        """Note a read of an interval."""
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

    def write(self, use: Counts, start: int, end: int) -> None:
        """Note a write of an interval, the only use of its words from now on."""
        first = self._border(start)
        behind = self._border(end, first)
        if behind > first + 1:
            del self.starts[first + 1 : behind]
            del self.written[first + 1 : behind]
            del self.touched[first + 1 : behind]
        self.written[first] = self.touched[first] = use

    def _border(self, word: int, behind: int = -1) -> int:
        """Return the number of the cell that begins at a word, which it does from now on.

        behind: a cell before it; mostly the next one is it.
        """
        starts, cell = self.starts, behind + 1
        if behind < 0 or (cell < len(starts) and starts[cell] < word):
            cell = bisect_left(starts, word, cell)
        if word < self._words and (cell == len(starts) or starts[cell] != word):
            starts.insert(cell, word)
            self.written.insert(cell, self.written[cell - 1])
            self.touched.insert(cell, self.touched[cell - 1])
        return cell
