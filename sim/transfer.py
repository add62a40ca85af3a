"""LOAD and STORE on the simulator: words between DRAM and an SRAM."""

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import (
    DRAM_MODULUS,
    SRAM_MODULUS,
    Dimension,
    Space,
    transfer_space,
    word_pitch,
)
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.registers import Fault
from tilewright.sim.state import State
from tilewright.sim.window import grid_addresses, grid_view

Bytes = NDArray[np.uint8]


def execute_transfer(i: Instruction, state: State) -> Fault:
    """Execute a LOAD or STORE instruction on the state; return the fault it raises, or NONE."""
    if 0 in (i["run"], i["count0"], i["count1"], i["count2"]):
        return Fault.NONE
    space = transfer_space(i)
    sram = state.sram[space]
    pitch = word_pitch(space, state.config)
    words = state.memory_words(pitch)[:, : sram.shape[1]]
    words = words[: len(state.memory) // pitch]
    near: tuple[Dimension, ...] = (*_steps(i, "sram_stride", 1), (i["run"], 1))
    far: tuple[Dimension, ...] = (*_steps(i, "dram_stride", pitch), (i["run"], 1))
    start = i["dram_address"] // pitch
    source, target = (sram, words) if i.operation == "STORE" else (words, sram)
    near_view = grid_view(sram, i["sram_address"], near)
    far_view = grid_view(words, start, far)
    if near_view is None or far_view is None:
        addresses = _sram_addresses(i, space, near, len(sram))
        far_addresses = grid_addresses(start, far, DRAM_MODULUS // pitch).reshape(-1)
        if addresses is None:
            return Fault.SRAM_RANGE
        if far_addresses.max() >= len(words):
            return Fault.BUS_ERROR
        if i.operation == "STORE":
            target[far_addresses] = source[addresses]
        else:
            target[addresses] = source[far_addresses]
    elif i.operation == "STORE":
        far_view[...] = near_view
    else:
        near_view[...] = far_view
    return Fault.NONE


def _steps(i: Instruction, name: str, unit: int) -> tuple[Dimension, ...]:
    """Return (count, stride in words) of the three strided dimensions, outermost first."""
    return tuple((i[f"count{axis}"], i[f"{name}{axis}"] // unit) for axis in (2, 1, 0))


def _sram_addresses(
    i: Instruction, space: Space, dimensions: tuple[Dimension, ...], words: int
) -> NDArray[np.int64] | None:
    """Return every SRAM address in order; None if one (weights: a run's first) is out of range."""
    if space == Space.WEIGHT:
        first = grid_addresses(i["sram_address"], dimensions[:-1], SRAM_MODULUS).reshape(-1, 1)
        if first.max() >= words:
            return None
        return np.asarray(((first + np.arange(i["run"])) % words).reshape(-1))
    addresses = grid_addresses(i["sram_address"], dimensions, SRAM_MODULUS).reshape(-1)
    return addresses if addresses.max() < words else None
