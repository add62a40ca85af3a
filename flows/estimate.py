"""Cycles without a simulation: the program, replayed by the compiler's cycle formulas."""

from tilewright.compiler.estimate import issue_cycles, latency_cycles
from tilewright.flows.report import Retired
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.program import Program


def estimated_retirements(program: Program) -> tuple[Retired, ...]:
    """Return when each instruction retires, by the formulas.

    An instruction issues when its engine has issued the one before and its waits are met; the
    queues are taken to be deep enough, and the DRAM to serve loads and stores independently.
    """
    free = dict.fromkeys(Engine, 0)
    ends: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    retired: list[Retired] = []
    for instruction in program.instructions:
        engine = instruction.engine
        if engine is None:
            continue
        start = free[engine]
        for wait in instruction.waits:
            if wait.count:
                start = max(start, ends[wait.engine][wait.count - 1])
        free[engine] = start + max(issue_cycles(instruction, program.config), 1)
        end = free[engine] + latency_cycles(instruction, program.config)
        ends[engine].append(max([end, *ends[engine][-1:]]))
        retired.append((engine, len(ends[engine]), ends[engine][-1]))
    return tuple(retired)
