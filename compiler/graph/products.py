"""Exact sums of products of a convolution, by matrix products that stay in the cache.

All sums are integers. A product of binary32 matrices is exact where no partial sum can reach 2^24,
one of binary64 matrices where none can reach 2^53; int8 operands never do.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv
from tilewright.hw.spec import numerics
from tilewright.support.records import record

Place = tuple[slice, slice]
"""Output channels and rows of a block."""

FLOAT_EXACT = 2**24
"""Integers up to this magnitude are exact in binary32."""

BLOCK = 2**19
"""Elements of a block's windows or sums: binary32, they stay in a cache of some MiB."""


@record(frozen=True, kw_only=True, eq=False)
class Products:
    """The products of a convolution; `zero_point`: of its input."""

    node: Conv
    zero_point: int

    def blocks(
        self, padded: NDArray[np.int8], shape: tuple[int, ...]
    ) -> Iterator[tuple[Place, NDArray[np.float32]]]:
        """Yield the output block by block: its place, and fl(sum of products + bias) there.

        padded: the input (channels, height, width), or with a fourth axis of samples, its padding
        included; shape: of the output, alike. The sums are binary32 (channels, rows, width, ...).
        """
        groups, filters, terms = self._matrix.shape
        row = max(terms, filters) * math.prod(shape[2:])
        rows = min(max(1, BLOCK // row), shape[1])
        groups_at_once = max(1, BLOCK // (rows * row))
        split = padded.reshape(groups, -1, *padded.shape[1:])
        for first in range(0, groups, groups_at_once):
            part = slice(first, min(first + groups_at_once, groups))
            channels = slice(part.start * filters, part.stop * filters)
            for top in range(0, shape[1], rows):
                count = min(rows, shape[1] - top)
                windows = self._windows(split[part], top, (count, *shape[2:]))
                sums = np.matmul(self._matrix[part], windows).reshape(-1, count, *shape[2:])
                yield (channels, slice(top, top + count)), self._with_bias(sums, channels)

    @cached_property
    def _matrix(self) -> NDArray[Any]:
        """The weights (groups, filters of a group, kernel positions x channels of a group)."""
        weight, groups = self.node.weight, self.node.groups
        filters, channels = len(weight) // groups, weight.shape[1]
        by_position = weight.reshape(groups, filters, channels, -1).swapaxes(2, 3)
        dtype = np.float32 if self._is_binary32 else np.float64
        return by_position.reshape(groups, filters, -1).astype(dtype)

    @cached_property
    def _bias(self) -> NDArray[np.int64]:
        """The bias (filters,) with the input's zero point folded in."""
        total = self.node.weight.sum(axis=(1, 2, 3), dtype=np.int64)
        return np.asarray(self.node.bias - self.zero_point * total, np.int64)

    @cached_property
    def _is_binary32(self) -> bool:
        """Whether products, bias and all partial sums are exact in binary32."""
        magnitudes = np.abs(self.node.weight.astype(np.int64)).sum(axis=(1, 2, 3))
        largest = max(128 * magnitudes.max(), np.abs(self._bias).max())
        return bool(largest < FLOAT_EXACT)

    def _windows(
        self, groups: NDArray[np.int8], top: int, shape: tuple[int, ...]
    ) -> NDArray[np.floating]:
        """Return the windows of some rows (groups, kernel positions x channels, pixels).

        groups: (groups, channels, height, width, ...); shape: (rows, width, ...) of the result.
        """
        node = self.node
        (down, right), (dy, dx) = node.strides, node.dilations
        windows = np.empty(
            (len(groups), math.prod(node.kernel), groups.shape[1], *shape), self._matrix.dtype
        )
        for position, (ky, kx) in enumerate(np.ndindex(node.kernel)):
            rows = groups[:, :, steps(top * down + ky * dy, down, shape[0])]
            windows[:, position] = rows[:, :, :, steps(kx * dx, right, shape[1])]
        return windows.reshape(len(groups), self._matrix.shape[2], -1)

    def _with_bias(self, sums: NDArray[Any], channels: slice) -> NDArray[np.float32]:
        bias = by_channel(self._bias[channels], sums)
        if self._is_binary32:
            sums += bias.astype(np.float32)
            return sums
        return numerics.wrap_int32(sums.astype(np.int64) + bias).astype(np.float32)


def by_channel(values: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Return values (channels,) in a shape that broadcasts over arrays like this one."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def steps(start: int, step: int, count: int) -> slice:
    """Return the slice of `count` elements from `start` on, `step` (1 at least) apart."""
    return slice(start, start + (count - 1) * step + 1, step)
