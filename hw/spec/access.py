"""The words that an instruction reads and writes, as sorted disjoint intervals of each memory.

Derived from its walks (`hw.spec.loops`). Units: SRAM words; DRAM bytes, a word counting with its
whole pitch. Accesses out of range are dropped, as the hardware does, and reported.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.intervals import intervals, merge, wrap
from tilewright.hw.spec.isa import Instruction, Shape
from tilewright.hw.spec.loops import (
    DRAM_MODULUS,
    SRAM_MODULUS,
    Addresses,
    Space,
    Walk,
    Walks,
    num_words,
)

Pairs = Sequence[tuple[int, int]]
"""Half-open intervals [start, end)."""

_MAX_FOOTPRINTS = 1 << 14
"""Shapes of instructions that are remembered for a config."""


class _Extent:
    """Intervals, sorted, disjoint and not adjacent, counted from where they are put."""

    __slots__ = ("_addresses", "_pairs", "end", "ends", "num_pairs", "num_words", "start", "starts")

    def __init__(self, starts: Addresses, ends: Addresses) -> None:
        self.starts, self.ends = starts, ends
        self.num_pairs = len(starts)
        self.start, self.end = (int(starts[0]), int(ends[-1])) if self.num_pairs else (0, 0)
        self.num_words = self.end - self.start
        if self.num_pairs > 1:
            self.num_words = int((ends - starts).sum())
        self._pairs: Pairs | None = None
        self._addresses: Addresses | None = None
        """Both are remembered, since instructions of one shape ask for them again."""

    @property
    def pairs(self) -> Pairs:
        """The intervals."""
        if self._pairs is None:
            self._pairs = tuple(zip(self.starts.tolist(), self.ends.tolist(), strict=True))
        return self._pairs

    @property
    def addresses(self) -> Addresses:
        """Every address, ascending."""
        if self._addresses is None:
            lengths = self.ends - self.starts
            offsets = np.repeat(self.starts - np.cumsum(lengths) + lengths, lengths)
            self._addresses = offsets + np.arange(self.num_words, dtype=np.int64)
        return self._addresses


class Access:
    """Half-open intervals [starts[i], ends[i]) of one memory: sorted, disjoint, not adjacent."""

    __slots__ = ("_base", "_extent", "space")

    def __init__(self, space: Space, extent: _Extent, base: int = 0) -> None:
        self.space, self._extent, self._base = space, extent, base

    @classmethod
    def of(cls, space: Space, starts: Addresses, ends: Addresses) -> "Access":
        """Return the access to some intervals."""
        return cls(space, _Extent(starts, ends))

    @property
    def starts(self) -> Addresses:
        """Where the intervals start: SRAM words or DRAM bytes."""
        return self._base + self._extent.starts

    @property
    def ends(self) -> Addresses:
        """Where they end."""
        return self._base + self._extent.ends

    @property
    def pairs(self) -> Pairs:
        """The intervals."""
        base = self._base
        return [(base + start, base + end) for start, end in self._extent.pairs]

    @property
    def bounds(self) -> tuple[int, int]:
        """Start of the first interval and end of the last."""
        return self._base + self._extent.start, self._base + self._extent.end

    @property
    def run(self) -> tuple[int, int] | None:
        """The interval, if there is only one."""
        extent = self._extent
        if extent.num_pairs > 1:
            return None
        return self._base + extent.start, self._base + extent.end

    @property
    def num_pairs(self) -> int:
        """The intervals, counted."""
        return self._extent.num_pairs

    @property
    def addresses(self) -> Addresses:
        """Every address, ascending (expands the intervals)."""
        return self._base + self._extent.addresses

    @property
    def num_words(self) -> int:
        """Its addresses, counted."""
        return self._extent.num_words

    def overlaps(self, other: "Access") -> bool:
        """Tell whether the two have an address of the same memory in common."""
        if self.space != other.space:
            return False
        (start, end), (other_start, other_end) = self.bounds, other.bounds
        if start >= other_end or other_start >= end:
            return False
        if self.num_pairs == other.num_pairs == 1:
            return True
        starts, ends = self.starts, self.ends
        following = np.searchsorted(ends, other.starts, side="right")
        inside = following < starts.size
        return bool((starts[following[inside]] < other.ends[inside]).any())


class Accesses:
    """Everything one instruction touches, at most one Access a memory and direction.

    Accumulators count as read only where an instruction adds to what they held before it.
    out_of_range: the hardware raises SRAM_RANGE; exclusive_words: of the walks that may write no
    word twice, every time counted.
    """

    __slots__ = ("exclusive_words", "out_of_range", "reads", "writes")

    def __init__(
        self,
        reads: tuple[Access, ...] = (),
        writes: tuple[Access, ...] = (),
        *,
        out_of_range: bool = False,
        exclusive_words: int = 0,
    ) -> None:
        self.reads, self.writes = reads, writes
        self.out_of_range, self.exclusive_words = out_of_range, exclusive_words

    def conflicts(self, later: "Accesses") -> bool:
        """Tell whether a later instruction must be ordered behind this one."""
        return (
            any(write.overlaps(other) for write in self.writes for other in later.reads)
            or any(write.overlaps(other) for write in self.writes for other in later.writes)
            or any(read.overlaps(other) for read in self.reads for other in later.writes)
        )


def accesses(instruction: Instruction, config: Config) -> Accesses:
    """Return the words an instruction reads and writes (its own fetch from DRAM not included)."""
    return footprints(config).accesses(instruction)


class _Part:
    """The words of one walk, counted from its base: that field of the instruction, masked.

    limit: the memory's size; last: of a ring, where the run begins that does so farthest behind the
    base.
    """

    __slots__ = ("_base_field", "_extent", "_last", "_limit", "_mask", "space")

    def __init__(self, walk: Walk, limit: int, extent: _Extent, last: int | None) -> None:
        self.space, self._limit, self._extent, self._last = walk.space, limit, extent, last
        self._base_field, self._mask = walk.start.base, -walk.start.alignment

    def at(self, instruction: Instruction) -> Access | None:
        """Return them at an instruction's base; None where that leaves the memory."""
        extent, limit = self._extent, self._limit
        base: int = getattr(instruction, self._base_field) & self._mask
        if base + extent.start >= 0 and base + extent.end <= limit:
            return Access(self.space, extent, base)
        if self._last is None or base + self._last >= limit:
            return None
        if extent.num_pairs == 1 and extent.end < limit:  # the end of one run leaves the ring
            return _around(self.space, base, extent.end, limit)
        return None


