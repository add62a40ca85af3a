"""What lowering a layer needs besides its view: the task list and the DRAM constants."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.compiler.plan.tiling import Plan
from tilewright.hw.spec.tensor import Layout

CONSTANT_ALIGNMENT = 64
"""Bytes, at least; a load ignores an address's bits below its word's pitch."""


@dataclass(kw_only=True)
class Constants:
    """The constant bytes (weights, parameters) from DRAM address `start` on."""

    start: int = 0
    alignment: int = CONSTANT_ALIGNMENT
    parts: list[tuple[int, int, Callable[[], bytes]]] = field(default_factory=list)
    """Address and size of each, and what makes it."""

    def add(self, size: int, content: Callable[[], bytes]) -> int:
        """Append `size` bytes at the next aligned address and return it.

        content: returns them; called when they are written, if they ever are.
        """
        address = self.end + (self.start - self.end) % self.alignment
        self.parts.append((address, size, content))
        return address

    @property
    def end(self) -> int:
        if not self.parts:
            return self.start
        address, size, _ = self.parts[-1]
        return address + size

    def write(self, memory: bytearray, base: int = 0) -> None:
        """Write all bytes to a memory that begins at DRAM address `base`."""
        for address, size, content in self.parts:
            made = content()
            assert len(made) == size
            memory[address - base : address - base + size] = made


@dataclass(kw_only=True)
class Context(LayerView):
    """State shared by the lowering of all layers."""

    tasks: TaskList
    constants: Constants
    plans: dict[int, Plan] = field(default_factory=dict)
    """The tiling of each layer, by its number."""
    produced: list[tuple[str, Box, tuple[int, int]]] = field(default_factory=list)
    """What the tasks so far have written: feature map, box, blocks [first, behind last)."""
    _in_dram: dict[str, Layout] = field(default_factory=dict)

    def in_dram(self, name: str) -> Layout:
        """Return the layout of a map in DRAM, in bytes."""
        if name not in self._in_dram:
            self._in_dram[name] = self.placement.in_dram(self.map(name), self.config)
        return self._in_dram[name]
