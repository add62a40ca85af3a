"""What lowering a layer needs: config, graph, places, the task list and the DRAM constants."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.graph.graph import FeatureMap, Graph
from tilewright.compiler.plan.placement import Place, Placement
from tilewright.compiler.plan.tiling import Plan
from tilewright.hw.spec.config import Config
from tilewright.support.errors import ModelError

if TYPE_CHECKING:
    from tilewright.compiler.emit.tiles import Box

CONSTANT_ALIGNMENT = 64
"""Bytes, at least; a load ignores an address's bits below its word's pitch."""


class DoesNotFitError(ModelError):
    """A layer has no tiling within the memory it was given."""


@dataclass(kw_only=True)
class Constants:
    """The constant bytes (weights, parameters) from DRAM address `start` on."""

    start: int
    alignment: int = CONSTANT_ALIGNMENT
    data: bytearray = field(default_factory=bytearray)

    def add(self, content: bytes) -> int:
        """Append bytes at the next aligned address and return it."""
        self.data += bytes(-len(self.data) % self.alignment)
        address = self.start + len(self.data)
        self.data += content
        return address

    @property
    def end(self) -> int:
        return self.start + len(self.data)


@dataclass(kw_only=True)
class Context:
    """State shared by the lowering of all layers."""

    config: Config
    graph: Graph
    placement: Placement
    tasks: TaskList
    constants: Constants
    workspace: tuple[int, int] = (0, 0)
    """First word and words of activation SRAM for the tiles of the present chain."""
    plans: dict[int, Plan] = field(default_factory=dict)
    """The tiling of each layer, by its number."""
    produced: list[tuple[str, "Box", tuple[int, int]]] = field(default_factory=list)
    """What the tasks so far have written: feature map, box, blocks [first, behind last)."""

    def map(self, name: str) -> FeatureMap:
        return self.graph.maps[name]

    def place(self, name: str) -> Place:
        return self.placement.places[name]

    def is_resident(self, name: str) -> bool:
        """Whether the feature map lives in activation SRAM."""
        return self.place(name).storage in self.placement.sram
