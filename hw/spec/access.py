"""The words that an instruction reads and writes, as sorted disjoint intervals of each memory.

Derived from its walks (`hw.spec.loops`). Units: SRAM words; DRAM bytes, a word counting with its
whole pitch. Accesses out of range are dropped, as the hardware does, and reported.
"""

from collections.abc import Iterable
from functools import cached_property, lru_cache
from operator import itemgetter

import numpy as np

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction, Work
from tilewright.hw.spec.loops import (
    DRAM_MODULUS,
    NOTHING,
    SRAM_MODULUS,
    Addresses,
    Axis,
    Loop,
    Space,
    Walk,
    Walks,
    num_words,
)
from tilewright.support.records import record

Words = slice | Addresses

_MAX_SLICES = 4
"""More intervals than that are looked up word by word."""


@record(frozen=True, kw_only=True, eq=False)
class Access:
    """Half-open intervals [starts[i], ends[i]) of one memory: sorted, disjoint, not adjacent."""

    space: Space
    starts: Addresses
    ends: Addresses

    @property
    def addresses(self) -> Addresses:
        """Every address, ascending (expands the intervals)."""
        lengths = self.ends - self.starts
        offsets = np.repeat(self.starts - np.cumsum(lengths) + lengths, lengths)
        return offsets + np.arange(int(lengths.sum()), dtype=np.int64)

    @cached_property
    def words(self) -> tuple[Words, ...]:
        """What to index an array of the memory's words with, to meet each of its words once."""
        if self.starts.size > _MAX_SLICES:
            return (self.addresses,)
        pairs = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return tuple(slice(start, end) for start, end in pairs)

    @property
    def num_words(self) -> int:
        """Its addresses, counted."""
        if self.starts.size == 1:
            return int(self.ends[0] - self.starts[0])
        return int((self.ends - self.starts).sum())

    def overlaps(self, other: "Access") -> bool:
        """Tell whether the two have an address of the same memory in common."""
        if self.space != other.space or not self.starts.size or not other.starts.size:
            return False
        if self.starts[0] >= other.ends[-1] or other.starts[0] >= self.ends[-1]:
            return False
        following = np.searchsorted(self.ends, other.starts, side="right")
        inside = following < self.starts.size
        return bool((self.starts[following[inside]] < other.ends[inside]).any())


@record(frozen=True, kw_only=True, eq=False)
class Accesses:
    """Everything one instruction touches, at most one Access a memory and direction.

    Accumulators count as read only where an instruction adds to what they held before it.
    """

    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    out_of_range: bool = False
    """The hardware raises SRAM_RANGE."""
    walks: Walks = NOTHING
    """What they derive from."""

    def conflicts(self, later: "Accesses") -> bool:
        """Tell whether a later instruction must be ordered behind this one."""
        return (
            any(write.overlaps(other) for write in self.writes for other in later.reads)
            or any(write.overlaps(other) for write in self.writes for other in later.writes)
            or any(read.overlaps(other) for read in self.reads for other in later.writes)
        )


Dimension = tuple[int, int]
"""(count, stride) of one loop."""

Starts = int | Addresses
"""Where intervals of one length start; a number where there is one interval."""


def affine(base: Starts, run: int, dimensions: list[Dimension]) -> tuple[Starts, int]:
    """Return (starts, length) whose intervals cover base + every loop's steps + [0, run).

    Loops whose step does not pass the run are folded into it, so dense regions are one interval.
    """
    for count, stride in sorted(dimensions, key=itemgetter(1)):
        if count == 1:
            continue
        if stride <= run:
            run += stride * (count - 1)
        else:
            base = _spread(base, np.arange(count, dtype=np.int64) * stride)
    return base, run


def _spread(starts: Starts, steps: Addresses) -> Addresses:
    """Return every sum of a start and a step."""
    if isinstance(starts, int):
        return starts + steps
    return (starts[:, None] + steps).reshape(-1)


def merge(starts: Addresses, ends: Addresses) -> tuple[Addresses, Addresses]:
    """Return the union of intervals, sorted, disjoint and not adjacent."""
    if starts.size > 1:
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        first = np.concatenate(([True], starts[1:] > ends[:-1]))
        starts, ends = starts[first], ends[np.concatenate((first[1:], [True]))]
    return starts, ends


