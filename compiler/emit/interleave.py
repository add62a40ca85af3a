"""Run the steps of a chain's layers, interleaved as their engines would take them.

Of the loads, and of the computations of an engine, whose pixels are emitted, the one that could
start first goes next, of two the one of the earlier layer: what feeds another engine comes before
what ends the chain. Of several engines' the one goes next that the vector unit drains first.
Times are estimates from the cycle formulas; the order is a valid one whatever they are, because a
step waits for what it reads and a tile is loaded only when its place is free.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tilewright.compiler.emit.context import Context
from tilewright.compiler.emit.lowering import Lowering, Step
from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.estimate import estimates_of
from tilewright.hw.spec.isa import Engine

Times = NDArray[np.float64]


@dataclass(kw_only=True)
class _Running:
    """A layer under way: the steps to compute, those whose tiles are to be loaded ahead."""

    layer: int
    lowering: Lowering
    steps: deque[Step]
    loads: deque[Step]
    loaded: deque[float] = field(default_factory=deque)
    """When the tiles loaded ahead are there."""
    tile_ready: float = 0.0
    """When the present tile was there."""
    tile_end: float = 0.0
    """When the tile before the present one was computed."""
    end: float = 0.0
    """When what is emitted is computed."""
    step_work: float = 0.0
    """Cycles of the last step on the layer's engine."""
    is_started: bool = False

    @property
    def may_load(self) -> bool:
        """Whether the ring has a place for the next tile, behind the present one."""
        first = self.is_started or (self.steps and self.steps[0].load is not None)
        return bool(self.loads and first) and len(self.loaded) < self.lowering.tiles_ahead

    @property
    def may_compute(self) -> bool:
        """Whether the next step's tile is loaded, if it is one that is loaded ahead."""
        if not self.steps:
            return False
        is_ahead = self.steps[0].load is not None and self.lowering.tiles_ahead > 0
        return bool(self.loaded) or not is_ahead


def run_chain(lowerings: Sequence[tuple[int, Lowering]], context: Context) -> None:
    """Emit all tasks of the layers (number, lowering), which are in topological order."""
    if len(lowerings) == 1:
        context.tasks.layer, lowering = lowerings[0]
        for step in lowering.steps():
            step.compute()
        return
    _Interleaver(lowerings, context).run()


