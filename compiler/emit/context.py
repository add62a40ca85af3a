"""What lowering a layer needs besides its view: the task list and the DRAM constants."""

from dataclasses import dataclass, field

from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.compiler.plan.tiling import Plan

CONSTANT_ALIGNMENT = 64
"""Bytes, at least; a load ignores an address's bits below its word's pitch."""


@dataclass(kw_only=True)
class Constants:
    """The constant bytes (weights, parameters) from DRAM address `start` on."""

    start: int = 0
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
class Context(LayerView):
    """State shared by the lowering of all layers."""

    tasks: TaskList
    constants: Constants
    plans: dict[int, Plan] = field(default_factory=dict)
    """The tiling of each layer, by its number."""
    produced: list[tuple[str, Box, tuple[int, int]]] = field(default_factory=list)
    """What the tasks so far have written: feature map, box, blocks [first, behind last)."""
