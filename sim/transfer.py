"""LOAD and STORE on the simulator: words between DRAM and an SRAM."""

import numpy as np

from tilewright.hw.spec.loops import DRAM_MODULUS, SRAM_MODULUS, Addresses, Walk, addresses
from tilewright.hw.spec.operations.transfer import Store, Transfer
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import grid_view


def execute_transfer(i: Transfer, state: State) -> Fault:
    """Execute a LOAD or STORE instruction on the state; return the fault it raises, or NONE."""
    sram = state.sram[i.space]
    pitch = i.pitch(state.config)
    words = state.memory_words(pitch)[:, : sram.shape[1]]
    words = words[: len(state.memory) // pitch]
    near, far = i.sram_walk(), i.dram_walk(state.config)
    near_view, far_view = grid_view(sram, near), grid_view(words, far, pitch)
    is_store = isinstance(i, Store)
    if near_view is None or far_view is None:
        near_words = _words(near, len(sram) if near.is_ring else SRAM_MODULUS)
        far_words = _words(far, DRAM_MODULUS // pitch, pitch)
        checked = near_words[:, 0] if near.is_ring else near_words
        if checked.max() >= len(sram):
            return Fault.SRAM_RANGE
        if far_words.max() >= len(words):
            return Fault.BUS_ERROR
        if is_store:
            words[far_words] = sram[near_words]
        else:
            sram[near_words] = words[far_words]
    elif is_store:
        far_view[...] = near_view
    else:
        near_view[...] = far_view
    return Fault.NONE


def _words(walk: Walk, modulus: int, unit: int = 1) -> Addresses:
    """Return every word (runs, words of a run) in order; the walk counts in `unit`-ths of them.

    The first word of a run is not reduced.
    """
    first = addresses(walk)[0].reshape(-1, 1) // unit
    steps = np.arange(walk.run // unit, dtype=np.int64)
    return np.where(steps == 0, first, (first + steps) % modulus)
