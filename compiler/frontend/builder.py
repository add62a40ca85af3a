"""The quantized graph under construction, and the layouts in which its maps can be read."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.values import Index, Quantized, UnsupportedError
from tilewright.compiler.graph.graph import FeatureMap, Node, Quantization, View

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Binding:
    """Which elements of the ONNX tensor `tensor` a feature map holds.

    `index` has the feature map's shape and holds flat positions in the ONNX tensor, for a graph
    input; for any other map it has the ONNX shape and holds flat positions in the map.
    """

    map: str
    tensor: str
    index: Index
    is_unsigned: bool
    source_map: str = ""
    """For a graph input: the map that `tensor` is, where it is no tensor of the model."""


def host_name(map_name: str) -> str:
    """The name under which the host keeps a map that it reads to write it into another one."""
    return f"map {map_name}"


def natural_index(shape: Sequence[int]) -> Index:
    """The index of an array of `shape` into itself."""
    return np.arange(int(np.prod(shape))).reshape(shape)


@dataclass(kw_only=True)
class GraphBuilder:
    """Collects maps and nodes in topological order."""

    maps: dict[str, FeatureMap] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    packs: dict[str, Binding] = field(default_factory=dict)
    """By map name: how the host fills the graph's inputs."""
    constants: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """By map name: inputs that hold the same values in every inference."""

    def add_map(self, name: str, shape: Shape, quantization: Quantization) -> str:
        """Add a feature map and return its name, which is made unique."""
        unique, number = name, 1
        while unique in self.maps:
            number += 1
            unique = f"{name}#{number}"
        channels, height, width = shape
        self.maps[unique] = FeatureMap(
            name=unique, channels=channels, height=height, width=width, quantization=quantization
        )
        return unique

    def add_constant(self, name: str, data: NDArray[np.int8], quantization: Quantization) -> str:
        """Add an input map that always holds `data` (channels, height, width)."""
        channels, height, width = data.shape
        unique = self.add_map(name, (channels, height, width), quantization)
        self.constants[unique] = data
        return unique

    def add(self, node: Node) -> None:
        assert {node.output, *node.inputs} <= set(self.maps)
        self.nodes.append(node)

    def as_map(self, value: Quantized, want: Index) -> str:
        """Return the map that holds `value` in the layout `want`.

        `want` has the shape (channels, height, width) and holds positions in the value's store. The
        host writes what it holds itself, and what the device stores in another order.
        """
        channels, height, width = (int(size) for size in want.shape)
        if value.is_border:
            return self._pack(value, want)
        stored = self.maps[value.origin]
        is_whole = want.size == stored.channels * stored.pixels and is_identity(want)
        if not is_whole or channels != stored.channels:
            return self._pack(value, want)
        if want.shape == stored.shape:
            return value.origin
        name = f"{value.origin}@{height}x{width}"
        if name not in self.maps:
            self.add_map(name, (channels, height, width), stored.quantization)
            self.add(View(name=name, output=name, input=value.origin))
        return name

    def natural(self, value: Quantized) -> tuple[str, Index]:
        """Return the map that stores `value` and the value's index into it.

        The host stores a value of its own as (channels, height, width) by its rank: [1, C, H, W],
        [1, C, W], or [M, K] as (K, 1, M).
        """
        if not value.is_border:
            return value.origin, value.index
        shape = value.index.shape
        if len(shape) in (3, 4) and shape[0] == 1:
            wanted = value.index.reshape(shape[1], shape[2] if len(shape) == 4 else 1, shape[-1])
            index = np.arange(wanted.size).reshape(shape)
        else:
            channels = shape[-1] if shape else 1
            wanted = value.index.reshape(-1, channels).T.reshape(channels, 1, -1)
            index = np.arange(wanted.size).reshape(channels, -1).T.reshape(shape)
        return self._pack(value, wanted), index

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

    def _pack(self, value: Quantized, want: Index) -> str:
        """Return the input map that the host fills with `value` in the layout `want`."""
        source_map = "" if value.is_border else value.origin
        tensor = host_name(source_map) if source_map else value.origin
        for name, binding in self.packs.items():
            same = binding.tensor == tensor and np.array_equal(binding.index, want)
            if same and self.maps[name].quantization == value.quantization:
                return name
        channels, height, width = want.shape
        name = self.add_map(value.origin, (channels, height, width), value.quantization)
        self.packs[name] = Binding(
            map=name,
            tensor=tensor,
            index=want,
            is_unsigned=value.is_unsigned and not source_map,
            source_map=source_map,
        )
        return name


def is_identity(index: Index) -> bool:
    """Whether the flat `index` counts 0, 1, 2, ..."""
    return bool(np.array_equal(index.reshape(-1), np.arange(index.size)))
