"""Where the cycles of each engine go, as the hardware's counters have it."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing.simulation import Ledger

Cycles = NDArray[np.int64]

REGISTER_CYCLES = 2
"""Cycles of a run that the counters do not see: the start write's and the interrupt's."""


def bucket_sums(ledger: Ledger, cycles: int) -> Mapping[Engine, Mapping[Bucket, int]]:
    """Return the cycles of every engine by bucket; they sum to those of the run."""
    retired = np.array(ledger.retired) > 0
    engines = np.array([-1 if engine is None else engine for engine in ledger.engines])
    borders = np.array((ledger.offered, ledger.issued, ledger.retired), np.int64)
    borders[1:] += 1
    return {
        engine: _sums_of(
            ledger,
            engine,
            np.flatnonzero(retired & (engines == engine)),
            borders,
            cycles - REGISTER_CYCLES,
        )
        for engine in Engine
    }


class _Strip:
    """Cycles 1 .. total, painted in coats of intervals: what is painted last shows."""

    def __init__(self, total: int) -> None:
        self._end = total + 1
        self._coats: list[tuple[Bucket, Cycles]] = []

    def paint(self, borders: Sequence[int] | Cycles, bucket: Bucket) -> None:
        """Paint the cycles [start, end) of all intervals: starts and ends in turn."""
        self._coats.append((bucket, np.asarray(borders, np.int64).clip(1, self._end)))

    def sums(self) -> dict[Bucket, int]:
        """Return how many cycles each bucket shows in."""
        cycles = [np.array([1, self._end]), *(cycles for _, cycles in self._coats)]
        borders = np.concatenate(cycles)
        borders.sort()
        borders = borders[np.append(True, borders[1:] > borders[:-1])]
        shown = np.full(len(borders) - 1, Bucket.IDLE, np.uint8)
        for bucket, painted in self._coats:
            places = borders.searchsorted(painted)
            depth = np.bincount(places[::2], minlength=len(borders))
            depth -= np.bincount(places[1::2], minlength=len(borders))
            np.cumsum(depth, out=depth)
            shown[depth[:-1] > 0] = bucket
        sums = np.bincount(shown, np.diff(borders), len(Bucket)).astype(np.int64).tolist()
        return {bucket: sums[bucket] for bucket in Bucket}


def _sums_of(
    ledger: Ledger, engine: Engine, numbers: Cycles, borders: Cycles, total: int
) -> dict[Bucket, int]:
    """One engine's cycles 1 .. total, painted from the weakest bucket to the strongest.

    numbers: of its instructions that ran; borders: of all instructions, rows of when each is
    offered and the cycles behind its issue and its retirement.
    """
    strip = _Strip(total)
    occupation = ledger.occupations[engine]
    at_work = borders[1:, numbers].T.reshape(-1)
    is_transfer = engine in (Engine.LOAD, Engine.STORE)
    if is_transfer:
        strip.paint(at_work, Bucket.MEMORY)
    _paint_waits(ledger, engine, numbers.tolist(), strip)
    if not is_transfer:
        strip.paint(at_work, Bucket.BUSY)
    if engine == Engine.VECTOR:
        strip.paint(borders[:2, numbers].T.reshape(-1), Bucket.BUSY)
    strip.paint(occupation.busy, Bucket.BUSY)
    refused = chain(occupation.own_refusals, *occupation.refusals.values())
    strip.paint(list(chain.from_iterable(refused)), Bucket.BANK)
    sums = strip.sums()
    cycles = occupation.refused.total()
    sums[Bucket.BANK] += cycles
    sums[Bucket.BUSY] -= cycles
    return sums


def _paint_waits(ledger: Ledger, engine: Engine, numbers: list[int], strip: _Strip) -> None:
    """The head of the queue waits for the engine of its first unmet slot."""
    occupation = ledger.occupations[engine]
    waits = [array("q") for _ in Engine]
    ready = occupation.ready or [0] * len(numbers)
    for place, number in enumerate(numbers):
        start = ledger.taken[number] + 1
        if place:
            start = max(max(start, ledger.issued[numbers[place - 1]] + 1), ready[place - 1])
        for wait in ledger.instructions[number].waits:
            if wait.count:
                met = ledger.retirements[wait.engine][wait.count - 1] + 1
                if met > start:
                    waits[wait.engine].append(start)
                    waits[wait.engine].append(met)
                    start = met
    for other in Engine:  # whose intervals are disjoint
        strip.paint(waits[other], Bucket[f"WAIT_{other.name}"])