class _Collector:
    """Gathers intervals per memory, wraps them at the modulus and clips them at the size."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.out_of_range = False
        self.single: list[tuple[Space, int, int]] = []
        """Memory, start and end of walks that have one interval."""
        self.many: dict[Space, list[tuple[Addresses, Addresses]]] = {}

    def add(self, walk: Walk) -> None:
        """Add the words of a walk; SRAM addresses wrap at 2^20, a ring's runs at its size."""
        starts, length = intervals(walk)
        if not length:
            return
        space = walk.space
        modulus = DRAM_MODULUS if space == Space.DRAM else SRAM_MODULUS
        limit = modulus if space == Space.DRAM else num_words(space, self.config)
        if isinstance(starts, int) and starts >= 0 and starts + length <= limit:
            self.single.append((space, starts, starts + length))
            return
        found = np.atleast_1d(np.asarray(starts, np.int64))
        if walk.is_ring:
            found = found % modulus
            inside = found < limit
            if not inside.all():
                self.out_of_range = True
                found = found[inside]
            modulus = limit
        first, ends = _wrap(found, length, modulus)
        if limit < modulus and ends.size and int(ends.max()) > limit:
            self.out_of_range = True
            inside = first < limit
            first, ends = first[inside], np.minimum(ends[inside], limit)
        self.many.setdefault(space, []).append((first, ends))

    def result(self) -> tuple[Access, ...]:
        """Return the accesses, one a memory."""
        found = _joined(self.single)
        for space, parts in self.many.items():
            if space in found:
                parts = [(found[space].starts, found[space].ends), *parts]
            starts, ends = merge(*(np.concatenate(side) for side in zip(*parts, strict=True)))
            found[space] = Access(space=space, starts=starts, ends=ends)
        return tuple(found[space] for space in sorted(found) if found[space].starts.size)


def _joined(single: list[tuple[Space, int, int]]) -> dict[Space, Access]:
    """Return the union of a few intervals of each memory, as `merge` does."""
    runs: dict[Space, tuple[list[int], list[int]]] = {}
    for space, start, end in sorted(single):
        starts, ends = runs.setdefault(space, ([], []))
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return {
        space: Access(space=space, starts=np.array(starts, np.int64), ends=np.array(ends, np.int64))
        for space, (starts, ends) in runs.items()
    }


def _wrap(starts: Addresses, length: int, modulus: int) -> tuple[Addresses, Addresses]:
    """Reduce intervals modulo `modulus`; those that cross it are cut in two."""
    if length >= modulus and starts.size:
        return np.zeros(1, np.int64), np.full(1, modulus, np.int64)
    starts = starts % modulus
    ends = starts + length
    crossing = ends > modulus
    if crossing.any():
        wrapped = ends[crossing] - modulus
        starts = np.concatenate((starts, np.zeros(wrapped.size, np.int64)))
        ends = np.concatenate((np.minimum(ends, modulus), wrapped))
    return starts, ends


def accesses(instruction: Instruction, config: Config) -> Accesses:
    """Return the words an instruction reads and writes (its own fetch from DRAM not included)."""
    return _accesses(instruction.work, config)


@lru_cache(maxsize=1 << 15)
def _accesses(work: Work, config: Config) -> Accesses:
    if work.instruction.is_empty:
        return Accesses()
    walks = work.instruction.walks(config)
    if walks.has_bad_group:
        return Accesses(out_of_range=True)
    reads, reads_outside = _collect(walks.reads, config)
    writes, writes_outside = _collect(walks.writes, config)
    return Accesses(
        reads=reads,
        writes=writes,
        out_of_range=reads_outside or writes_outside,
        walks=walks,
    )


def _collect(walks: Iterable[Walk], config: Config) -> tuple[tuple[Access, ...], bool]:
    """Return the accesses of some walks, and whether one leaves its memory."""
    collector = _Collector(config)
    for walk in walks:
        collector.add(walk)
    return collector.result(), collector.out_of_range


def intervals(walk: Walk) -> tuple[Starts, int]:
    """Return (starts, length): the words of a walk before they wrap, some of them more than once.

    Addresses may be negative or pass the memory's size.
    """
    base: Starts = walk.base
    run, dimensions = walk.run, []
    for loop in walk.loops:
        if loop.along is None and loop.moves > 1:
            base += min(loop.stride, 0) * (loop.moves - 1)
            dimensions.append((loop.moves, abs(loop.stride)))
    if walk.is_ring:
        return affine(base, 0, dimensions)[0], run
    for axis in walk.window:
        positions, length = axis_positions(axis, walk.loops)
        if isinstance(positions, int):
            base = base + positions * axis.pitch
        else:
            base = _spread(base, positions * axis.pitch)
        if not length:
            return 0, 0
        if axis.pitch == 1 and run == 1:
            run = length
        else:
            dimensions.append((length, axis.pitch))
    return affine(base, run, dimensions)


def axis_positions(axis: Axis, loops: tuple[Loop, ...]) -> tuple[Starts, int]:
    """Return (starts, length): the coordinates in [0, size) that the loops along an axis visit.

    One run when they are contiguous, else one start a coordinate; length 0 where there is none.
    """
    along = [(loop.count, loop.stride) for loop in loops if loop.along == axis.name]
    starts, length = affine(axis.origin, 1, along)
    if isinstance(starts, int):
        first, end = max(starts, 0), min(starts + length, axis.size)
        return first, max(end - first, 0)
    positions = (starts[:, None] + np.arange(length)).reshape(-1)
    positions = np.unique(positions[(positions >= 0) & (positions < axis.size)])
    return positions, int(positions.size > 0)
