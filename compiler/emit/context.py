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


class View:
    """A box of a map in activation SRAM, where pixel (0, 0) of the map's block 0 would lie in the
    word `base` if all of the map lay there, so that indices are those of the map.

    strides: words from a block, a row and a pixel to the next one.
    """

    __slots__ = ("base", "block_stride", "box", "pitch", "strides")

    def __init__(self, *, base: int, strides: tuple[int, ...], box: Box) -> None:
        self.base, self.strides, self.box = base, strides, box
        self.block_stride, self.pitch, _ = strides

    def word(self, block: int, y: int, x: int) -> int:
        """Return the word of a block's pixel; (y, x) are map coordinates inside the box."""
        return self.base + block * self.block_stride + y * self.pitch + x * self.strides[2]

    def first_word(self, block: int) -> int:
        """Return the word of a block's first pixel in the box."""
        return self.word(block, self.box.top, self.box.left)


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
    _in_sram: dict[str, View] = field(default_factory=dict)

    def in_dram(self, name: str) -> Layout:
        """Return the layout of a map in DRAM, in bytes."""
        if name not in self._in_dram:
            self._in_dram[name] = self.placement.in_dram(self.map(name), self.config)
        return self._in_dram[name]

    def in_sram(self, name: str) -> View:
        """Return the view of a whole resident map."""
        if name not in self._in_sram:
            stored = self.map(name)
            layout = self.placement.in_sram(stored, self.config)
            box = Box(top=0, bottom=stored.height, left=0, right=stored.width)
            self._in_sram[name] = View(base=layout.base, strides=layout.strides, box=box)
        return self._in_sram[name]
