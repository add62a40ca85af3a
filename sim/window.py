"""Takes the words of a walk by slicing, or by indices where it must."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.hw.spec.loops import SRAM_MODULUS, Walk

Array = NDArray[Any]

_SPARSE = 4
"""A region with more than this many times the visited pixels is gathered by indices."""


def gather(sram: Array, walk: Walk, padding: int) -> Array | None:
    """Return the words of a walk over a window, or None when one lies past the SRAM.

    They are (*loop counts, word elements) in the SRAM's dtype, read-only, possibly a view of it;
    steps outside the window hold `padding`. Lane groups that share a word have it once.
    """
    walk = walk.whole_words
    region = _region(sram, walk, padding)
    if region is None:
        return _gather_by_index(sram, walk, padding)
    *outer, row, column, element = region.strides
    along = {axis.name: stride for axis, stride in zip(walk.window, (row, column), strict=True)}
    block = iter(outer)
    strides = [next(block) if o.along is None else o.stride * along[o.along] for o in walk.loops]
    shape = (*(loop.count for loop in walk.loops), sram.shape[1])
    return as_strided(region, shape, (*strides, element), writeable=False)


def _region(sram: Array, walk: Walk, padding: int) -> Array | None:
    """Return the smallest rectangle (*blocks, height, width, elements) that holds every step.

    None when it is much larger than what is visited or reaches past the SRAM.
    """
    blocks = tuple((loop.count, loop.stride) for loop in walk.loops if loop.along is None)
    extents, visited = [], 1
    for axis in walk.window:
        along = [loop for loop in walk.loops if loop.along == axis.name]
        extents.append(sum((loop.count - 1) * loop.stride for loop in along) + 1)
        visited *= prod(loop.count for loop in along)
    height, width = extents
    if height * width > _SPARSE * visited + 64:
        return None
    rows, columns = walk.window
    top, left = max(0, -rows.origin), max(0, -columns.origin)
    bottom = min(height, rows.size - rows.origin)
    right = min(width, columns.size - columns.origin)
    counts = tuple(count for count, _ in blocks)
    shape = (*counts, height, width, sram.shape[1])
    if top >= bottom or left >= right:
        return np.full(shape, padding, sram.dtype)
    first = walk.base + (top + rows.origin) * rows.pitch + left + columns.origin
    last = first + (bottom - top - 1) * rows.pitch + right - left - 1
    last += sum((count - 1) * stride for count, stride in blocks)
    if last >= len(sram):
        return None
    word, element = sram.strides
    inside = as_strided(
        sram[first:],
        (*counts, bottom - top, right - left, sram.shape[1]),
        (*(stride * word for _, stride in blocks), rows.pitch * word, word, element),
        writeable=False,
    )
    if inside.shape == shape:
        return inside
    region = np.full(shape, padding, sram.dtype)
    region[..., top:bottom, left:right, :] = inside
    return region


def _gather_by_index(sram: Array, walk: Walk, padding: int) -> Array | None:
    """Gather every word of the window's rows and columns once, then what each step takes of them.

    Windows overlap: a hundred million steps may visit a thousand rows and columns.
    """
    blocks, block_of_step = _places(walk, None, walk.base)
    (y, row_of_step), (x, column_of_step) = (_places(walk, a.name, a.origin) for a in walk.window)
    rows, columns = walk.window
    inside = ((y >= 0) & (y < rows.size))[:, None] & ((x >= 0) & (x < columns.size))
    words = blocks[:, None, None] + (y * rows.pitch)[:, None] + x * columns.pitch
    words = np.where(inside, words % SRAM_MODULUS, 0)
    if words.max() >= len(sram):
        return None
    gathered = sram[words]
    gathered[:, ~inside] = padding
    return gathered[block_of_step, row_of_step, column_of_step]


def _places(walk: Walk, along: str | None, origin: int) -> tuple[Array, Array]:
    """Return (places, index of its place for every step) of an axis; without one, of the blocks."""
    total = np.full((1,) * len(walk.loops), origin, np.int64)
    for number, loop in enumerate(walk.loops):
        if loop.along == along:
            steps = np.arange(loop.count) * loop.stride
            total = total + steps.reshape(-1, *([1] * (len(walk.loops) - number - 1)))
    places, index = np.unique(total, return_inverse=True)
    return places, index.reshape(total.shape)


def grid_view(sram: Array, walk: Walk, unit: int = 1) -> Array | None:
    """Return a writable view (*loop counts, run, elements) of a walk's words, at regular steps.

    Lane groups that share a word have it once; the walk counts in `unit`-ths of words. None when a
    word lies past the SRAM or, the loops running outer to inner, two steps may meet in one word.
    """
    dimensions = [(loop.count, loop.stride // unit) for loop in walk.whole_words.loops]
    if walk.run > unit:
        dimensions.append((walk.run // unit, 1))
    extent = 1
    for count, stride in reversed(dimensions):
        if count > 1 and stride < extent:
            return None
        extent += (count - 1) * stride
    base = walk.base // unit
    if base + extent > len(sram):
        return None
    word, element = sram.strides
    return as_strided(
        sram[base:],
        (*(count for count, _ in dimensions), sram.shape[1]),
        (*(stride * word for _, stride in dimensions), element),
    )
