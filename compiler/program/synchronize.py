"""Derive the waits: every dependence between tasks that hardware order does not cover.

Per word, the last writer and the readers since then are kept as their engines' task numbers
(`uses`). A task needs, of each engine, the retirement of the latest task it depends on; needs that
its engine's earlier tasks, or its other waits, imply already are dropped. Program order of one
engine is the order of its tasks.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.program.give_way import GiveWay
from tilewright.compiler.program.uses import NOTHING, Counts, Uses, is_behind, latest
from tilewright.hw.spec import isa
from tilewright.hw.spec.access import footprints
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Wait

ENGINES: Final = tuple(Engine)
NUM_ENGINES: Final = len(Engine)
DRAM_GRANULE = 64
"""DRAM is tracked in units of 64 bytes, rounded outward."""


class _History:
    """What an engine's instructions are behind, by their numbers from 1; close together."""

    def __init__(self) -> None:
        self._counts = array("i")

    def add(self, known: Counts) -> int:
        """Add the next instruction's and return its number."""
        self._counts.fromlist(known)
        return len(self._counts) // NUM_ENGINES

    def at(self, number: int) -> Counts:
        """Return those of the instruction of that number."""
        behind = number * NUM_ENGINES
        return self._counts[behind - NUM_ENGINES : behind].tolist()


def synchronize(
    tasks: deque[Task], chains: Sequence[range], config: Config, dram_bytes: int
) -> list[Task]:
    """Return the tasks with waits. Extra zero-length tasks carry waits beyond the four slots.

    tasks: taken out one by one, so that nobody holds both.
    chains: numbers of the layers that run together; dram_bytes: tasks write nothing behind them.
    """
    give_way = GiveWay(tasks, chains, config)
    uses = Uses(config, dram_bytes=dram_bytes, granule=DRAM_GRANULE)
    touches = footprints(config)
    issued: list[Counts] = [NOTHING for _ in Engine]
    history = [_History() for _ in Engine]
    result: list[Task] = []
    while tasks:
        task = tasks.popleft()
        engine = task.instruction.engine
        assert engine is not None
        touched = touches.accesses(task.instruction)
        reads, writes = uses.places(touched.reads), uses.places(touched.writes)
        need = uses.needed(engine, reads, writes)
        asked = give_way.requests(task, touched)
        known = issued[engine]
        if asked:
            need = need.copy()
            for other, last in give_way.needs(task, asked, latest(need, known)):
                need[other] = last
        waits, behind = _reduced(need, known, history)
        for wait, implied in zip(waits, behind, strict=True):
            known = latest(known, implied).copy()
            known[wait.engine] = max(known[wait.engine], wait.count)
        issued[engine] = known
        for extra in range(isa.NUM_WAITS, len(waits), isa.NUM_WAITS):
            history[engine].add(known)
            result.append(_carrier(task, tuple(waits[extra : extra + isa.NUM_WAITS])))
        number = history[engine].add(known)
        give_way.note(engine, number, asked)
        uses.note(engine, number, reads, writes)
        result.append(_waiting(task, tuple(waits[: isa.NUM_WAITS])))
    return result


def _waiting(task: Task, waits: tuple[Wait, ...]) -> Task:
    if waits == task.instruction.waits:
        return task
    return Task(task.instruction.waiting(waits), task.layer)


def _carrier(task: Task, waits: tuple[Wait, ...]) -> Task:
    """A zero-length instruction of the task's engine that only waits."""
    return Task(type(task.instruction)(waits=waits), task.layer)


def _reduced(
    need: Counts, known: Counts, history: list[_History]
) -> tuple[list[Wait], list[Counts]]:
    """Drop needs that are known already or implied by another need.

    Returns the waits, and what each awaited instruction is behind.
    """
    if is_behind(need, known):
        return [], []
    waits = [Wait(engine=ENGINES[n], count=need[n]) for n in range(len(need)) if need[n] > known[n]]
    behind = [history[wait.engine].at(wait.count) for wait in waits]
    if len(waits) < 2:
        return waits, behind
    kept = [place for place, wait in enumerate(waits) if not _is_implied(wait, behind)]
    return [waits[place] for place in kept], [behind[place] for place in kept]


def _is_implied(wait: Wait, behind: list[Counts]) -> bool:
    """Tell whether an awaited instruction is behind that one; none is behind itself."""
    for counts in behind:  # noqa: SIM110 a generator costs more than the rest
        if counts[wait.engine] >= wait.count:
            return True
    return False
