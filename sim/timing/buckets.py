"""Where the cycles of each engine go, as the hardware's counters have it."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing.ports import Interval
from tilewright.sim.timing.simulation import Simulation

REGISTER_CYCLES = 2
"""Cycles of a run that the counters do not see: the start write's and the interrupt's."""


def bucket_sums(machine: Simulation) -> Mapping[Engine, Mapping[Bucket, int]]:
    """Return the cycles of every engine by bucket; they sum to the run's."""
    total = machine.cycles - REGISTER_CYCLES
    return {engine: _sums_of(machine, engine, total) for engine in Engine}


class _Strip:
    """Cycles 1 .. total, painted in coats of intervals: what is painted last shows."""

    def __init__(self, total: int) -> None:
        self._end = total + 1
        self._coats: list[tuple[Bucket, NDArray[np.int64]]] = []

    def paint(self, intervals: Sequence[Interval], bucket: Bucket) -> None:
        """Paint the cycles [start, end) of all intervals."""
        cycles = np.fromiter(chain.from_iterable(intervals), np.int64, 2 * len(intervals))
        self._coats.append((bucket, cycles.clip(1, self._end)))

    def sums(self) -> dict[Bucket, int]:
        """Return how many cycles each bucket shows in."""
        cycles = [np.array([1, self._end]), *(cycles for _, cycles in self._coats)]
        borders, places = np.unique(np.concatenate(cycles), return_inverse=True)
        shown = np.full(len(borders) - 1, Bucket.IDLE, np.uint8)
        behind = 2
        for bucket, painted in self._coats:
            first, behind = behind, behind + len(painted)
            starts, ends = (
                np.bincount(places[start:behind:2], minlength=len(borders))
                for start in (first, first + 1)
            )
            shown[np.cumsum(starts - ends)[:-1] > 0] = bucket
        sums = np.bincount(shown, np.diff(borders), len(Bucket)).astype(np.int64).tolist()
        return {bucket: sums[bucket] for bucket in Bucket}


def _sums_of(machine: Simulation, engine: Engine, total: int) -> dict[Bucket, int]:
    """One engine's cycles 1 .. total, painted from the weakest bucket to the strongest."""
    strip = _Strip(total)
    numbers = [n for n, of in enumerate(machine.engines) if of == engine and machine.retired[n] > 0]
    occupation = machine.occupations[engine]
    at_work = [(machine.issued[number] + 1, machine.retired[number] + 1) for number in numbers]
    is_transfer = engine in (Engine.LOAD, Engine.STORE)
    if is_transfer:
        strip.paint(at_work, Bucket.MEMORY)
    _paint_waits(machine, engine, numbers, strip)
    if not is_transfer:
        strip.paint(at_work, Bucket.BUSY)
    if engine == Engine.VECTOR:
        prepared = [(machine.offered[number], machine.issued[number] + 1) for number in numbers]
        strip.paint(prepared, Bucket.BUSY)
    strip.paint(occupation.busy, Bucket.BUSY)
    refused = chain(occupation.own_refusals, *occupation.refusals.values())
    strip.paint(list(refused), Bucket.BANK)
    sums = strip.sums()
    cycles = occupation.refused.total()
    sums[Bucket.BANK] += cycles
    sums[Bucket.BUSY] -= cycles
    return sums


def _paint_waits(machine: Simulation, engine: Engine, numbers: list[int], strip: _Strip) -> None:
    """The head of the queue waits for the engine of its first unmet slot."""
    occupation = machine.occupations[engine]
    waits: dict[Engine, list[Interval]] = {other: [] for other in Engine}
    previous = None
    for number in numbers:
        start = machine.taken[number] + 1
        if previous is not None:
            start = max(start, machine.issued[previous] + 1, occupation.ready.get(previous, 0))
        for wait in machine.instructions[number].waits:
            if wait.count:
                met = machine.queue_states[wait.engine].retirements[wait.count - 1] + 1
                if met > start:
                    waits[wait.engine].append((start, met))
                    start = met
        previous = number
    for other, intervals in waits.items():  # which are disjoint
        strip.paint(intervals, Bucket[f"WAIT_{other.name}"])
