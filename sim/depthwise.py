"""DEPTHWISE on the simulator: exact sums of windows times per-channel weights."""

import numpy as np

from tilewright.hw.spec.access import DEPTHWISE_COUNTS, SRAM_MODULUS, accesses
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.parameters import parse_depthwise
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import Array, gather_windows


def execute_depthwise(i: Instruction, state: State) -> Fault:
    """Execute a DEPTHWISE instruction on the state; return the fault it raises, or NONE."""
    if any(i[name] == 0 for name in DEPTHWISE_COUNTS):
        return Fault.NONE
    if accesses(i, state.config).out_of_range:
        return Fault.SRAM_RANGE
    sums = _sums(i, state)
    pixels = sums.shape[1]
    for block, values in enumerate(sums):
        first = (i["destination"] + block * i["destination_stride"]) % SRAM_MODULUS
        words = state.accumulator[first : first + pixels]
        if i["accumulate"]:
            words[:, : state.config.rows] += values
        else:
            words[:, : state.config.rows] = values
            words[:, state.config.rows :] = 0
    return Fault.NONE


def _sums(i: Instruction, state: State) -> Array:
    """Return (blocks, pixels, rows) int32."""
    config = state.config
    fields = {**i.fields, "stride_x": max(i["stride_x"], 1), "dilation_x": 1}
    window = Instruction(operation=i.operation, fields=fields)
    blocks = ((i["blocks"], i["source_stride"]),)
    windows, _ = gather_windows(state.activation, i["source"], blocks, window)
    first = i["weights"]
    words = state.parameter[first : first + i["blocks"] * config.depthwise_words]
    weights = parse_depthwise(words, config).astype(np.float32)[:, :, :, None, None]
    shape = (i["blocks"], i["out_height"], i["out_width"], config.rows)
    sums = np.zeros(shape, np.float32)
    for ky in range(i["kernel_height"]):
        for kx in range(i["kernel_width"]):
            sums += windows[:, ky, kx] * weights[:, ky, kx]
    return sums.astype(np.int32).reshape(i["blocks"], -1, config.rows)
