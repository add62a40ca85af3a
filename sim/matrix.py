"""MATRIX on the simulator: one exact integer product of gathered windows and weight tiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.loops import SRAM_MODULUS
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import gather
from tilewright.support.records import replace

EXACT_DEPTH = 1024
"""Products of two int8 that binary32 sums exactly: 1024 * 2^14 = 2^24."""


def execute_matrix(i: Matrix, state: State) -> Fault:
    """Execute a MATRIX instruction on the state; return the fault it raises, or NONE."""
    if i.weights >= len(state.weight):
        return Fault.SRAM_RANGE
    dense = i.source_out_stride == 0 or i.out_blocks == 1
    walk = i.source_walk()
    if dense:
        walk = replace(walk, loops=walk.loops[1:])
    windows = gather(state.activation, walk, i.padding)
    if windows is None:
        return Fault.SRAM_RANGE
    tiles = _weight_tiles(i, state)
    products = _dense_products(windows, tiles) if dense else _block_products(windows, tiles)
    out_of_range = False
    for block in range(i.out_blocks):
        first = (i.destination + block * i.destination_stride) % SRAM_MODULUS
        rows = state.accumulator[first : first + len(products)]
        out_of_range |= len(rows) != len(products)
        if i.accumulate:
            rows += products[: len(rows), block]
        else:
            rows[...] = products[: len(rows), block]
    return Fault.SRAM_RANGE if out_of_range else Fault.NONE


def _weight_tiles(i: Matrix, state: State) -> NDArray[np.int8]:
    """Return the weights (out_blocks, depth, cols) int8 of the tile stream, depth in tile order."""
    config = state.config
    depth = i.block_tiles * config.rows
    count = i.out_blocks * depth
    first = i.weights
    words = state.weight[first : first + count]
    if len(words) != count:
        words = state.weight[np.arange(first, first + count) % len(state.weight)]
    return words.reshape(i.out_blocks, depth, -1)[:, :, : config.cols]


def _dense_products(windows: NDArray[Any], tiles: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return (pixels, out_blocks, cols) int32 of shared windows (in, ky, kx, y, x, rows)."""
    out_blocks, depth, cols = tiles.shape
    left = windows.transpose(3, 4, 0, 1, 2, 5).astype(np.float32, order="C").reshape(-1, depth)
    right = tiles.transpose(1, 0, 2).astype(np.float32, order="C").reshape(depth, -1)
    return _exact_product(left, right).reshape(-1, out_blocks, cols)


def _block_products(windows: NDArray[Any], tiles: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return (pixels, out_blocks, cols) int32; windows (out, in, ky, kx, y, x, rows)."""
    out_blocks, depth, _ = tiles.shape
    left = windows.transpose(0, 4, 5, 1, 2, 3, 6).astype(np.float32, order="C")
    products = _exact_product(left.reshape(out_blocks, -1, depth), tiles.astype(np.float32))
    return products.transpose(1, 0, 2)


def _exact_product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return left @ right of int8 values as int32 (wrapping), through exact binary32 sums."""
    depth = left.shape[-1]
    total: NDArray[np.int32]
    total = np.matmul(left[..., :EXACT_DEPTH], right[..., :EXACT_DEPTH, :]).astype(np.int32)
    for start in range(EXACT_DEPTH, depth, EXACT_DEPTH):
        stop = start + EXACT_DEPTH
        total += np.matmul(left[..., start:stop], right[..., start:stop, :]).astype(np.int32)
    return total
