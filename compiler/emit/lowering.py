"""What the lowering of a layer has in common: buffers it asks for, and steps of known needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from tilewright.compiler.emit.streams import ParameterStream
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.rings import Ring, RingNeed
from tilewright.hw.spec.isa import Engine
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Need:
    """Pixels of a feature map that a step reads: `box` of the blocks [first, behind last)."""

    name: str
    box: Box
    blocks: tuple[int, int]


@record(frozen=True, kw_only=True)
class Step:
    """A part of a layer's work that is emitted as a whole."""

    needs: tuple[Need, ...]
    """What it reads, of all feature maps."""
    compute: Callable[[], None]
    """Emits its tasks."""
    load: Callable[[], None] | None = None
    """Emits the loads of its tile, which may come before what earlier steps compute."""
    prefetch: Callable[[], None] | None = None
    """Emits the loads of its weights and parameters, which may come behind the step before."""


class Lowering(ABC):
    """Emits one layer's tasks, step by step; built first, then given its buffers, then run."""

    engine: Engine
    """The engine that does the layer's main work."""
    output_name: str
    """The feature map that the layer makes."""
    tiles_ahead: int
    """How many tiles may be loaded behind the one that is computed."""
    parameters: ParameterStream
    ring_needs: tuple[RingNeed, ...]

    @abstractmethod
    def bind(self, rings: Sequence[Ring | None]) -> None:
        """Take the rings that `ring_needs` asked for."""

    @abstractmethod
    def steps(self) -> Iterator[Step]:
        """Yield the steps in their order."""
