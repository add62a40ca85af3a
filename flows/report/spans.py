"""A program's instructions in time, by the timing model."""

from collections.abc import Iterator

from tilewright.compiler.plan.estimate import issue_cycles
from tilewright.flows.report.report import Retired
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.program import Program, chain_ends
from tilewright.sim.timing import TimingResult, simulate
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Span:
    """One instruction in time; cycles count from the start."""

    engine: Engine
    layer: int
    """Number of its layer, of layers that run together the last one's; -1: none."""
    start: int
    """When its engine begins with it: it has issued, and the one before is through."""
    free: int
    """When the engine is through with it and could begin with the next one."""
    retired: int
    held_by: Engine | None
    """The engine whose retirement it waited for in its queue, if any."""


@record(frozen=True, kw_only=True)
class Timeline:
    """The instructions in program order, END left out."""

    spans: tuple[Span, ...]
    cycles: int
    """Of the whole run, to the interrupt."""
    retirements: tuple[Retired, ...]
    refused: tuple[int, ...]
    """In how many cycles each of the program's instructions, END too, was refused a bank's port."""


def timeline(program: Program, latency: int = MEMORY_LATENCY) -> Timeline:
    """Return when each instruction runs, for a DRAM latency in cycles."""
    timing = simulate(program, latency=latency)
    spans = tuple(spans_of(program, timing))
    return Timeline(
        spans=spans,
        cycles=timing.cycles,
        retirements=timing.retirements,
        refused=timing.refused,
    )


def spans_of(program: Program, timing: TimingResult) -> Iterator[Span]:
    """Yield the instructions in program order, END left out."""
    free = dict.fromkeys(Engine, 0)
    together = (*chain_ends(program.layers), -1)
    for number, instruction in enumerate(program.instructions):
        engine, retired = timing.engines[number], timing.retired[number]
        if engine is None or retired < 0:
            continue
        start = min(max(timing.issued[number], free[engine]), retired)
        free[engine] = min(start + max(issue_cycles(instruction, program.config), 1), retired)
        yield Span(
            engine=engine,
            layer=together[int(program.instruction_layers[number])],
            start=start,
            free=free[engine],
            retired=retired,
            held_by=timing.waited_for[number],
        )
