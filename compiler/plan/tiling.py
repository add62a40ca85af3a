"""What the tilings of all kinds of layers have in common: buffers, work, estimated cycles."""

from typing import ClassVar, NamedTuple

from tilewright.compiler.plan.rings import Reader, RingNeed
from tilewright.support.records import record

INSTRUCTION_OVERHEAD = 16
"""Cycles the search charges an instruction or a tile, so that it prefers fewer of them."""
ROUND_TRIP = 256
"""Cycles charged for the memory's latency and for waits, each time a ring's place is used."""


class Work(NamedTuple):
    """Cycles that a layer occupies the engines for."""

    matrix: int = 0
    depthwise: int = 0
    load: int = 0
    vector: int = 0
    store: int = 0


@record(frozen=True, kw_only=True)
class Plan:
    """One tiling. Ring sizes are in activation words; a ring of 0 words belongs to no stream."""

    reader: ClassVar[Reader]
    """What reads the input."""
    tile_height: int
    tile_width: int
    copies: int
    """Tiles that each ring has room for (of a convolution's input: see there)."""
    input_ring: int
    operand_ring: int
    output_ring: int
    work: Work
    startup: int
    """Estimate of the cycles in which no engine is at its limit."""
    pace: int = 0
    """Cycles that the layer takes at least because a ring's place is taken from its load to its
    use, or from its computation to the end of its store."""

    @property
    def ring_needs(self) -> tuple[RingNeed, ...]:
        """The rings of input, operand and output."""
        return (
            RingNeed(reader=self.reader, words=self.input_ring),
            RingNeed(reader=Reader.OPERAND, words=self.operand_ring),
            RingNeed(reader=Reader.STORE, words=self.output_ring),
        )

    @property
    def cycles(self) -> int:
        """Estimate: the busiest engine's work and what is not overlapped."""
        return max(self.work) + self.startup


def ring_pace(steps: int, words: int, work: int, copies: int) -> int:
    """Return the least cycles of `steps` steps on a ring with `copies` places of `words` words.

    work: cycles of all steps on their engine.
    """
    return (steps * (words + ROUND_TRIP) + work) // copies if words else 0
