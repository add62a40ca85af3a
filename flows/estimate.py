"""Cycles without a simulation: the program, replayed by the compiler's cycle formulas."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.estimate import issue_cycles, latency_cycles
from tilewright.flows.report import Retired
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.hw.spec.program import Program


@dataclass(frozen=True, kw_only=True)
class Span:
    """One instruction in time; cycles count from the start."""

    engine: Engine
    layer: int
    """Number of its layer; -1: none."""
    issued: int
    free: int
    """When the engine could issue its next instruction."""
    retired: int
    held_by: Engine | None
    """The engine whose retirement it waited for while its own engine was free, if any."""


def estimated_spans(program: Program) -> tuple[Span, ...]:
    """Return when each instruction but END issues and retires, by the formulas.

    An instruction issues when its engine has issued the one before and its waits are met; the
    queues are taken to be deep enough, and the DRAM to serve loads and stores independently.
    """
    free = dict.fromkeys(Engine, 0)
    ends: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    spans = []
    layers = program.instruction_layers.tolist()
    for instruction, layer in zip(program.instructions, layers, strict=True):
        engine = instruction.engine
        if engine is None:
            continue
        met, holder = _waits_met(instruction, ends)
        issued = max(free[engine], met)
        held_by = holder if met > free[engine] else None
        free[engine] = issued + max(issue_cycles(instruction, program.config), 1)
        end = free[engine] + latency_cycles(instruction, program.config)
        ends[engine].append(max([end, *ends[engine][-1:]]))
        spans.append(
            Span(
                engine=engine,
                layer=layer,
                issued=issued,
                free=free[engine],
                retired=ends[engine][-1],
                held_by=held_by,
            )
        )
    return tuple(spans)


def _waits_met(
    instruction: Instruction, ends: dict[Engine, list[int]]
) -> tuple[int, Engine | None]:
    """Return when the last wait is met, and by which engine."""
    met: tuple[int, Engine | None] = (0, None)
    for wait in instruction.waits:
        if wait.count and ends[wait.engine][wait.count - 1] > met[0]:
            met = (ends[wait.engine][wait.count - 1], wait.engine)
    return met


def retirements(spans: Sequence[Span]) -> tuple[Retired, ...]:
    """Return engine, number and cycle of each retirement."""
    counts = dict.fromkeys(Engine, 0)
    retired = []
    for span in spans:
        counts[span.engine] += 1
        retired.append((span.engine, counts[span.engine], span.retired))
    return tuple(retired)


def estimated_retirements(program: Program) -> tuple[Retired, ...]:
    """Return when each instruction retires, by the formulas; see `estimated_spans`."""
    return retirements(estimated_spans(program))