_Side = tuple[tuple[_Part, ...], ...]
"""Of each memory the walks in it."""


class _Footprint:
    """What all instructions of a shape touch, counted from their bases."""

    __slots__ = ("exclusive_words", "has_bad_group", "reads", "writes")

    def __init__(
        self, reads: _Side, writes: _Side, exclusive_words: int, *, has_bad_group: bool
    ) -> None:
        self.reads, self.writes = reads, writes
        self.exclusive_words, self.has_bad_group = exclusive_words, has_bad_group


class Footprints:
    """The footprints of a config; an instruction whose words wrap or leave a memory has none."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[Shape, _Footprint] = {}

    def accesses(self, instruction: Instruction) -> Accesses:
        """Return the words an instruction reads and writes."""
        shape = instruction.shape
        footprint = self._known.get(shape)
        if footprint is None:
            if len(self._known) >= _MAX_FOOTPRINTS:
                self._known.clear()
            footprint = self._known[shape] = self._footprint(instruction)
        if footprint.has_bad_group:
            return Accesses(out_of_range=True)
        reads = _moved(footprint.reads, instruction)
        writes = _moved(footprint.writes, instruction)
        if reads is None or writes is None:
            return self._placed(instruction)
        return Accesses(reads, writes, exclusive_words=footprint.exclusive_words)

    def _footprint(self, instruction: Instruction) -> _Footprint:
        if instruction.is_empty:
            return _NO_FOOTPRINT
        walks = instruction.walks(self._config)
        return _Footprint(
            _side(walks.reads, self._config),
            _side(walks.writes, self._config),
            _exclusive(walks),
            has_bad_group=walks.has_bad_group,
        )

    def _placed(self, instruction: Instruction) -> Accesses:
        """Return the accesses of an instruction by itself."""
        walks = instruction.walks(self._config)
        reads, reads_outside = _place(walks.reads, self._config)
        writes, writes_outside = _place(walks.writes, self._config)
        return Accesses(
            reads,
            writes,
            out_of_range=reads_outside or writes_outside,
            exclusive_words=_exclusive(walks),
        )


footprints = lru_cache(maxsize=8)(Footprints)
_NO_FOOTPRINT = _Footprint((), (), 0, has_bad_group=False)


def _exclusive(walks: Walks) -> int:
    return sum(walk.num_words for walk in walks.writes if walk.is_exclusive)


def _side(walks: Iterable[Walk], config: Config) -> _Side:
    parts: dict[Space, list[_Part]] = {}
    for walk in walks:
        starts, length = intervals(walk)
        if not length:
            continue
        last = None
        if isinstance(starts, int):
            start = starts - walk.base
            extent = _Extent(np.array([start]), np.array([start + length]))
            if walk.is_ring:
                last = start
        else:
            found = starts - walk.base
            extent = _Extent(*merge(found, found + length))
            if walk.is_ring:
                last = int(found.max())
        part = _Part(walk, _limit(walk.space, config), extent, last)
        parts.setdefault(walk.space, []).append(part)
    return tuple(tuple(parts[space]) for space in sorted(parts))


def _limit(space: Space, config: Config) -> int:
    """Return the first address behind a memory."""
    return DRAM_MODULUS if space == Space.DRAM else num_words(space, config)


def _moved(side: _Side, instruction: Instruction) -> tuple[Access, ...] | None:
    """Return a footprint at an instruction's bases; None where that leaves a memory."""
    found = []
    for parts in side:
        whole = None
        for part in parts:
            access = part.at(instruction)
            if access is None:
                return None
            whole = access if whole is None else _union(access.space, (whole, access))
        assert whole is not None
        found.append(whole)
    return tuple(found)


