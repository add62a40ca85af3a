"""Where the cycles of each engine go, as the hardware's counters have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine

REGISTER_CYCLES = 2
"""Cycles of a run that the counters do not see: the start write's and the interrupt's."""


@dataclass
class Occupation:
    """What an engine notes for its counters while it is replayed."""

    busy: list[tuple[int, int]] = field(default_factory=list)
    """Half-open intervals in which something moves or is refused."""
    refused: int = 0
    """Cycles of those in which a port of an SRAM was refused."""
    refusals: list[tuple[int, int]] = field(default_factory=list)
    """Half-open intervals in which one was, where an engine notes them and not their number."""
    ready: dict[int, int] = field(default_factory=dict)
    """For each instruction, from when on its engine would take a successor."""


def bucket_sums(machine: "Machine") -> Mapping[Engine, Mapping[Bucket, int]]:
    """Return the cycles of every engine by bucket; they sum to the run's."""
    total = machine.cycles - REGISTER_CYCLES
    return {engine: _sums_of(machine, engine, total) for engine in Engine}


def _sums_of(machine: "Machine", engine: Engine, total: int) -> dict[Bucket, int]:
    """One engine's cycles 1 .. total, painted from the weakest bucket to the strongest."""
    paint = np.full(total + 1, Bucket.IDLE, np.uint8)
    numbers = [n for n, of in enumerate(machine.engines) if of == engine and machine.retired[n] > 0]
    occupation = machine.occupations[engine]
    is_transfer = engine in (Engine.LOAD, Engine.STORE)
    if is_transfer:
        for number in numbers:
            paint[machine.issued[number] + 1 : machine.retired[number] + 1] = Bucket.MEMORY
    _paint_waits(machine, engine, numbers, paint)
    if not is_transfer:
        for number in numbers:
            paint[machine.issued[number] + 1 : machine.retired[number] + 1] = Bucket.BUSY
    if engine == Engine.VECTOR:
        for number in numbers:
            paint[machine.offered[number] : machine.issued[number] + 1] = Bucket.BUSY
    for start, end in occupation.busy:
        paint[start:end] = Bucket.BUSY
    for start, end in occupation.refusals:
        paint[start:end] = Bucket.BANK
    counts = np.bincount(paint[1:], minlength=len(Bucket)).tolist()
    sums = {bucket: int(counts[bucket]) for bucket in Bucket}
    sums[Bucket.BANK] += occupation.refused
    sums[Bucket.BUSY] -= occupation.refused
    return sums


def _paint_waits(
    machine: "Machine", engine: Engine, numbers: list[int], paint: NDArray[np.uint8]
) -> None:
    """The head of the queue waits for the engine of its first unmet slot."""
    occupation = machine.occupations[engine]
    previous = None
    for number in numbers:
        start = machine.taken[number] + 1
        if previous is not None:
            start = max(start, machine.issued[previous] + 1, occupation.ready.get(previous, 0))
        for wait in machine.instructions[number].waits:
            if wait.count:
                met = machine.queues[wait.engine].retirements[wait.count - 1] + 1
                if met > start:
                    paint[start:met] = Bucket[f"WAIT_{wait.engine.name}"]
                    start = met
        previous = number
