"""Gathers the source pixels of a windowed instruction by slicing, or by indices where it must."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.hw.spec.access import SRAM_MODULUS, Dimension
from tilewright.hw.spec.isa import Instruction

Array = NDArray[Any]

_SPARSE = 4
"""A region with more than this many times the visited pixels is gathered by indices."""


def gather_windows(
    sram: Array, base: int, blocks: tuple[Dimension, ...], i: Instruction
) -> tuple[Array, bool]:
    """Return (windows, out_of_range) for the window fields of MATRIX or VECTOR.

    windows: (*blocks, kernel_height, kernel_width, out_height, out_width, word elements) in the
    SRAM's dtype, read-only, possibly a view of it; pixels outside the buffer hold `padding`.
    `blocks` are (count, stride in words) of the loops around the window.
    """
    region = _region(sram, base, blocks, i)
    if region is None:
        return _gather_by_index(sram, base, blocks, i)
    *outer, row, col, element = region.strides
    strides = (
        *outer,
        i["dilation_y"] * row,
        i["dilation_x"] * col,
        i["stride_y"] * row,
        i["stride_x"] * col,
        element,
    )
    shape = (*(count for count, _ in blocks), *_loops(i), sram.shape[1])
    return as_strided(region, shape, strides, writeable=False), False


def _loops(i: Instruction) -> tuple[int, int, int, int]:
    return i["kernel_height"], i["kernel_width"], i["out_height"], i["out_width"]


def _region(sram: Array, base: int, blocks: tuple[Dimension, ...], i: Instruction) -> Array | None:
    """Return the smallest rectangle (*blocks, height, width, elements) that holds every window.

    None when it is much larger than the windows or reaches past the SRAM.
    """
    kernel_height, kernel_width, out_height, out_width = _loops(i)
    height = (out_height - 1) * i["stride_y"] + (kernel_height - 1) * i["dilation_y"] + 1
    width = (out_width - 1) * i["stride_x"] + (kernel_width - 1) * i["dilation_x"] + 1
    visited = kernel_height * kernel_width * out_height * out_width
    if height * width > _SPARSE * visited + 64:
        return None
    top, left = max(0, -i["origin_y"]), max(0, -i["origin_x"])
    bottom = min(height, i["height"] - i["origin_y"])
    right = min(width, i["width"] - i["origin_x"])
    counts = tuple(count for count, _ in blocks)
    shape = (*counts, height, width, sram.shape[1])
    if top >= bottom or left >= right:
        return np.full(shape, i["padding"], sram.dtype)
    pitch = i["source_pitch"]
    first = base + (top + i["origin_y"]) * pitch + left + i["origin_x"]
    last = first + (bottom - top - 1) * pitch + right - left - 1
    last += sum((count - 1) * stride for count, stride in blocks)
    if last >= len(sram):
        return None
    word, element = sram.strides
    inside = as_strided(
        sram[first:],
        (*counts, bottom - top, right - left, sram.shape[1]),
        (*(stride * word for _, stride in blocks), pitch * word, word, element),
        writeable=False,
    )
    if inside.shape == shape:
        return inside
    region = np.full(shape, i["padding"], sram.dtype)
    region[..., top:bottom, left:right, :] = inside
    return region


def _gather_by_index(
    sram: Array, base: int, blocks: tuple[Dimension, ...], i: Instruction
) -> tuple[Array, bool]:
    kernel_height, kernel_width, out_height, out_width = _loops(i)
    iy = _coordinates(i["origin_y"], kernel_height, i["dilation_y"], out_height, i["stride_y"])
    ix = _coordinates(i["origin_x"], kernel_width, i["dilation_x"], out_width, i["stride_x"])
    iy, ix = iy[:, None, :, None], ix[None, :, None, :]
    inside = (iy >= 0) & (iy < i["height"]) & (ix >= 0) & (ix < i["width"])
    addresses = base + iy * i["source_pitch"] + ix
    for count, stride in reversed(blocks):
        steps = np.arange(count, dtype=np.int64) * stride
        addresses = steps.reshape(-1, *([1] * addresses.ndim)) + addresses
    addresses = addresses % SRAM_MODULUS
    valid = inside & (addresses < len(sram))
    windows = sram[np.where(valid, addresses, 0)]
    windows[~valid] = 0
    windows[..., ~inside, :] = i["padding"]
    return windows, bool((valid != inside).any())


def _coordinates(
    origin: int, kernel: int, dilation: int, out: int, stride: int
) -> NDArray[np.int64]:
    """Return the coordinates (kernel, out) of one axis."""
    taps = np.arange(kernel, dtype=np.int64)[:, None] * dilation
    return origin + taps + np.arange(out, dtype=np.int64) * stride


def grid_view(sram: Array, base: int, dimensions: tuple[Dimension, ...]) -> Array | None:
    """Return a writable view (*counts, elements) of words at regular steps.

    None when a word lies past the SRAM or, the loops running outer to inner, two steps may meet
    in one word.
    """
    extent = 1
    for count, stride in reversed(dimensions):
        if count > 1 and stride < extent:
            return None
        extent += (count - 1) * stride
    if base + extent > len(sram):
        return None
    word, element = sram.strides
    return as_strided(
        sram[base:],
        (*(count for count, _ in dimensions), sram.shape[1]),
        (*(stride * word for _, stride in dimensions), element),
    )


def grid_addresses(base: int, dimensions: tuple[Dimension, ...], modulus: int) -> Array:
    """Return the addresses (*counts) of nested loops, modulo `modulus`."""
    addresses = np.array(base, np.int64)
    for count, stride in reversed(dimensions):
        steps = np.arange(count, dtype=np.int64) * stride
        addresses = steps.reshape(-1, *([1] * addresses.ndim)) + addresses
    return np.asarray(addresses % modulus)
