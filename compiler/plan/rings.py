"""Rings of SRAM words for what is in flight, and their places in the workspace of a chain."""

import enum
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from tilewright.support.records import record


@dataclass(kw_only=True)
class Ring:
    """A ring of words [start, start + words) for tiles in flight."""

    start: int
    words: int
    _next: int = 0

    def take(self, words: int) -> int:
        """Return the first of `words` consecutive words."""
        assert words <= self.words, (words, self.words)
        if self._next + words > self.words:
            self._next = 0
        first = self.start + self._next
        self._next += words
        return first


@dataclass(kw_only=True)
class ChunkRing:
    """A ring whose chunks are remembered by key until a later one overwrites them."""

    start: int
    words: int
    wraps: bool
    """Whether a chunk may continue at the ring's first word."""
    _next: int = 0
    _chunks: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def find(self, key: Hashable) -> int | None:
        """Return the first word of a chunk that is in the ring."""
        return self.start + self._chunks[key][0] if key in self._chunks else None

    def take(self, key: Hashable, words: int) -> int:
        """Return the first of the `words` words that the chunk gets."""
        assert words <= self.words, (words, self.words)
        if not self.wraps and self._next + words > self.words:
            self._next = 0
        first = self._next
        self._chunks = {
            other: (at, size)
            for other, (at, size) in self._chunks.items()
            if (first - at) % self.words >= size and (at - first) % self.words >= words
        }
        self._chunks[key] = (first, words)
        self._next = (first + words) % self.words
        return self.start + first


class Reader(enum.IntEnum):
    """Which port reads a ring (SOURCE and OPERAND: the vector unit's); two in a bank meet."""

    MATRIX = 0
    DEPTHWISE = 1
    SOURCE = 2
    OPERAND = 3
    STORE = 4


@record(frozen=True, kw_only=True)
class RingNeed:
    """A ring that a layer wants: its words (0: none) and the engine that reads it."""

    reader: Reader
    words: int


def lay_out_rings(
    needs: Sequence[RingNeed], workspace: tuple[int, int], bank_words: int
) -> list[Ring | None]:
    """Return a ring for each need in the workspace (first word, words), None for 0 words.

    Rings of different readers have no bank in common where the workspace is large enough.
    """
    start, words = workspace
    for alignment in (bank_words, 1):
        rings: list[Ring | None] = [None] * len(needs)
        at = start
        for reader in Reader:
            members = [n for n, need in enumerate(needs) if need.reader == reader and need.words]
            if members:
                at = -(-at // alignment) * alignment
            for number in members:
                rings[number] = Ring(start=at, words=needs[number].words)
                at += needs[number].words
        if at <= start + words:
            return rings
    raise AssertionError("the plans' rings fit into the workspace")
