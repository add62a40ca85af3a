"""What the lowering of a layer has in common: buffers it asks for, and steps of known needs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tilewright.compiler.rings import Ring, RingNeed
from tilewright.compiler.streams import ParameterStream
from tilewright.compiler.tiles import Box
from tilewright.hw.spec.isa import Engine


@dataclass(frozen=True, kw_only=True)
class Need:
    """Pixels of a feature map that a step reads: `box` of the blocks [first, behind last)."""

    name: str
    box: Box
    blocks: tuple[int, int]


Step = tuple[Need, ...]


class Lowering(ABC):
    """Emits one layer's tasks, step by step; built first, then given its buffers, then run."""

    engine: Engine
    """The engine that does the layer's main work."""
    output_name: str
    """The feature map that the layer makes."""
    parameters: ParameterStream
    ring_needs: tuple[RingNeed, ...]

    @abstractmethod
    def bind(self, rings: Sequence[Ring | None]) -> None:
        """Take the rings that `ring_needs` asked for."""

    @abstractmethod
    def steps(self) -> Iterator[Step]:
        """Yield what the next step reads; emit its tasks when resumed."""
