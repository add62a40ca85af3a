"""VECTOR on the simulator: window reduction, requantization, table, second operand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec import numerics
from tilewright.hw.spec.isa import Combine, Reduction
from tilewright.hw.spec.loops import Space, Walk, addresses
from tilewright.hw.spec.numerics import Float32Array, Int8Array
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER_BYTES, Vector
from tilewright.hw.spec.parameters import TABLE_ENTRIES, parse_groups, parse_header
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import gather, grid_view


def execute_vector(i: Vector, state: State) -> Fault:
    """Execute a VECTOR instruction on the state; return the fault it raises, or NONE."""
    config = state.config
    if i.has_bad_group(config):
        return Fault.SRAM_RANGE
    block = _parameter_words(state, i.parameters, i.parameter_words(config))
    table = _parameter_words(state, i.table, config.table_words if i.use_table else 0)
    sums = _reduce(i, state)
    if block is None or table is None or sums is None:
        return Fault.SRAM_RANGE
    header = parse_header(block.tobytes()[:PARAMETER_HEADER_BYTES])
    bias, scale = (
        part[:, None, None] for part in parse_groups(block[config.header_words :], config)
    )
    own = slice(i.negative_scales, None, 1 + i.negative_scales)
    total = np.add(numerics.wrap_int32(sums), bias[own]).astype(np.float32)
    product = numerics.rescale(total, scale[own], scale[0::2] if i.negative_scales else None)
    clamp = header["zero_point"], header["low"], header["high"]
    result = numerics.round_and_place(product, *clamp)
    if i.use_table:
        entries = np.frombuffer(table.tobytes()[:TABLE_ENTRIES], np.int8)
        result = numerics.look_up(entries, result)
    if i.combine != Combine.NONE:
        operand = _read_operand(i, state)
        if operand is None:
            return Fault.SRAM_RANGE
        result = _combine(i.combine, result, operand, product if i.unrounded else None, header)
    return Fault.NONE if _write(i, state, result) else Fault.SRAM_RANGE


def _parameter_words(state: State, first: int, count: int) -> NDArray[np.uint8] | None:
    """Return parameter words (count, word_bytes), or None when one is out of range."""
    words = state.parameter[first : first + count]
    return words if len(words) == count else None


def _reduce(i: Vector, state: State) -> NDArray[Any] | None:
    """Return the reduced windows (groups, out_height, out_width, lanes), or None out of range."""
    groups = i.source_groups(state.config)
    walk = i.source_walk(state.config)
    sram = state.accumulator if walk.space == Space.ACCUMULATOR else state.activation
    words = gather(sram, walk, i.padding)
    if words is None:
        return None
    reduced = _reduce_windows(words.transpose(0, 3, 4, 1, 2, 5), i.reduction)
    split = reduced.reshape(*reduced.shape[:3], groups, state.config.lanes)
    lanes = split.transpose(0, 3, 1, 2, 4).reshape(-1, *reduced.shape[1:3], state.config.lanes)
    first = i.source_group
    return lanes[first : first + i.groups]


def _reduce_windows(windows: NDArray[Any], reduction: Reduction) -> NDArray[Any]:
    """Reduce (blocks, ky, kx, y, x, elements) over ky and kx; int32 sums wrap."""
    kernel_height, kernel_width, out_height, out_width = windows.shape[1:5]
    if kernel_height == kernel_width == 1:
        return windows[:, 0, 0]
    if kernel_height * kernel_width > out_height * out_width:
        if reduction == Reduction.MAX:
            return np.asarray(windows.max(axis=(1, 2)))
        return np.asarray(windows.sum(axis=(1, 2), dtype=np.int32))
    result = windows[:, 0, 0].astype(np.int8 if reduction == Reduction.MAX else np.int32)
    if windows.dtype == np.int32:
        result = windows[:, 0, 0].copy()
    operator = np.maximum if reduction == Reduction.MAX else np.add
    for ky in range(kernel_height):
        for kx in range(kernel_width):
            if ky or kx:
                operator(result, windows[:, ky, kx], out=result)
    return result


def _indices(walk: Walk, state: State) -> tuple[Any, Any, bool]:
    """Return (addresses, lane groups, in_range) of every result, for the irregular cases."""
    groups = walk.loops[0]
    group = (groups.first + np.arange(groups.count)) % state.config.row_groups
    words, _ = addresses(walk)
    return words, group[:, None, None], bool(words.max() < len(state.activation))


def _read_operand(i: Vector, state: State) -> Int8Array | None:
    """Return the operand (groups, out_height, out_width, lanes) int8, or None out of range."""
    walk = i.operand_walk(state.config)
    view = grid_view(state.activation, walk)
    lanes, first = state.config.lanes, i.operand_group
    if view is None:
        words, group, in_range = _indices(walk, state)
        split = state.activation.reshape(-1, state.config.row_groups, lanes)
        return split[words, group] if in_range else None
    split = view.reshape(*view.shape[:3], state.config.row_groups, lanes)
    words = split.transpose(0, 3, 1, 2, 4).reshape(-1, *view.shape[1:3], lanes)
    return words[first : first + i.groups]


def _combine(
    combine: int,
    first: Int8Array,
    second: Int8Array,
    product: Float32Array | None,
    header: dict[str, int | float],
) -> Int8Array:
    """Stage 2; `product` takes the place of the header's first_ratio where it is given."""
    first_ratio = header["first_ratio"] if product is None else product
    first_zero_point = int(header["first_zero_point"])
    second_zero_point = int(header["second_zero_point"])
    zero_point = int(header["combine_zero_point"])
    low, high = int(header["combine_low"]), int(header["combine_high"])
    if combine == Combine.ADD:
        return numerics.add(
            first, second, first_zero_point=first_zero_point,
            second_zero_point=second_zero_point, first_ratio=first_ratio,
            second_ratio=header["second_ratio"], zero_point=zero_point, low=low, high=high,
        )  # fmt: skip
    return numerics.multiply(
        first, second, first_zero_point=first_zero_point, second_zero_point=second_zero_point,
        scale=first_ratio, zero_point=zero_point, low=low, high=high,
        unrounded=product is not None,
    )  # fmt: skip


def _write(i: Vector, state: State, result: Int8Array) -> bool:
    """Write (groups, out_height, out_width, lanes) to the destination; False when out of range."""
    lanes, row_groups = state.config.lanes, state.config.row_groups
    walk = i.destination_walk(state.config)
    view = grid_view(state.activation, walk)
    if view is None:
        words, group, in_range = _indices(walk, state)
        if in_range:
            state.activation.reshape(-1, row_groups, lanes)[words, group] = result
        return in_range
    for lane_group in range(row_groups):
        skipped = (lane_group - i.destination_group) % row_groups
        part = result[skipped::row_groups]
        if len(part):
            block = (i.destination_group + skipped) // row_groups
            columns = slice(lane_group * lanes, (lane_group + 1) * lanes)
            view[block : block + len(part), :, :, columns] = part
    return True
