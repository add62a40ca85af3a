"""Cycle formulas: what the RTL takes, exactly; the timing model and the compiler's search use them.

One section an engine. Every constant is a property of the RTL and pinned by a test there.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tilewright.hw.spec.access import DEPTHWISE_COUNTS, depthwise_positions
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.isa import Combine, Target

# Fetch, dispatch and control. Cycles count from the start write.

FETCH_START_CYCLES = 1
"""From the start write to the request of the first instruction."""
FETCH_AHEAD = 16
"""Instructions between fetch's request and dispatch: in its FIFO or under way from DRAM."""
FETCH_ARRIVAL_CYCLES = 2
"""From an instruction's last beat until dispatch can take it."""
DONE_CYCLES = 2
"""From the cycle in which everything is seen to be over to the interrupt."""

ACCUMULATE_LATENCY = 3
"""L: cycles from the read of an accumulator word until the sum can be read again."""
MATRIX_SETUP_CYCLES = 8
"""Cycles in which an instruction's row products form, while its first weight tile loads."""
MATRIX_ISSUE_CYCLES = 4
"""Cycles of a pixel outside the array: three in front of it, one for the accumulation."""


def tree_stages(config: Config) -> int:
    """Registers behind the products of a tile: its adder tree and the sum with the tile above."""
    levels = (config.tile_rows - 1).bit_length() + (config.rows > config.tile_rows)
    return -(-levels // config.tree_register_levels)


def array_latency(config: Config) -> int:
    """Cycles from an activation word at the array's input to its sums at the output."""
    links = config.rows // config.tile_rows - 1 + config.cols // config.tile_cols - 1
    return 1 + tree_stages(config) + links


def matrix_tile_cycles(pixels: int, config: Config) -> int:
    """Cycles one weight tile occupies the array for."""
    return max(pixels, config.rows, ACCUMULATE_LATENCY)


def matrix_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles a MATRIX instruction occupies the array for.

    Back-to-back instructions take the sum of these. The last weight tile takes at least
    MATRIX_SETUP_CYCLES, and so does an instruction with a zero count. Not counted: one or two
    cycles where an output block that accumulates starts at the last or last but one word of the
    block before it.
    """
    pixels, tiles = _matrix_counts(fields)
    tile_cycles = matrix_tile_cycles(pixels, config)
    return (max(tiles, 1) - 1) * tile_cycles + max(tile_cycles, MATRIX_SETUP_CYCLES)


def matrix_latency(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the acceptance of a lone MATRIX instruction to its retirement."""
    pixels, tiles = _matrix_counts(fields)
    first_tile = max(config.rows, ACCUMULATE_LATENCY, MATRIX_SETUP_CYCLES)
    earlier_tiles = (max(tiles, 1) - 1) * matrix_tile_cycles(pixels, config)
    pipeline = MATRIX_ISSUE_CYCLES + array_latency(config)
    return first_tile + earlier_tiles + max(pixels, 1) + pipeline


def _matrix_counts(fields: Mapping[str, int]) -> tuple[int, int]:
    """Return the pixels of a weight tile and the weight tiles; both 0 if either is."""
    pixels = fields["out_height"] * fields["out_width"]
    tiles = fields["out_blocks"] * fields["in_blocks"]
    tiles *= fields["kernel_height"] * fields["kernel_width"]
    return (pixels, tiles) if pixels and tiles else (0, 0)


# DEPTHWISE. A word is a step of the loops: an activation word, padding in its place, or the only
# step of an instruction that does nothing. Words count over all instructions. Each stage takes word
# n in the first cycle that is not before any of those listed; a read or write also needs its grant
# in that cycle. Without refusals all but `turn` then follow from the cycle of the stage before.
#
#   accept      of an instruction: its offer, turn of the last word of the instruction before
#   weights     of a block, depthwise_words reads, at most one a cycle: the offer of the instruction
#               (its first block; also before the acceptance), enter + 1 of the last block's first
#               word
#   turn[n]     leaves the loops: turn[n-1] + 1, read[n-2], accept + 1, and for a block's first word
#               the last read of its weights + 1
#   read[n]     of the activations (padding passes): turn[n] + 2, read[n-1] + 1, enter[n-1]
#   enter[n]    the lanes: read[n] + 1, product[n-1]
#   product[n]  enter[n] + 1, sum[n-1]
#   sum[n]      product[n] + 1, leave of the result before; here a result that accumulates reads
#   leave[n]    of a result (one in kernel_height * step words): sum[n] + 1, write of the result
#               before
#   write[n]    of a result (passes if out of range): leave[n] + 1; the last one retires
#
# Read data lasts a cycle: a word that cannot enter in the cycle after its read, or a result that
# cannot leave then, requests again one cycle later, until it can go in the cycle after the grant.

DEPTHWISE_ADDRESS_CYCLES = 2
"""From a word's turn to its activation read."""
DEPTHWISE_RESULT_CYCLES = 5
"""From a word's activation read to the write of the sum it completes, and to retirement."""
DEPTHWISE_LATCH_CYCLES = 4
"""From the turn of a block's first word to the first read of the next block's weights."""


def depthwise_block_cycles(words: int, config: Config) -> int:
    """Cycles that a block of so many words has the loops for: what its successor's weights take."""
    return max(words, DEPTHWISE_LATCH_CYCLES + config.depthwise_words)


def depthwise_block_words(fields: Mapping[str, int]) -> int:
    """Words of one block of a DEPTHWISE instruction."""
    return fields["out_height"] * fields["kernel_height"] * depthwise_positions(fields)


def depthwise_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles a DEPTHWISE instruction has the loops for; 1 if it is empty.

    Back-to-back instructions take the sum of these.
    """
    if any(fields[name] == 0 for name in DEPTHWISE_COUNTS):
        return 1
    return fields["blocks"] * depthwise_block_cycles(depthwise_block_words(fields), config)


def depthwise_latency(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the acceptance of a lone DEPTHWISE instruction to its retirement."""
    pipeline = DEPTHWISE_ADDRESS_CYCLES + DEPTHWISE_RESULT_CYCLES
    if any(fields[name] == 0 for name in DEPTHWISE_COUNTS):
        return 1 + pipeline
    words = depthwise_block_words(fields)
    earlier_blocks = (fields["blocks"] - 1) * depthwise_block_cycles(words, config)
    return config.depthwise_words + earlier_blocks + words - 1 + pipeline


# LOAD and STORE. `latency` is that of the memory: from the handshake of a read's address to its
# first beat, from the last beat of a write to its response. The memory takes an address and a beat
# a cycle, in order.

READ_ARBITER_CYCLES = 1
"""Cycles a load's address spends in the arbiter between the engine and the AXI port."""
LOAD_PIPELINE_CYCLES = 3
"""Acceptance to address (2) and first beat to retirement (2), the beat's own cycle not counted."""
STORE_PIPELINE_CYCLES = 6
"""Acceptance to first beat, the beat's own cycle not counted."""
LOAD_BURST_CYCLES = 1
"""Cycles, besides latency and data, until a read burst's place is free for a new one."""
STORE_BURST_CYCLES = 5
"""The same of a write burst: its words are read from SRAM in between."""
STORE_READ_AHEAD_BURSTS = 4
"""Write bursts whose address may go out before the first of their words is read."""
EMPTY_LOAD_LATENCY, EMPTY_STORE_LATENCY = 5, 3
"""Acceptance to retirement of an instruction with a zero count."""


def word_cycles(pitch: int, config: Config) -> int:
    """Cycles a word of that DRAM pitch takes: one, or as many as it has beats."""
    return max(1, pitch // config.axi_bytes)


def transfer_data_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles the words of a LOAD or STORE occupy the data path for.

    `target` is in the fields of a LOAD.
    """
    words = fields["run"] * fields["count0"] * fields["count1"] * fields["count2"]
    return words * word_cycles(transfer_pitch(fields, config), config)


BURST_BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of it (AMBA AXI4, A3.4.1)."""
MAX_BURST_BEATS = 256


def burst_limit(config: Config) -> int:
    """Return the power of two, in bytes, that no burst crosses: 4 KiB or 256 beats."""
    return min(BURST_BOUNDARY_BYTES, MAX_BURST_BEATS * config.axi_bytes)


def transfer_bursts(fields: Mapping[str, int], config: Config) -> int:
    """Bursts of a LOAD or STORE: its runs, cut at 4 KiB or at 256 beats where those are less."""
    pitch = transfer_pitch(fields, config)
    limit = burst_limit(config)
    loops = tuple(
        (fields[f"count{axis}"], (fields[f"dram_stride{axis}"] & -pitch) % limit)
        for axis in range(3)
        if fields[f"count{axis}"] != 1
    )
    return _bursts((fields["dram_address"] & -pitch) % limit, fields["run"] * pitch, loops, limit)


@lru_cache(maxsize=1 << 14)
def _bursts(first: int, size: int, loops: tuple[tuple[int, int], ...], limit: int) -> int:
    """`first`: DRAM byte of the first run; `loops`: (count, stride); all modulo `limit`."""
    if not size:
        return 0
    if not loops:
        return -(-(first + size) // limit)
    addresses = np.array([first], np.int64)
    for count, stride in loops:
        addresses = (addresses[:, None] + np.arange(count) * stride).reshape(-1) % limit
    return int((-(-(addresses + size) // limit)).sum())


def transfer_pitch(fields: Mapping[str, int], config: Config) -> int:
    """Return the DRAM pitch of the words that a LOAD or STORE moves."""
    pitches = (config.activation_pitch, config.weight_pitch, config.parameter_pitch)
    return pitches[fields.get("target", Target.ACTIVATION)]


def transfer_runs(fields: Mapping[str, int], pitch: int) -> list[tuple[int, int]]:
    """Return DRAM byte and SRAM word of each run of a LOAD or STORE, counted from the first one."""
    if not fields["run"]:
        return []
    dram, sram = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for axis in reversed(range(3)):
        steps = np.arange(fields[f"count{axis}"])
        dram_steps = steps * (fields[f"dram_stride{axis}"] & -pitch)
        dram = (dram[:, None] + dram_steps).reshape(-1)
        sram = (sram[:, None] + steps * fields[f"sram_stride{axis}"]).reshape(-1)
    return list(zip(dram.tolist(), sram.tolist(), strict=True))


def load_cycles(fields: Mapping[str, int], config: Config, latency: int = MEMORY_LATENCY) -> int:
    """Cycles a LOAD occupies its engine for, in a long sequence of such instructions.

    Data cycles, or what axi_outstanding bursts in flight allow if that is more. Exact where all
    bursts of the sequence have the same length.
    """
    latency += READ_ARBITER_CYCLES + LOAD_BURST_CYCLES
    return _transfer_cycles(fields, config, latency)


def load_latency(fields: Mapping[str, int], config: Config, latency: int = MEMORY_LATENCY) -> int:
    """Cycles from the acceptance of a lone LOAD to its retirement."""
    latency += READ_ARBITER_CYCLES
    cycles = _lone_transfer_cycles(fields, config, latency + LOAD_BURST_CYCLES)
    return LOAD_PIPELINE_CYCLES + latency + cycles if cycles else EMPTY_LOAD_LATENCY


def store_cycles(fields: Mapping[str, int], config: Config, latency: int = MEMORY_LATENCY) -> int:
    """Cycles a STORE occupies its engine for, in a long sequence of such instructions.

    As `load_cycles`; an SRAM port that is refused adds its cycles.
    """
    return _transfer_cycles(fields, config, latency + STORE_BURST_CYCLES)


def store_latency(fields: Mapping[str, int], config: Config, latency: int = MEMORY_LATENCY) -> int:
    """Cycles from the acceptance of a lone STORE to its retirement."""
    cycles = _lone_transfer_cycles(fields, config, latency + STORE_BURST_CYCLES)
    return STORE_PIPELINE_CYCLES + latency + cycles if cycles else EMPTY_STORE_LATENCY


VECTOR_PIPELINE_CYCLES = 13
"""From the last source read's turn to its results' write, and from acceptance to the first turn."""
COMBINE_PIPELINE_CYCLES = 7
"""What the second stage adds to that, besides lanes/operand_lanes."""
GROUP_PAIR_CYCLES = 2
"""From group to group but one there are this many cycles more than the first of them takes."""
TABLE_CYCLES = 32
"""Eight table entries a cycle."""


def vector_pixel_cycles(kernel: int, combines: bool, config: Config) -> int:
    """Cycles of one output pixel of a lane group, whose window has `kernel` source pixels."""
    return max(kernel, config.lanes // config.operand_lanes) if combines else kernel


def vector_setup_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the offer of a VECTOR to an idle engine to its acceptance: header and table.

    They pass while earlier instructions run: instruction n + 2 is prepared from the cycle after
    the retirement of instruction n on.
    """
    return 0 if _is_empty(fields) else config.header_words + TABLE_CYCLES * fields["use_table"]


def vector_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles between the acceptances of a VECTOR and its successor, if that one is prepared.

    One source read a cycle; with a second stage lanes/operand_lanes cycles a pixel at least (of
    the last pixel's, what the window leaves is for a successor that has no second stage).
    Groups with parameters of their own that take less than GROUP_PAIR_CYCLES wait for the
    scale registers. An instruction without second stage behind one with it finds the result
    register free only when that one has retired.
    """
    if _is_empty(fields):
        return 1
    return _vector_group_start(fields["groups"], fields, config)


def vector_latency(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the acceptance of a lone VECTOR to its retirement."""
    if _is_empty(fields):
        return 2
    issue = vector_read_cycles(fields, config)
    if fields["combine"]:
        issue += COMBINE_PIPELINE_CYCLES + config.lanes // config.operand_lanes
    return issue + VECTOR_PIPELINE_CYCLES


def vector_read_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the first source read of a VECTOR that is not empty to behind its last one."""
    interval = _vector_interval(fields, config)
    last_group = _vector_group_start(fields["groups"] - 1, fields, config)
    pixels = fields["out_height"] * fields["out_width"]
    window = fields["kernel_height"] * fields["kernel_width"]
    return last_group + (pixels - 1) * interval + window


def _is_empty(fields: Mapping[str, int]) -> bool:
    """Return whether a VECTOR does nothing."""
    counts = ("groups", "kernel_height", "kernel_width", "out_height", "out_width")
    return any(fields[name] == 0 for name in counts)


def _vector_interval(fields: Mapping[str, int], config: Config) -> int:
    """Cycles of one output pixel of a lane group."""
    window = fields["kernel_height"] * fields["kernel_width"]
    return vector_pixel_cycles(window, fields["combine"] != Combine.NONE, config)


def _vector_group_start(group: int, fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the start of the first lane group to the start of group number `group`."""
    cycles = fields["out_height"] * fields["out_width"] * _vector_interval(fields, config)
    if fields["uniform"] or cycles >= GROUP_PAIR_CYCLES:
        return group * cycles
    return group // 2 * (cycles + GROUP_PAIR_CYCLES) + group % 2 * cycles


def _transfer_cycles(fields: Mapping[str, int], config: Config, burst_cycles: int) -> int:
    """`burst_cycles` is what a burst's place is taken for besides its data cycles."""
    data = transfer_data_cycles(fields, config)
    occupied = data + transfer_bursts(fields, config) * burst_cycles
    return max(1, data, -(-occupied // config.axi_outstanding))


def _lone_transfer_cycles(fields: Mapping[str, int], config: Config, burst_cycles: int) -> int:
    """As `_transfer_cycles`, but the first axi_outstanding bursts find their places free."""
    data = transfer_data_cycles(fields, config)
    bursts = transfer_bursts(fields, config)
    if not bursts:
        return 0
    places = config.axi_outstanding
    rounds, place = divmod(bursts - 1, places)
    a_round = max(bursts * burst_cycles + data, places * data)
    return max(data, -(-(rounds * a_round + (place + 1) * data) // bursts))