class _Interleaver:
    def __init__(self, lowerings: Sequence[tuple[int, Lowering]], context: Context) -> None:
        self.context = context
        self.estimates = estimates_of(context.config)
        self.free = dict.fromkeys(Engine, 0.0)
        self.running = []
        self.ready: dict[str, Times] = {}
        """When each word of the storages that the chain writes is there."""
        for layer, lowering in lowerings:
            steps = deque(lowering.steps())
            ahead = deque(step for step in steps if step.load and lowering.tiles_ahead)
            self.running.append(_Running(layer=layer, lowering=lowering, steps=steps, loads=ahead))
            name = lowering.output_name
            place, made = context.place(name), context.map(name)
            words = context.placement.storages[place.storage].size
            self.ready.setdefault(place.storage, np.zeros(words))
            whole = Box(top=0, bottom=made.height, left=0, right=made.width)
            self._times(name, whole, (0, place.blocks))[...] = np.inf

    def run(self) -> None:
        while any(running.steps for running in self.running):
            best: dict[Engine, tuple[float, int]] = {}
            for place, running in enumerate(self.running):
                if running.may_load:
                    choice = (self._load_start(running), place)
                    best[Engine.LOAD] = min(choice, best.get(Engine.LOAD, choice))
                if running.may_compute:
                    choice = (self._compute_start(running), place)
                    engine = running.lowering.engine
                    best[engine] = min(choice, best.get(engine, choice))
            computing = [engine for engine in best if engine != Engine.LOAD]
            engine = min(
                computing,
                key=lambda engine: self._drain_start(engine, *best[engine]),
                default=Engine.LOAD,
            )
            if Engine.LOAD in best and best[Engine.LOAD][0] <= best[engine][0]:
                engine = Engine.LOAD
            start, place = best[engine]
            assert start < np.inf, "some step has all that it reads"
            act = self._load if engine == Engine.LOAD else self._compute
            act(self.running[place])

    def _drain_start(self, engine: Engine, start: float, place: int) -> float:
        """Return when a computation comes to the vector unit: at its end, if that drains it."""
        return start + (0.0 if engine == Engine.VECTOR else self.running[place].step_work)

    def _load_start(self, running: _Running) -> float:
        return max(self.free[Engine.LOAD], running.tile_end, self._ready(running.loads[0]))

    def _compute_start(self, running: _Running) -> float:
        step = running.steps[0]
        tile_ready = running.loaded[0] if step.load and running.loaded else running.tile_ready
        return max(self.free[running.lowering.engine], tile_ready, self._ready(step))

    def _ready(self, step: Step) -> float:
        """Return when everything that a step reads is made."""
        return max(
            (
                float(self._times(need.name, need.box, need.blocks).max(initial=0.0))
                for need in step.needs
                if self.context.place(need.name).storage in self.ready
            ),
            default=0.0,
        )

    def _times(self, name: str, box: Box, blocks: tuple[int, int]) -> Times:
        """A view of when pixels of a map in one of those storages are there."""
        feature_map, place = self.context.map(name), self.context.place(name)
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        times = self.ready[place.storage]
        if place.frame is None:
            times = times.reshape(-1, feature_map.height, feature_map.width)[place.block :]
        else:
            layout = self.context.placement.in_storage(feature_map, self.context.config)
            steps = [stride * times.itemsize for stride in layout.strides]
            shape = (place.blocks, feature_map.height, feature_map.width)
            times = as_strided(times[layout.base :], shape, steps)
        return times[slice(*blocks), rows, columns]

    def _load(self, running: _Running) -> None:
        """Load the layer's next tile."""
        start = self._load_start(running)
        step = running.loads.popleft()
        assert step.load is not None
        tasks = self._emit(running, step.load)
        running.loaded.append(self._loaded(tasks, start))

    def _compute(self, running: _Running) -> None:
        """Emit the layer's next step, and note when its results are there."""
        start = self._compute_start(running)
        step = running.steps.popleft()
        if step.load and running.loaded:
            running.tile_ready = running.loaded.popleft()
            running.tile_end = running.end
        running.is_started = True
        self.context.produced.clear()
        tasks = self._emit(running, step.compute)
        done = self._results(tasks, running, max(start, self._loaded(tasks, self._ready(step))))
        if running.steps and running.steps[0].prefetch is not None:
            self._loaded(self._emit(running, running.steps[0].prefetch), 0.0)
        for name, box, blocks in self.context.produced:
            self._times(name, box, blocks)[...] = done

    def _emit(self, running: _Running, emit: Callable[[], None]) -> Sequence[Task]:
        tasks = self.context.tasks
        first = len(tasks.tasks)
        tasks.layer = running.layer
        emit()
        return tasks.tasks[first:]

    def _loaded(self, tasks: Sequence[Task], start: float) -> float:
        """Return when the loads among some tasks are done; 0 if there are none."""
        end = 0.0
        for task in tasks:
            if task.instruction.engine == Engine.LOAD:
                self.free[Engine.LOAD] = max(self.free[Engine.LOAD], start)
                issue, latency = self.estimates.cycles(task.instruction)
                self.free[Engine.LOAD] += issue
                end = self.free[Engine.LOAD] + latency
        return end

    def _results(self, tasks: Sequence[Task], running: _Running, start: float) -> float:
        """Return when the results of a step that starts then are in SRAM, or in DRAM if stored."""
        free, main = self.free, running.lowering.engine
        done = start
        for engine in (main, Engine.VECTOR, Engine.STORE):
            mine = [task.instruction for task in tasks if task.instruction.engine == engine]
            if not mine or (engine == main and engine == Engine.VECTOR and done != start):
                continue
            work = [self.estimates.cycles(instruction) for instruction in mine]
            cycles, (last, latency) = sum([issue for issue, _ in work]), work[-1]
            if engine == main:
                done = start + cycles
                running.end, running.step_work = done, float(cycles)
            else:
                done = max(free[engine] + cycles, done + last)
            free[engine] = done
            done += latency
        return done