def _around(space: Space, first: int, words: int, limit: int) -> Access:
    """Return the access to a run that goes on at the start of its memory."""
    return Access.of(space, np.array([0, first]), np.array([first + words - limit, limit]))


def _union(space: Space, parts: Sequence[Access]) -> Access:
    """Return what any of some accesses to a memory touches."""
    starts = np.concatenate([part.starts for part in parts])
    return Access.of(space, *merge(starts, np.concatenate([part.ends for part in parts])))


def _place(walks: Iterable[Walk], config: Config) -> tuple[tuple[Access, ...], bool]:
    """Return the accesses of some walks, one a memory, and whether one leaves its memory."""
    parts: dict[Space, list[Access]] = {}
    is_outside = False
    for walk in walks:
        starts, length = intervals(walk)
        if not length:
            continue
        found = np.atleast_1d(np.asarray(starts, np.int64))
        first, ends, leaves = _clip(found, length, walk, _limit(walk.space, config))
        parts.setdefault(walk.space, []).append(Access.of(walk.space, *merge(first, ends)))
        is_outside |= leaves
    unions = [_union(space, parts[space]) for space in sorted(parts)]
    return tuple(access for access in unions if access.num_words), is_outside


def _clip(
    starts: Addresses, length: int, walk: Walk, limit: int
) -> tuple[Addresses, Addresses, bool]:
    """Return starts and ends of a walk's intervals that exist, and whether some do not.

    SRAM addresses wrap at 2^20, a ring's runs at its size.
    """
    modulus = DRAM_MODULUS if walk.space == Space.DRAM else SRAM_MODULUS
    is_outside = False
    if walk.is_ring:
        starts = starts % modulus
        inside = starts < limit
        is_outside = not inside.all()
        starts, modulus = starts[inside], limit
    first, ends = wrap(starts, length, modulus)
    if limit < modulus and ends.size and int(ends.max()) > limit:
        is_outside = True
        inside = first < limit
        first, ends = first[inside], np.minimum(ends[inside], limit)
    return first, ends, is_outside
