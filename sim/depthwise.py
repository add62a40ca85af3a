"""DEPTHWISE on the simulator: exact sums of windows times per-channel weights."""

import numpy as np

from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.loops import SRAM_MODULUS
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.hw.spec.parameters import parse_depthwise
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import Array, gather


def execute_depthwise(i: Depthwise, state: State) -> Fault:
    """Execute a DEPTHWISE instruction on the state; return the fault it raises, or NONE."""
    if accesses(i, state.config).out_of_range:
        return Fault.SRAM_RANGE
    sums = _sums(i, state)
    pixels = sums.shape[1]
    for block, values in enumerate(sums):
        first = (i.destination + block * i.destination_stride) % SRAM_MODULUS
        words = state.accumulator[first : first + pixels]
        if i.accumulate:
            words[:, : state.config.rows] += values
        else:
            words[:, : state.config.rows] = values
            words[:, state.config.rows :] = 0
    return Fault.NONE


def _sums(i: Depthwise, state: State) -> Array:
    """Return (blocks, pixels, rows) int32."""
    config = state.config
    words = gather(state.activation, i.source_walk(), i.padding)
    assert words is not None, "the caller has checked the range"
    first = i.weights
    block = state.parameter[first : first + i.blocks * config.depthwise_words]
    weights = parse_depthwise(block, config).astype(np.float32)[:, :, :, None, None]
    shape = (i.blocks, i.out_height, i.out_width, config.rows)
    sums = np.zeros(shape, np.float32)
    for ky in range(i.kernel_height):
        for kx in range(i.kernel_width):
            columns = slice(kx, kx + (i.out_width - 1) * i.step + 1, i.step)
            sums += words[:, :, columns, ky] * weights[:, ky, kx]
    return sums.astype(np.int32).reshape(i.blocks, -1, config.rows)
