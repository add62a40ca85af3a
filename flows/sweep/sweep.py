"""A sweep: models on a space of configs behind several DRAMs, and its points."""

import dataclasses
from collections.abc import Iterable

from tilewright.flows.sweep.energy import EnergyTable, load_table
from tilewright.flows.sweep.job import SOURCES, Job, Model, Result, Setup
from tilewright.flows.sweep.limits import Limit
from tilewright.flows.sweep.space import Candidate, Space
from tilewright.flows.sweep.sram import SramTable, load_sram_table
from tilewright.flows.sweep.table import Point
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Sweep:
    """Models on a space of configs, behind DRAMs of several latencies (in cycles)."""

    models: tuple[Model, ...]
    space: Space
    latencies: tuple[int, ...] = (MEMORY_LATENCY,)
    setup: Setup = dataclasses.field(default_factory=Setup)
    table: EnergyTable = dataclasses.field(default_factory=lambda: load_table(None))
    sram: SramTable = dataclasses.field(default_factory=lambda: load_sram_table(None))
    limits: tuple[Limit, ...] = ()
    """What a point must keep to be among the best."""
    clock_mhz: float | None = None
    """Of all points, in place of what a synthesis says."""

    @property
    def num_points(self) -> int:
        return self.space.num_points * len(self.latencies) * len(self.models)

    @property
    def title(self) -> str:
        names = ", ".join(model.name for model in self.models)
        return f"{names} on configs from {', '.join(base.name for base in self.space.bases)}"

    def points(self, candidates: Iterable[Candidate] | None = None) -> list[Point]:
        """Return the points in their order, none measured yet; the models are the fastest.

        candidates: of the space; all where there are none.
        """
        return [
            self._point(candidate, model, latency)
            for candidate in (self.space.candidates() if candidates is None else candidates)
            for latency in self.latencies
            for model in self.models
        ]

    def _point(self, candidate: Candidate, model: Model, latency: int) -> Point:
        job = None
        if candidate.config is not None:
            job = Job(model=model, config=candidate.config, setup=self.setup, latency=latency)
        return Point(
            candidate=candidate,
            model=model.name,
            model_digest=model.digest,
            weight=model.weight,
            latency=latency,
            source=SOURCES[self.setup.fidelity],
            result=Result(error=candidate.error),
            job=job,
            table=self.table,
            sram=self.sram,
            limits=self.limits,
            clock_mhz=self.clock_mhz,
        )


@record(frozen=True, kw_only=True)
class Outcome:
    """The points of a sweep that are done, in their order."""

    points: tuple[Point, ...]
    is_interrupted: bool
