"""Where the cycles of each engine go, as the hardware's counters have it."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing.simulation import Simulation

REGISTER_CYCLES = 2
"""Cycles of a run that the counters do not see: the start write's and the interrupt's."""


def bucket_sums(machine: Simulation) -> Mapping[Engine, Mapping[Bucket, int]]:
    """Return the cycles of every engine by bucket; they sum to the run's."""
    total = machine.cycles - REGISTER_CYCLES
    return {engine: _sums_of(machine, engine, total) for engine in Engine}


def _sums_of(machine: Simulation, engine: Engine, total: int) -> dict[Bucket, int]:
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
    for start, end in chain(occupation.own_refusals, *occupation.refusals.values()):
        paint[start:end] = Bucket.BANK
    sums = {bucket: int(np.count_nonzero(paint[1:] == bucket)) for bucket in Bucket}
    refused = occupation.refused.total()
    sums[Bucket.BANK] += refused
    sums[Bucket.BUSY] -= refused
    return sums


def _paint_waits(
    machine: Simulation, engine: Engine, numbers: list[int], paint: NDArray[np.uint8]
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
