"""Run the steps of a segment's layers, interleaved as their engines would take them.

Of the steps whose pixels are emitted, the one that could start first goes next, of two the one of
the later layer: feature maps are used soon after they are made. Times are estimates from the cycle
formulas; the order is a valid one whatever they are, because a step waits for what it reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.context import Context
from tilewright.compiler.estimate import issue_cycles, latency_cycles
from tilewright.compiler.lowering import Lowering, Need, Step
from tilewright.compiler.tasks import Task
from tilewright.compiler.tiles import Box
from tilewright.hw.spec import cycles
from tilewright.hw.spec.isa import Engine

Times = NDArray[np.float64]


@dataclass(kw_only=True)
class _Running:
    """A layer under way: its next step and when that could start."""

    layer: int
    lowering: Lowering
    steps: Iterator[Step]
    step: Step | None


def run_segment(lowerings: Sequence[tuple[int, Lowering]], context: Context) -> None:
    """Emit all tasks of the layers (number, lowering), which are in topological order."""
    if len(lowerings) == 1:
        context.tasks.layer, lowering = lowerings[0]
        for _ in lowering.steps():
            pass
        return
    _Interleaver(lowerings, context).run()


class _Interleaver:
    def __init__(self, lowerings: Sequence[tuple[int, Lowering]], context: Context) -> None:
        self.context = context
        self.free = dict.fromkeys(Engine, 0.0)
        self.running = []
        for layer, lowering in lowerings:
            context.tasks.layer = layer
            steps = lowering.steps()
            self.running.append(
                _Running(layer=layer, lowering=lowering, steps=steps, step=next(steps, None))
            )
        self.ready: dict[str, Times] = {}
        """When each pixel [blocks, height, width] of the segment's own maps is there."""
        for running in self.running:
            name = running.lowering.output_name
            source, place = context.map(name), context.place(name)
            self.ready[name] = np.full((place.blocks, source.height, source.width), np.inf)

    def run(self) -> None:
        while any(running.step is not None for running in self.running):
            starts = [self._start(running) for running in self.running]
            place = max(range(len(starts)), key=lambda n: (-starts[n], n))
            assert starts[place] < np.inf, "some step has all that it reads"
            self._advance(self.running[place])

    def _start(self, running: _Running) -> float:
        """Return when the layer's next step could start, infinity where its pixels are not made."""
        if running.step is None:
            return np.inf
        ready = max((self._ready(need) for need in running.step), default=0.0)
        return max(self.free[running.lowering.engine], ready)

    def _ready(self, need: Need) -> float:
        if need.name not in self.ready:
            return 0.0
        box = need.box
        times = self.ready[need.name][
            slice(*need.blocks), box.top : box.bottom, box.left : box.right
        ]
        latest = float(times.max(initial=0.0))
        if self.context.is_resident(need.name):
            return latest
        words = (need.blocks[1] - need.blocks[0]) * need.box.pixels
        return latest + cycles.MEMORY_LATENCY + words

    def _advance(self, running: _Running) -> None:
        """Emit the step and note when its engines are free and its results are there."""
        context = self.context
        first = len(context.tasks.tasks)
        ready = max((self._ready(need) for need in running.step or ()), default=0.0)
        context.tasks.layer = running.layer
        context.produced.clear()
        running.step = next(running.steps, None)
        done = self._occupy(context.tasks.tasks[first:], running.lowering.engine, ready)
        for name, box, blocks in context.produced:
            if name in self.ready:
                self._times(name, box, blocks)[...] = done

    def _times(self, name: str, box: Box, blocks: tuple[int, int]) -> Times:
        """A view of when pixels of one of the segment's maps are there."""
        return self.ready[name][blocks[0] : blocks[1], box.top : box.bottom, box.left : box.right]

    def _occupy(self, tasks: Sequence[Task], main: Engine, ready: float) -> float:
        """Return when the results of a step's tasks are there."""
        config, free = self.context.config, self.free
        work = dict.fromkeys(Engine, 0)
        latency = dict.fromkeys(Engine, 0)
        last = dict.fromkeys(Engine, 0)
        for task in tasks:
            engine = task.instruction.engine
            assert engine is not None
            last[engine] = issue_cycles(task.instruction, config)
            work[engine] += last[engine]
            latency[engine] = latency_cycles(task.instruction, config)
        loaded = 0.0
        if work[Engine.LOAD]:
            free[Engine.LOAD] += work[Engine.LOAD]
            loaded = free[Engine.LOAD] + latency[Engine.LOAD]
        done = max(free[main], ready, loaded) + work[main]
        free[main] = done
        done += latency[main]
        for engine in (Engine.VECTOR, Engine.STORE):
            if work[engine] and engine != main:
                done = max(free[engine] + work[engine], done + last[engine])
                free[engine] = done
                done += latency[engine]
        return done
