"""What a tensor of the model is to the accelerator: which of its elements a feature map stores.

The elements of one side lie on the other at an offset plus a stride an index (`Gather`), so that
the host packs and unpacks by strided copies.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.hw.spec.fold import Fold, fold_map
from tilewright.hw.spec.tensor import Array, Memory, Shape, Tensor
from tilewright.support.records import record

Int8Map = NDArray[np.int8]

HALF_RANGE = 128
"""What value and zero point of a uint8 activation lose to become int8."""


@record(frozen=True, kw_only=True)
class TensorSpec:
    """Name, NumPy dtype name and static shape of a model input or output."""

    name: str
    dtype: str
    shape: Shape


@record(frozen=True, kw_only=True)
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
        return self._loops(flat).reshape(self.shape)

    def put(self, array: Array, values: Array) -> None:
        """Put `values`, of `shape`, where `take` finds them in the contiguous `array`."""
        assert array.flags.c_contiguous
        flat = array.reshape(-1)
        if self.table is not None:
            flat[np.array(self.table, np.int64)] = values.reshape(-1)
        else:
            places = self._loops(flat)
            places[...] = values.reshape(places.shape)

    def _loops(self, flat: Array) -> Array:
        """A view of the elements, an axis a loop."""
        counts = [count for count, _ in self.loops]
        if 0 in counts:
            return np.zeros(counts, flat.dtype)
        reaches = [(count - 1) * stride for count, stride in self.loops]
        first, last = (sum(limit(0, reach) for reach in reaches) for limit in (min, max))
        assert 0 <= self.offset + first <= self.offset + last < flat.size, (self, flat.size)
        steps = [stride * flat.itemsize for _, stride in self.loops]
        return as_strided(flat[self.offset :], counts, steps)


@record(frozen=True, kw_only=True)
class Binding(TensorSpec):
    """An int8 or uint8 tensor of the model, and the feature map that stores it.

    Real values are `scale * (q - zero_point)` of the stored int8; a uint8 value is stored less 128.
    """

    stored: Tensor
    gather: Gather
    """Of an input: the tensor's elements in the map; of an output: the map's in the tensor."""
    fold: Fold | None = None
    """How the host folds an input map before writing it."""

    @classmethod
    def of(
        cls, name: str, stored: Tensor, index: NDArray[np.integer[Any]], *, is_unsigned: bool
    ) -> "Binding":
        """Return the binding whose gather takes the flat elements `index`."""
        return cls(
            name=name,
            dtype="uint8" if is_unsigned else "int8",
            shape=index.shape,
            stored=stored,
            gather=Gather.of(index),
        )

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype=self.dtype, shape=self.shape)

    def to_map(self, values: Array) -> Int8Map:
        """Return the int8 map (C, H, W) of an input's values."""
        assert values.dtype == self.dtype, (self.name, values.dtype)
        taken = self.gather.take(values)
        if self.dtype == "uint8":
            return (taken.astype(np.int16) - HALF_RANGE).astype(np.int8)
        return taken.astype(np.int8)

    def from_map(self, values: Array) -> Array:
        """Return an output's values from its int8 map (C, H, W)."""
        taken = self.gather.take(values)
        if self.dtype != "uint8":
            return taken.copy()
        return np.asarray(taken.astype(np.int16) + HALF_RANGE, np.uint8)

    def write(self, memory: Memory, values: Array) -> None:
        """Put an input's values into the accelerator's memory."""
        stored = self.to_map(values)
        self.stored.write(memory, stored if self.fold is None else fold_map(stored, self.fold))

    def read(self, memory: Memory) -> Array:
        """Return an output's values from the accelerator's memory."""
        return self.from_map(self.stored.read(memory))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values, from which `from_dict` makes the binding again."""
        return asdict(self) | {"stored": self.stored.as_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Binding":
        """The inverse of `as_dict`. Raises KeyError, TypeError."""
        gather, fold = fields["gather"], fields["fold"]
        table = gather["table"]
        return cls(
            name=fields["name"],
            dtype=fields["dtype"],
            shape=tuple(fields["shape"]),
            stored=Tensor.from_dict(fields["stored"]),
            gather=Gather(
                shape=tuple(gather["shape"]),
                offset=gather["offset"],
                loops=tuple((count, stride) for count, stride in gather["loops"]),
                table=None if table is None else tuple(table),
            ),
            fold=None if fold is None else Fold(**fold),
        )
