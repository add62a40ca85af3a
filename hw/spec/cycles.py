"""Constants of the RTL's timing, exact, and what follows from them alone.

`hw.spec.operations` has the formulas of instructions. The timing model and the compiler's search
use both. Every constant is a property of the RTL and pinned by a test there.
"""

from tilewright.hw.spec.config import Config

# Fetch, dispatch and control. Cycles count from the start write.

FETCH_START_CYCLES = 1
"""From the start write to the request of the first instruction."""


def fetch_arrival_cycles(config: Config) -> int:
    """From an instruction's last beat until dispatch can take it: it is decoded before."""
    return 3 + config.path_registers


def dispatch_cycles(config: Config) -> int:
    """Dispatch takes an instruction every so many cycles at most."""
    return 2 + 2 * config.path_registers


def done_cycles(config: Config) -> int:
    """From the cycle in which everything is seen to be over to the interrupt."""
    return 2 + config.path_registers


MATRIX_SETUP_CYCLES = 8
"""Cycles in which an instruction's row products form, while its first weight tile loads."""


def accumulate_latency(config: Config) -> int:
    """L: cycles from the read of an accumulator word until the sum can be read again."""
    return 3 + config.path_registers


def matrix_read_cycles(config: Config) -> int:
    """Cycles from the read of a pixel's activations until the array has them."""
    return 2 + config.path_registers


def acceptance_gap(config: Config) -> int:
    """Cycles from the last turn of a MATRIX, DEPTHWISE or VECTOR to the acceptance of the next.

    Before the first word of a block of DEPTHWISE there are so many, too.
    """
    return config.path_registers


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
    return max(pixels, config.rows, accumulate_latency(config))


def matrix_first_tile_cycles(config: Config) -> int:
    """Cycles from an instruction's acceptance until its first weight tile is loaded."""
    return max(matrix_tile_cycles(0, config), MATRIX_SETUP_CYCLES)


def matrix_pipeline(config: Config) -> int:
    """Cycles from the turn of a pixel to the write of its sums."""
    return 1 + matrix_read_cycles(config) + array_latency(config) + 1


# DEPTHWISE. A word is a step of the loops: an activation word, padding in its place, or the only
# step of an instruction that does nothing. Words count over all instructions. Each stage takes word
# n in the first cycle that is not before any of those listed; a read or write also needs its grant
# in that cycle. Without refusals all but `turn` then follow from the cycle of the stage before.
# P is path_registers. If it is 1, a word lands in a register in front of the lanes, there are
# stages `word` that has the weights of the word's kernel row in registers and `half` that has the
# products of the halves of these weights, and results wait for their read in a queue of two and
# land in a register. While the queue is full no word moves from `enter` to `queue`.
#
#   accept      of an instruction: its offer + P, turn of the last word of the one before + P
#   weights     of a block, depthwise_words reads, at most one a cycle: the offer of the instruction
#               + 2P (its first block; also before the acceptance), enter + 1 + P of the last
#               block's first word
#   turn[n]     leaves the loops: turn[n-1] + 1, read[n-3] + 1, accept + 1, and for a block's first
#               word the last read of its weights + 1 and turn[n-1] + 1 + P
#   read[n]     of the activations (padding passes): turn[n] + 2, read[n-1] + 1, enter[n-1]
#   enter[n]    the lanes or, if P, the register in front of them: read[n] + 1, product[n-1] (if P
#               is 0); a block's first word swaps the weights
#   word[n]     (if P) enter[n] + 1
#   half[n]     (if P) word[n] + 1
#   product[n]  enter[n] + 1, sum[n-1] or, if P, half[n] + 1
#   sum[n]      product[n] + 1, leave of the result before (if P is 0)
#   queue[n]    (if P) sum[n] + 1; the queue takes the result (one in kernel_height * step words)
#               and is full from queue[n] + 1 to the sum_read of the result before
#   sum_read[n] of a result (passes if it does not accumulate), in the cycle of its sum or, if P,
#               queue[n] + 1, sum_read of the result before + 1, leave of the result before
#   leave[n]    sum_read[n] + 1, write of the result before or, if P, its `total`
#   total[n]    (if P) leave[n] + 1, write of the result before
#   write[n]    of a result (passes if out of range): leave[n] + 1 or, if P, total[n] + 1; the last
#               one retires
#
# Read data lasts a cycle: a word that cannot enter in the cycle after its read, or a result that
# cannot leave then, requests again one cycle later, until it can go in the cycle after the grant.

DEPTHWISE_ADDRESS_CYCLES = 2
"""From a word's turn to its activation read."""


def depthwise_lane_cycles(config: Config) -> int:
    """Cycles from a word's activation read to its sum."""
    return 3 + 2 * config.path_registers


def depthwise_result_cycles(config: Config) -> int:
    """Cycles from a word's activation read to the write of its sum, and to retirement."""
    return depthwise_lane_cycles(config) + 2 + 3 * config.path_registers


def depthwise_weights_cycles(config: Config) -> int:
    """Cycles from when there is room for a block's weights to their first read."""
    return config.path_registers


def depthwise_look(config: Config) -> int:
    """Cycles from an instruction's offer until it is known to be empty or not."""
    return config.path_registers


