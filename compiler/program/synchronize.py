"""Derive the waits: every dependence between tasks that hardware order does not cover.

Per word, the last writer and the last reader of each engine are kept as that engine's task number.
A task needs, of each engine, the retirement of the latest task it depends on; needs that its
engine's earlier tasks, or its other waits, imply already are dropped. Program order of one engine
is the order of its tasks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.program.regions import DRAM_GRANULE, Range, regions
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Wait

Counts = NDArray[np.int32]
"""A retirement count per engine."""


class _Memory:
    """Per word and engine: number of the last task that wrote, and that read it."""

    def __init__(self, words: int) -> None:
        self.written = np.zeros((len(Engine), words), np.int32)
        self.read = np.zeros((len(Engine), words), np.int32)


def synchronize(tasks: Sequence[Task], config: Config, dram_bytes: int) -> list[Task]:
    """Return the tasks with waits. Extra zero-length tasks carry waits beyond the four slots."""
    memories = {
        "activation": _Memory(config.activation_words),
        "weight": _Memory(config.weight_words),
        "accumulator": _Memory(config.accumulator_words),
        "parameter": _Memory(config.parameter_words),
        "dram": _Memory(-(-dram_bytes // DRAM_GRANULE) + 1),
    }
    counts = dict.fromkeys(Engine, 0)
    issued = {engine: np.zeros(len(Engine), np.int32) for engine in Engine}
    history: dict[Engine, list[Counts]] = {engine: [] for engine in Engine}
    result: list[Task] = []
    for task in tasks:
        engine = task.instruction.engine
        assert engine is not None
        touched = regions(task.instruction, config)
        need = _needs(engine, touched.reads, touched.writes, memories)
        waits = _reduced(need, issued[engine], history)
        known = issued[engine].copy()
        for wait in waits:
            known = np.maximum(known, history[wait.engine][wait.count - 1])
            known[wait.engine] = max(known[wait.engine], wait.count)
        issued[engine] = known
        for extra in range(0, max(len(waits) - isa.NUM_WAITS, 0), isa.NUM_WAITS):
            beyond = waits[isa.NUM_WAITS :][extra : extra + isa.NUM_WAITS]
            counts[engine] += 1
            history[engine].append(known)
            result.append(_carrier(task, tuple(beyond)))
        counts[engine] += 1
        history[engine].append(known)
        number = counts[engine]
        for memory, start, stop in touched.reads:
            memories[memory].read[engine, start:stop] = number
        for memory, start, stop in touched.writes:
            memories[memory].written[engine, start:stop] = number
        first = tuple(waits[: isa.NUM_WAITS])
        result.append(replace(task, instruction=replace(task.instruction, waits=first)))
    return result


def _carrier(task: Task, waits: tuple[Wait, ...]) -> Task:
    """A zero-length instruction of the task's engine that only waits."""
    return replace(task, instruction=isa.instruction(task.instruction.operation, waits))


def _needs(
    engine: Engine,
    reads: tuple[Range, ...],
    writes: tuple[Range, ...],
    memories: dict[str, _Memory],
) -> Counts:
    need = np.zeros(len(Engine), np.int32)
    for memory, start, stop in reads:
        written = memories[memory].written[:, start:stop].max(axis=1)
        if engine == Engine.MATRIX and memory == "accumulator":
            written[engine] = 0
        np.maximum(need, written, out=need)
    for memory, start, stop in writes:
        other = memories[memory]
        touched = np.maximum(
            other.written[:, start:stop].max(axis=1), other.read[:, start:stop].max(axis=1)
        )
        touched[engine] = 0
        np.maximum(need, touched, out=need)
    return need


def _reduced(need: Counts, known: Counts, history: dict[Engine, list[Counts]]) -> list[Wait]:
    """Drop needs that are known already or implied by another need."""
    late = np.flatnonzero(need > known).tolist()
    waits = [Wait(engine=Engine(e), count=int(need[e])) for e in late]
    if len(waits) < 2:
        return waits
    kept = []
    for wait in waits:
        implied = any(
            history[other.engine][other.count - 1][wait.engine] >= wait.count
            for other in waits
            if other is not wait
        )
        if not implied:
            kept.append(wait)
    return kept
