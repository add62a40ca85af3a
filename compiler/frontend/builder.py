"""The quantized graph under construction, and the layouts in which its maps can be read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.rearrange import reordered
from tilewright.compiler.frontend.values import Index, Quantized, UnsupportedError
from tilewright.compiler.graph.graph import Node, View
from tilewright.hw.spec.binding import Binding
from tilewright.hw.spec.tensor import Quantization, Shape, Tensor


def host_name(map_name: str) -> str:
    """The name under which the host keeps a map that it reads to write it into another one."""
    return f"map {map_name}"


def natural_index(shape: Sequence[int]) -> Index:
    """The index of an array of `shape` into itself."""
    return np.arange(int(np.prod(shape))).reshape(shape)


@dataclass(kw_only=True)
class GraphBuilder:
    """Collects maps and nodes in topological order."""

    maps: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    packs: dict[str, Binding] = field(default_factory=dict)
    """By map name: how the host fills the graph's inputs."""
    tokens: frozenset[str] = frozenset()
    """ONNX values [1, T, C] whose last axis is the channels."""
    copies: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    """Maps that hold others in another order, by these and the order."""
    constants: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """By map name: inputs that hold the same values in every inference."""

    def add_map(self, name: str, shape: Shape, quantization: Quantization) -> str:
        """Add a feature map and return its name, which is made unique."""
        unique = self._free_name(name)
        self.maps[unique] = Tensor(name=unique, shape=shape, quantization=quantization)
        return unique

    def _free_name(self, name: str) -> str:
        unique, number = name, 1
        while unique in self.maps:
            number += 1
            unique = f"{name}#{number}"
        return unique

    @property
    def moved(self) -> dict[str, str]:
        """By the name that the host gives it: every map, which the host may read to write it."""
        return {host_name(name): name for name in self.maps}

    def add_constant(self, name: str, data: NDArray[np.int8], quantization: Quantization) -> str:
        """Add an input map that always holds `data`."""
        unique = self.add_map(name, data.shape, quantization)
        self.constants[unique] = data
        return unique

    def add(self, node: Node) -> None:
        assert {node.output, *node.inputs} <= set(self.maps)
        self.nodes.append(node)

    def as_map(self, value: Quantized, want: Index) -> str:
        """Return the map that holds `value` in the layout `want`.

        `want` has the map's shape and holds positions in the value's store. The host writes what it
        holds itself, and what the device stores in another order.
        """
        if value.is_border:
            return self._pack(value, want)
        stored = self.maps[value.origin]
        is_whole = want.size == stored.elements and is_identity(want)
        if not is_whole or want.shape[stored.word_axis] != stored.channels:
            return self._rearranged(value, want)
        return self._view(stored, (want.shape[0], want.shape[1], want.shape[2]))

    def _view(self, stored: Tensor, shape: Shape) -> str:
        """Return the map `stored` with that shape."""
        name = _view_name(stored, shape)
        if name not in self.maps:
            self.add_map(name, shape, stored.quantization)
            self.add(View(name=name, output=name, input=stored.name))
        return name

    def natural(self, value: Quantized) -> tuple[str, Index]:
        """Return the map that stores `value` and the value's index into it."""
        stored = None if value.is_border else self.maps[value.origin]
        if stored is not None and is_permutation(value.index, stored.elements):
            return value.origin, value.index
        return self.plain(value)

    def plain(self, value: Quantized) -> tuple[str, Index]:
        """Return a map that holds `value` in the order of its axes, and its index into that.

        The host stores a value of its own as (channels, height, width) by its rank: [1, C, H, W],
        [1, C, W], or [M, K] as (K, 1, M); [1, T, C] as (C, 1, T) where a matrix product reads it,
        or where it is stored so.
        """
        shape = value.index.shape
        is_tokens = len(shape) == 3 and self.has_channels_along(value, 2)
        if len(shape) in (3, 4) and shape[0] == 1 and not is_tokens:
            wanted = value.index.reshape(shape[1], shape[2] if len(shape) == 4 else 1, shape[-1])
            index = np.arange(wanted.size).reshape(shape)
        else:
            channels = shape[-1] if shape else 1
            wanted = value.index.reshape(-1, channels).T.reshape(channels, 1, -1)
            index = np.arange(wanted.size).reshape(channels, -1).T.reshape(shape)
        return self.as_map(value, wanted), index

    def has_channels_along(self, value: Quantized, axis: int) -> bool:
        """Whether the map that stores `value` has the value's `axis` as its channels.

        Along that, and along no other one, the channels change, and nothing else.
        """
        index = value.index
        if value.is_border:
            is_map = index.ndim in (3, 4) and value.origin not in self.tokens
            return axis == (1 if is_map else index.ndim - 1)
        if index.shape[axis] == 1 and axis != 1:
            return False
        moved = np.moveaxis(index, axis, 0)
        channels, pixels = np.divmod(moved, self.maps[value.origin].pixels)
        own = channels.max(axis=tuple(range(1, index.ndim)), keepdims=True)
        return bool((channels == own).all() and (pixels == pixels[0]).all())

    def align(self, value: Quantized, map_name: str, index: Index) -> str:
        """Return the map of `value` that has the shape of `map_name` and is read by `index`."""
        if value.index.shape != index.shape:
            raise UnsupportedError(
                f"both operands must have one shape, got {list(index.shape)} and "
                f"{list(value.index.shape)}; the device does not broadcast"
            )
        target = self.maps[map_name]
        want = np.empty(index.size, np.int64)
        want[index.reshape(-1)] = value.index.reshape(-1)
        return self.as_map(value, want.reshape(target.shape))

    def _rearranged(self, value: Quantized, want: Index) -> str:
        """Return a map of `want`, which the device copies where it can, or else the host."""
        stored = self.maps[value.origin]
        key = (value.origin, want.shape, want.tobytes())
        if key in self.copies:
            return self.copies[key]
        name = f"{value.origin}/copy{len(self.copies)}"
        for width in dict.fromkeys((stored.width, want.shape[2], stored.pixels, 1)):
            if stored.pixels % width:
                continue
            shape = (stored.channels, stored.pixels // width, width)
            viewed = replace(stored, name=_view_name(stored, shape), shape=shape)
            nodes = reordered(viewed, want, name)
            if nodes:
                self._view(stored, shape)
                for node, made in nodes:
                    self.maps[made.name] = made
                    self.add(node)
                self.copies[key] = made.name
                return made.name
        return self._pack(value, want)

    def _pack(self, value: Quantized, want: Index) -> str:
        """Return the input map that the host fills with `value` in the layout `want`."""
        tensor = value.origin if value.is_border else host_name(value.origin)
        is_unsigned = value.is_unsigned and value.is_border
        name = self._free_name(value.origin)
        stored = Tensor(name=name, shape=want.shape, quantization=value.quantization)
        wanted = Binding.of(tensor, stored, want, is_unsigned=is_unsigned)
        for known, binding in self.packs.items():
            if binding == replace(wanted, stored=replace(stored, name=known)):
                return known
        self.maps[name] = stored
        self.packs[name] = wanted
        return name


def _view_name(stored: Tensor, shape: Shape) -> str:
    return (
        stored.name if shape == stored.shape else f"{stored.name}@{'x'.join(map(str, shape[1:]))}"
    )


def index_by_channels(shape: Sequence[int], channels: int) -> Index:
    """The index of values of `shape` into a map that has their axis `channels` first."""
    moved = (shape[channels], *shape[:channels], *shape[channels + 1 :])
    return np.moveaxis(natural_index(moved), 0, channels)


def pixels_around(
    shape: Sequence[int], channels: int, first: int, last: int
) -> tuple[int, int, int]:
    """The pixels of the axes in front of `first`, of `first` to `last`, and of those behind.

    The axis `channels` has none.
    """
    sizes = [1 if place == channels else size for place, size in enumerate(shape)]
    parts = sizes[:first], sizes[first : last + 1], sizes[last + 1 :]
    before, between, behind = map(math.prod, parts)
    return before, between, behind


def is_permutation(index: Index, size: int) -> bool:
    """Whether the `index` has each of `size` positions once."""
    return index.size == size and bool((np.bincount(index.reshape(-1), minlength=size) == 1).all())


def is_identity(index: Index) -> bool:
    """Whether the flat `index` counts 0, 1, 2, ..."""
    return bool(np.array_equal(index.reshape(-1), np.arange(index.size)))