def depthwise_offer_cycles(config: Config) -> int:
    """Cycles from an instruction's offer to the first read of weights, if there is room."""
    return 2 * config.path_registers


def depthwise_latch_cycles(config: Config) -> int:
    """Cycles from the turn of a block's first word to the next block's first read of weights."""
    return DEPTHWISE_ADDRESS_CYCLES + 2 + depthwise_weights_cycles(config)


def depthwise_pipeline(config: Config) -> int:
    """Cycles from a word's turn to retirement of the instruction that it ends."""
    return DEPTHWISE_ADDRESS_CYCLES + depthwise_result_cycles(config)


def depthwise_block_cycles(words: int, config: Config) -> int:
    """Cycles that a block of so many words has the loops for: what its successor's weights take."""
    weights = depthwise_latch_cycles(config) + config.depthwise_words
    return max(words + acceptance_gap(config), weights)


# LOAD and STORE. `latency` is that of the memory: from the handshake of a read's address to its
# first beat, from the last beat of a write to its response. The memory takes an address and a beat
# a cycle, in order.

READ_ARBITER_CYCLES = 1
"""Cycles a load's address spends in the arbiter between the engine and the AXI port."""
LOAD_PIPELINE_CYCLES = 3
"""Acceptance to address (2) and first beat to retirement (2), the beat's own cycle not counted."""
LOAD_BURST_CYCLES = 1
"""Cycles, besides latency and data, until a read burst's place is free for a new one."""
STORE_REQUEST_CYCLES = 4
"""Acceptance to the request of the first word."""
STORE_BURST_CYCLES = 2
"""Besides latency, data and a word's way to the bus, until a write burst's place is free."""
STORE_READ_AHEAD_BURSTS = 4
"""Write bursts whose address may go out before the first of their words is read."""
EMPTY_LOAD_LATENCY, EMPTY_STORE_LATENCY = 5, 3
"""Acceptance to retirement of an instruction with a zero count."""


def transfer_retirement(config: Config) -> int:
    """Cycles, besides all these, from a transfer's last write or response to its retirement."""
    return config.path_registers


def run_cycles(config: Config) -> int:
    """Cycles from run to run of transfers at least; the bursts of a run follow one a cycle.

    An instruction is accepted in the last of them before its first run.
    """
    return 1 + config.path_registers


def word_cycles(pitch: int, config: Config) -> int:
    """Cycles a word of that DRAM pitch takes: one, or as many as it has beats."""
    return max(1, pitch // config.axi_bytes)


def load_burst_cycles(memory_latency: int) -> int:
    """Cycles, besides its data, for which a read burst takes a place."""
    return memory_latency + READ_ARBITER_CYCLES + LOAD_BURST_CYCLES


def store_read_cycles(config: Config) -> int:
    """Cycles from the grant of a word's read to its beat on the bus; so many are under way."""
    return 3 + config.wire_registers


def store_pipeline_cycles(config: Config) -> int:
    """Acceptance to first beat, the beat's own cycle not counted."""
    return STORE_REQUEST_CYCLES + store_read_cycles(config) - 1


def store_burst_cycles(memory_latency: int, config: Config) -> int:
    """Cycles, besides its data, for which a write burst takes a place."""
    return memory_latency + STORE_BURST_CYCLES + store_read_cycles(config)


def store_taking_cycles(config: Config) -> int:
    """Cycles, at least, from one burst to the next that a store begins to read."""
    return 1 + config.path_registers


BURST_BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of it (AMBA AXI4, A3.4.1)."""
MAX_BURST_BEATS = 256


def burst_limit(config: Config) -> int:
    """Return the power of two, in bytes, that no burst crosses: 4 KiB or 256 beats."""
    return min(BURST_BOUNDARY_BYTES, MAX_BURST_BEATS * config.axi_bytes)


VECTOR_WRITE_CYCLES = 1
"""The last ones of vector_pipeline: from a result to its write and the retirement with it."""
EMPTY_VECTOR_LATENCY = 3
"""From the acceptance of a VECTOR instruction that writes nothing to its retirement."""
GROUP_PAIR_CYCLES = 2
"""From group to group but one there are this many cycles more than the first of them takes."""
NEGATIVE_SCALE_CYCLES = 3
"""In front of a lane group that has two words: both scale registers come free, one word more."""
TABLE_CYCLES = 32
"""Eight table entries a cycle."""


def vector_pipeline(config: Config) -> int:
    """Cycles from the last source read's turn to its results' write, and from acceptance to the
    first turn."""
    return 16 + 5 * config.path_registers + config.wire_registers


def combine_pipeline(config: Config) -> int:
    """Cycles that the second stage adds to these, besides lanes/operand_lanes."""
    return 9 + 5 * config.path_registers + 2 * config.wire_registers + config.recodes


def vector_look(config: Config) -> int:
    """Cycles from an instruction's offer until it is known to be empty or not."""
    return config.path_registers


def operand_cycles(config: Config) -> int:
    """Cycles from the acceptance of a VECTOR with a second stage to its first operand's read."""
    return 2 + config.path_registers


def vector_pixel_cycles(kernel: int, combines: bool, config: Config) -> int:
    """Cycles of one output pixel of a lane group, whose window has `kernel` source pixels."""
    return max(kernel, config.lanes // config.operand_lanes) if combines else kernel
