"""A tensor of the accelerator: named axes, element type, quantization, and where its elements lie.

One record from the graph over the plan to the program file and the run. What a tensor of the model
is to it: `hw/spec/binding.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from operator import mul
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.hw.spec.isa import ElementType
from tilewright.support.records import record

Array = NDArray[np.generic]
Memory = NDArray[np.uint8]
Shape = tuple[int, ...]

MAP_AXES = ("channels", "height", "width")
"""Of a feature map, batch 1; a matrix [M, K] is the feature map (K, 1, M)."""

WORD_AXES = frozenset({"channels", "features"})
"""Axes of which a word of memory holds several elements; a tensor has one of them."""

DTYPES = {ElementType.INT8: np.dtype(np.int8)}


@record(frozen=True, kw_only=True)
class Quantization:
    """real = (q - zero_point) * scale, with q in int8 and a binary32 scale."""

    scale: float
    zero_point: int


@record(frozen=True, kw_only=True)
class Layout:
    """Where the words of a tensor lie: at `base` + sum of index times stride.

    The index of the axis number `word_axis` counts blocks of `block` elements, which lie together
    in one word; elements of the last block that the tensor lacks are zero. Base and strides are
    bytes of DRAM or words of activation SRAM.
    """

    base: int
    strides: tuple[int, ...]
    word_axis: int
    block: int

    @classmethod
    def dense(cls, base: int, shape: Shape, *, word_axis: int, block: int, pitch: int) -> "Layout":
        """Return the layout whose words lie `pitch` apart: blocks outermost, then the other axes
        in their order."""
        strides, stride = [0] * len(shape), pitch
        for axis in reversed(range(len(shape))):
            if axis != word_axis:
                strides[axis] = stride
                stride *= shape[axis]
        strides[word_axis] = stride
        return cls(base=base, strides=tuple(strides), word_axis=word_axis, block=block)

    def counts(self, shape: Shape) -> Shape:
        """Return how many words there are along each axis of a tensor of `shape`."""
        return tuple(
            -(-size // self.block) if axis == self.word_axis else size
            for axis, size in enumerate(shape)
        )

    def word(self, *index: int) -> int:
        """Return where the word of an index lies."""
        assert len(index) == len(self.strides)
        steps: int = sum(map(mul, index, self.strides))
        return self.base + steps

    def size(self, shape: Shape) -> int:
        """Return the bytes, or words, from `base` to behind the last word and its gap."""
        loops = list(zip(self.counts(shape), self.strides, strict=True))
        last = sum((count - 1) * stride for count, stride in loops)
        return max(last + self.block, *(count * stride for count, stride in loops))


@record(frozen=True, kw_only=True)
class Tensor:
    """An activation; `layout` says where it lies in DRAM, once it is placed."""

    name: str
    axes: tuple[str, ...] = MAP_AXES
    shape: Shape
    element_type: ElementType = ElementType.INT8
    quantization: Quantization
    layout: Layout | None = None

    def __post_init__(self) -> None:
        assert len(self.axes) == len(self.shape), self
        assert len(WORD_AXES.intersection(self.axes)) == 1, self

    @cached_property
    def word_axis(self) -> int:
        """Number of the axis of which a word holds several elements."""
        return next(axis for axis, name in enumerate(self.axes) if name in WORD_AXES)

    @property
    def channels(self) -> int:
        """Size of the word axis."""
        return self.shape[self.word_axis]

    @cached_property
    def pixels(self) -> int:
        """Product of the sizes of all other axes."""
        return math.prod(self.shape[: self.word_axis] + self.shape[self.word_axis + 1 :])

    @property
    def elements(self) -> int:
        return self.channels * self.pixels

    @property
    def height(self) -> int:
        return self.size_of("height")

    @property
    def width(self) -> int:
        return self.size_of("width")

    def size_of(self, axis: str) -> int:
        """Return the size of a named axis."""
        return self.shape[self.axes.index(axis)]

    def layout_at(self, base: int, *, block: int, pitch: int) -> Layout:
        """Return the dense layout from `base` on."""
        return Layout.dense(base, self.shape, word_axis=self.word_axis, block=block, pitch=pitch)

    @property
    def placed(self) -> Layout:
        """The layout of a tensor that has one."""
        assert self.layout is not None, self
        return self.layout

    @property
    def size_bytes(self) -> int:
        """Bytes of DRAM from the first word to behind the last."""
        return self.placed.size(self.shape)

    def write(self, memory: Memory, values: Array) -> None:
        """Put the values, in the tensor's shape, into DRAM (bytes)."""
        assert values.shape == self.shape, (values.shape, self.shape)
        words, block = self._words(memory), self.placed.block
        elements = np.moveaxis(values, self.word_axis, 0)
        whole = self.channels // block
        covered = whole * block
        words[:whole] = elements[:covered].reshape(whole, block, *elements.shape[1:])
        if covered < self.channels:
            words[whole] = 0
            words[whole, : self.channels - covered] = elements[covered:]

    def read(self, memory: Memory) -> Array:
        """Return the values that DRAM holds, in the tensor's shape."""
        words = self._words(memory)
        elements = words.reshape(-1, *words.shape[2:])[: self.channels]
        return np.ascontiguousarray(np.moveaxis(elements, 0, self.word_axis))

    def _words(self, memory: Memory) -> Array:
        """A view (blocks, elements of a block, the other axes in their order) of `memory`."""
        layout, axis, dtype = self.placed, self.word_axis, DTYPES[self.element_type]
        part = memory[layout.base : layout.base + self.size_bytes].view(dtype)
        assert part.nbytes == self.size_bytes, (self, memory.size)
        counts, strides = layout.counts(self.shape), layout.strides
        shape = (counts[axis], layout.block, *counts[:axis], *counts[axis + 1 :])
        steps = (strides[axis], dtype.itemsize, *strides[:axis], *strides[axis + 1 :])
        return as_strided(part, shape, steps)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values, from which `from_dict` makes the tensor again."""
        return asdict(self) | {"element_type": self.element_type.name}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Tensor":
        """The inverse of `as_dict`. Raises KeyError, TypeError."""
        layout = fields["layout"]
        if layout is not None:
            layout = Layout(**{**layout, "strides": tuple(layout["strides"])})
        return cls(
            name=fields["name"],
            axes=tuple(fields["axes"]),
            shape=tuple(fields["shape"]),
            element_type=ElementType[fields["element_type"]],
            quantization=Quantization(**fields["quantization"]),
            layout=layout,
        )
