"""A tensor that crosses between host and accelerator: its ONNX form, its feature map, its bytes.

Both steps are affine: the elements of one side lie at an offset plus a stride an index (`Gather`),
and channel blocks, pixels and lanes of a map lie at strides in DRAM (`MapLayout`), so that writing
and reading are strided copies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.fold import Fold, fold_map

Array = NDArray[np.generic]
Int8Map = NDArray[np.int8]
Memory = NDArray[np.uint8]
MapShape = tuple[int, int, int]

HALF_RANGE = 128
"""What value and zero point of a uint8 activation lose to become int8."""


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Name, NumPy dtype name and static shape of a model input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gather:
    """Which elements of a flat array make up an array of `shape`.

    Element (i0, i1, ...) of the loops, outermost first, is element `offset` + sum of index times
    stride; `table` lists the elements instead where they do not lie at such strides.
    """

    shape: tuple[int, ...]
    offset: int = 0
    loops: tuple[tuple[int, int], ...] = ()
    """(count, stride) of each."""
    table: tuple[int, ...] | None = None

    @classmethod
    def of(cls, index: NDArray[np.integer[Any]]) -> "Gather":
        """Return the gather of the flat elements `index`, an array of the result's shape."""
        shape = tuple(int(size) for size in index.shape)
        rest = index.reshape(-1).astype(np.int64)
        if not rest.size:
            return cls(shape=shape, loops=((0, 0),))
        loops: list[tuple[int, int]] = []
        while rest.size > 1:
            steps = np.diff(rest)
            breaks = np.flatnonzero(steps != steps[0])
            count = int(breaks[0]) + 1 if breaks.size else rest.size
            rows = rest.reshape(-1, count) if rest.size % count == 0 else None
            if rows is None or (np.diff(rows, axis=1) != steps[0]).any():
                return cls(shape=shape, table=tuple(index.reshape(-1).tolist()))
            loops.insert(0, (count, int(steps[0])))
            rest = rows[:, 0]
        return cls(shape=shape, offset=int(rest[0]), loops=tuple(loops))

    def take(self, array: Array) -> Array:
        """Return the elements of `array` (any shape, read as flat) in `shape`."""
        flat = np.ascontiguousarray(array).reshape(-1)
        if self.table is not None:
            return flat[np.array(self.table, np.int64)].reshape(self.shape)
        counts = [count for count, _ in self.loops]
        if 0 in counts:
            return np.zeros(self.shape, flat.dtype)
        reaches = [(count - 1) * stride for count, stride in self.loops]
        first, last = (sum(limit(0, reach) for reach in reaches) for limit in (min, max))
        assert 0 <= self.offset + first <= self.offset + last < flat.size, (self, flat.size)
        steps = [stride * flat.itemsize for _, stride in self.loops]
        return as_strided(flat[self.offset :], counts, steps).reshape(self.shape)


@dataclass(frozen=True, kw_only=True)
class MapLayout:
    """The DRAM bytes of an int8 feature map: words of `lanes` channels at a pitch.

    Channel c of pixel p is byte c mod lanes of word (c div lanes) * pixels + p. Lanes that hold no
    channel are zero.
    """

    address: int
    shape: MapShape
    """Channels, height, width; of the folded map where the host folds it."""
    lanes: int
    pitch_bytes: int

    @classmethod
    def of(cls, address: int, shape: MapShape, config: Config) -> "MapLayout":
        """Return the layout of a map in a config's words."""
        return cls(
            address=address, shape=shape, lanes=config.rows, pitch_bytes=config.activation_pitch
        )

    @property
    def blocks(self) -> int:
        return -(-self.shape[0] // self.lanes)

    @property
    def size_bytes(self) -> int:
        return self.blocks * self.shape[1] * self.shape[2] * self.pitch_bytes

    def _lanes(self, memory: Memory) -> NDArray[np.int8]:
        """Return a view (blocks, lanes, height, width) of the map's bytes in `memory`."""
        _, height, width = self.shape
        pitch = self.pitch_bytes
        part = memory[self.address : self.address + self.size_bytes].view(np.int8)
        assert part.size == self.size_bytes, (self, memory.size)
        strides = (height * width * pitch, 1, width * pitch, pitch)
        return as_strided(part, (self.blocks, self.lanes, height, width), strides)

    def write(self, memory: Memory, values: Int8Map) -> None:
        """Put the map (C, H, W) into `memory` (bytes)."""
        assert values.shape == self.shape, (values.shape, self.shape)
        lanes, whole = self._lanes(memory), self.shape[0] // self.lanes
        covered = whole * self.lanes
        lanes[:whole] = values[:covered].reshape(whole, self.lanes, *self.shape[1:])
        if covered < self.shape[0]:
            lanes[whole] = 0
            lanes[whole, : self.shape[0] - covered] = values[covered:]

    def read(self, memory: Memory) -> Int8Map:
        """Return the map (C, H, W) that `memory` holds."""
        lanes = self._lanes(memory).reshape(-1, *self.shape[1:])
        return np.ascontiguousarray(lanes[: self.shape[0]])


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An int8 or uint8 tensor of the model that a section of the accelerator reads or writes.

    Real values are `scale * (q - zero_point)` of the stored int8; a uint8 value is stored less 128.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    map: str
    """The feature map that stores it."""
    map_shape: MapShape
    """Channels, height, width."""
    gather: Gather
    """Of an input: the tensor's elements in the map; of an output: the map's in the tensor."""
    fold: Fold | None = None
    """How the host folds an input map before writing it."""
    layout: MapLayout | None = None
    """Where the map lies in DRAM, once it is placed."""

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype=self.dtype, shape=self.shape)

    def to_map(self, values: Array) -> Int8Map:
        """Return the int8 map (C, H, W) of an input's values."""
        taken = self.gather.take(values)
        if taken.dtype == np.uint8:
            return (taken.astype(np.int16) - HALF_RANGE).astype(np.int8)
        return taken.astype(np.int8)

    def from_map(self, values: Int8Map) -> Array:
        """Return an output's values from its int8 map (C, H, W)."""
        taken = self.gather.take(values)
        if self.dtype != "uint8":
            return taken.copy()
        return (taken.astype(np.int16) + HALF_RANGE).astype(np.uint8)

    def write(self, memory: Memory, values: Array) -> None:
        """Put an input's values into the accelerator's memory."""
        assert self.layout is not None
        stored = self.to_map(values)
        self.layout.write(memory, stored if self.fold is None else fold_map(stored, self.fold))

    def read(self, memory: Memory) -> Array:
        """Return an output's values from the accelerator's memory."""
        assert self.layout is not None
        return self.from_map(self.layout.read(memory))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values, from which `from_dict` makes the tensor again."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Tensor":
        """The inverse of `as_dict`. Raises KeyError, TypeError."""
        gather, fold, layout = fields["gather"], fields["fold"], fields["layout"]
        table = gather["table"]
        return cls(
            **{
                **fields,
                "shape": tuple(fields["shape"]),
                "map_shape": tuple(fields["map_shape"]),
                "gather": Gather(
                    shape=tuple(gather["shape"]),
                    offset=gather["offset"],
                    loops=tuple((count, stride) for count, stride in gather["loops"]),
                    table=None if table is None else tuple(table),
                ),
                "fold": None if fold is None else Fold(**fold),
                "layout": None
                if layout is None
                else MapLayout(**{**layout, "shape": tuple(layout["shape"])}),
            }
        )
