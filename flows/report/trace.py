"""A run in the timing model as a trace that Chrome and Perfetto show.

The format is the JSON of Chrome's "Trace Event Format": complete events ("X") on threads of
processes, times in microseconds. A microsecond stands for a cycle.
"""

import json
from collections.abc import Iterator
from typing import Any

from tilewright.flows.report.report import layer_cycles
from tilewright.flows.report.spans import Span, spans_of
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.program import Program
from tilewright.sim.timing import TimingResult, simulate

Event = dict[str, Any]

LAYERS, ENGINES = "layers", "engines"


def chrome_trace(program: Program, latency: int = MEMORY_LATENCY) -> str:
    """Return the trace of a run with that DRAM latency in cycles, as JSON text, an event a line."""
    timing = simulate(program, latency=latency, is_traced=True)
    tracks = Tracks()
    events = [
        *_layers(program, timing, tracks),
        *_engines(program, timing, tracks),
        *_ports(program, timing, tracks),
    ]
    lines = ",\n".join(json.dumps(event) for event in [*tracks.names(), *events])
    facts = {
        "model": program.metadata.get("model"),
        "config": program.config.name,
        "dram_latency_cycles": latency,
        "cycles": timing.cycles,
        "unit": "1 us is 1 cycle",
    }
    return f'{{"traceEvents": [\n{lines}\n],\n"otherData": {json.dumps(facts)}}}\n'


class Tracks:
    """Numbers of processes and threads, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._processes: dict[str, dict[str, int]] = {}

    def slice(
        self, process: str, thread: str, name: str, start: int, end: int, **facts: Any
    ) -> Event:
        """Return an event in cycles [start, end) of a thread."""
        threads = self._processes.setdefault(process, {})
        place = {
            "pid": list(self._processes).index(process) + 1,
            "tid": threads.setdefault(thread, len(threads) + 1),
        }
        return {"ph": "X", "name": name, **place, "ts": start, "dur": end - start, "args": facts}

    def names(self) -> Iterator[Event]:
        """Yield the events that name processes and threads, threads in the order of their names."""
        for number, (process, threads) in enumerate(self._processes.items(), start=1):
            yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": process}}
            yield {"ph": "M", "name": "process_sort_index", "pid": number,
                   "args": {"sort_index": number}}  # fmt: skip
            order = list(threads) if process in (LAYERS, ENGINES) else sorted(threads)
            for place, thread in enumerate(order):
                track = {"ph": "M", "pid": number, "tid": threads[thread]}
                yield {**track, "name": "thread_name", "args": {"name": thread}}
                yield {**track, "name": "thread_sort_index", "args": {"sort_index": place}}


def _layers(program: Program, timing: TimingResult, tracks: Tracks) -> Iterator[Event]:
    """Yield the layers, from the end of the one that ended before to their own."""
    start = 0
    for number, cycles in layer_cycles(program, timing.retirements).items():
        layer = program.layers[number]
        facts = {"operator": layer.operator, "macs": layer.macs}
        yield tracks.slice(
            LAYERS, layer.section, layer.name, start, start + cycles, layer=number, **facts
        )
        start += cycles


def _engines(program: Program, timing: TimingResult, tracks: Tracks) -> Iterator[Event]:
    """Yield the instructions on their engines, and before them what they waited for."""
    numbers = [
        number
        for number, engine in enumerate(timing.engines)
        if engine is not None and timing.retired[number] >= 0
    ]
    free: dict[str, int] = {}
    for number, span in zip(numbers, spans_of(program, timing), strict=True):
        thread = span.engine.name
        waited = max(free.get(thread, 0), timing.dispatched[number])
        if span.held_by is not None and span.start > waited:
            name = f"waits for {span.held_by.name}"
            yield tracks.slice(ENGINES, thread, name, waited, span.start, instruction=number)
        free[thread] = max(span.free, span.start)
        yield _instruction(program, timing, tracks, number, span)


def _instruction(
    program: Program, timing: TimingResult, tracks: Tracks, number: int, span: Span
) -> Event:
    layer = int(program.instruction_layers[number])
    name = program.layers[layer].name if layer >= 0 else ""
    return tracks.slice(
        ENGINES,
        span.engine.name,
        f"{program.instructions[number].name} {name}".strip(),
        span.start,
        span.free,
        instruction=number,
        layer=name,
        dispatched=timing.dispatched[number],
        issued=timing.issued[number],
        retired=span.retired,
    )


def _ports(program: Program, timing: TimingResult, tracks: Tracks) -> Iterator[Event]:
    """Yield what each engine does at DRAM and at the ports of the SRAMs' banks."""
    for activity in timing.activities:
        number = activity.instruction
        is_known = 0 <= number < program.num_instructions
        layer = int(program.instruction_layers[number]) if is_known else -1
        name = program.layers[layer].name if layer >= 0 else activity.engine
        facts = {"instruction": number} if is_known else {}
        thread = f"{activity.port}: {activity.engine}"
        yield tracks.slice(activity.memory, thread, name, activity.start, activity.end, **facts)
