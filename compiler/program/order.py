"""Program order: list scheduling of all engines by the cycle formulas.

Each engine keeps the order of its tasks. A task starts when its engine has issued the one before
and what it waits for has retired; the program lists the tasks by start time, so that dispatch,
which is in order, never holds an engine up for another one's full queue.
"""

from collections.abc import Sequence

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.plan.estimate import estimates_of
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine


def start_times(tasks: Sequence[Task], config: Config) -> list[int]:
    """Return each task's estimated issue cycle; tasks are in an order without future waits."""
    estimates = estimates_of(config)
    free = [0 for _ in Engine]
    retired: list[list[int]] = [[] for _ in Engine]
    starts = []
    for task in tasks:
        engine = task.instruction.engine
        assert engine is not None
        start = free[engine]
        for wait in task.instruction.waits:
            if wait.count:
                start = max(start, retired[wait.engine][wait.count - 1])
        starts.append(start)
        issue, latency = estimates.cycles(task.instruction)
        free[engine] = start + max(issue, 1)
        end, before = free[engine] + latency, retired[engine]
        before.append(max(end, before[-1]) if before else end)
    return starts


def program_order(tasks: Sequence[Task], config: Config) -> list[Task]:
    """Return the tasks by estimated start; equal starts keep their order."""
    starts = start_times(tasks, config)
    return [tasks[number] for number in sorted(range(len(tasks)), key=starts.__getitem__)]
