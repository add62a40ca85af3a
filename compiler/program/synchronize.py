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
from tilewright.compiler.program.give_way import GiveWay
from tilewright.hw.spec import isa
from tilewright.hw.spec.access import Access, accesses, merge
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.loops import Addresses, Space, num_words

DRAM_GRANULE = 64
"""DRAM is tracked in units of 64 bytes, rounded outward."""

Counts = NDArray[np.int32]
"""A retirement count per engine."""

Place = tuple[Space, slice | Addresses]
"""Words of a memory."""

_MAX_SLICES = 4
"""More intervals of an access than that are looked up word by word."""


class _Memory:
    """Per engine and word: number of the last task that wrote it, and that touched it at all."""

    def __init__(self, words: int) -> None:
        self.written = np.zeros((len(Engine), words), np.int32)
        self.touched = np.zeros((len(Engine), words), np.int32)


def synchronize(
    tasks: Sequence[Task], chains: Sequence[range], config: Config, dram_bytes: int
) -> list[Task]:
    """Return the tasks with waits. Extra zero-length tasks carry waits beyond the four slots.

    chains: numbers of the layers that run together.
    """
    give_way = GiveWay(tasks, chains, config)
    memories = {
        space: _Memory(
            -(-dram_bytes // DRAM_GRANULE) + 1 if space == Space.DRAM else num_words(space, config)
        )
        for space in Space
    }
    counts = dict.fromkeys(Engine, 0)
    issued = {engine: np.zeros(len(Engine), np.int32) for engine in Engine}
    history: dict[Engine, list[Counts]] = {engine: [] for engine in Engine}
    result: list[Task] = []
    for task in tasks:
        engine = task.instruction.engine
        assert engine is not None
        touched = accesses(task.instruction, config)
        reads, writes = _places(touched.reads), _places(touched.writes)
        need = _needs(engine, reads, writes, memories)
        asked = give_way.requests(task, touched)
        for other, last in give_way.needs(task, asked, np.maximum(need, issued[engine]).tolist()):
            need[other] = last
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
        give_way.note(engine, number, asked)
        for space, words in reads:
            memories[space].touched[engine, words] = number
        for space, words in writes:
            memories[space].written[engine, words] = number
            memories[space].touched[engine, words] = number
        first = tuple(waits[: isa.NUM_WAITS])
        result.append(replace(task, instruction=task.instruction.waiting(first)))
    return result


def _carrier(task: Task, waits: tuple[Wait, ...]) -> Task:
    """A zero-length instruction of the task's engine that only waits."""
    return replace(task, instruction=type(task.instruction)(waits=waits))


def _places(touched: tuple[Access, ...]) -> list[Place]:
    """Return where each access finds its words in a `_Memory`."""
    places: list[Place] = []
    for access in touched:
        starts, ends = access.starts, access.ends
        if access.space == Space.DRAM:
            starts, ends = merge(starts // DRAM_GRANULE, -(-ends // DRAM_GRANULE))
        if starts.size <= _MAX_SLICES:
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            places += [(access.space, slice(*pair)) for pair in pairs]
        else:
            words = Access(space=access.space, starts=starts, ends=ends).addresses
            places.append((access.space, words))
    return places


def _needs(
    engine: Engine, reads: list[Place], writes: list[Place], memories: dict[Space, _Memory]
) -> Counts:
    need = np.zeros(len(Engine), np.int32)
    for space, words in reads:
        written = memories[space].written[:, words].max(axis=1)
        if engine == Engine.MATRIX and space == Space.ACCUMULATOR:
            written[engine] = 0
        np.maximum(need, written, out=need)
    for space, words in writes:
        touched = memories[space].touched[:, words].max(axis=1)
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
