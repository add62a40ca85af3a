"""Runs a sweep: what the store has is taken from there, the rest is measured and kept."""

import contextlib
import dataclasses
import functools
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilewright.flows.pool import Pool
from tilewright.flows.program_cache import tool_digest
from tilewright.flows.report.progress import counted
from tilewright.flows.sweep.energy import EnergyTable, load_table
from tilewright.flows.sweep.job import SOURCES, Job, Key, Model, Result, Setup
from tilewright.flows.sweep.space import Candidate, Space
from tilewright.flows.sweep.store import Store
from tilewright.flows.sweep.table import Point, without_depthwise
from tilewright.hw.spec.dram import MEMORY_LATENCY

LOG = logging.getLogger(__name__)
LINE_SECONDS = 1.0
"""Off a terminal, progress has at most one line in this time."""
PRELOADED = "tilewright.flows.sweep.measure"
"""What the processes import before they measure."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Models on a space of configs, behind DRAMs of several latencies (in cycles)."""

    models: tuple[Model, ...]
    space: Space
    latencies: tuple[int, ...] = (MEMORY_LATENCY,)
    setup: Setup = dataclasses.field(default_factory=Setup)
    table: EnergyTable = dataclasses.field(default_factory=lambda: load_table(None))

    @property
    def num_points(self) -> int:
        return self.space.num_points * len(self.latencies) * len(self.models)

    @property
    def title(self) -> str:
        names = ", ".join(model.name for model in self.models)
        return f"{names} on configs from {', '.join(base.name for base in self.space.bases)}"

    def points(self) -> list[Point]:
        """Return the points in their order, none measured yet; the models are the fastest."""
        return [
            self._point(candidate, model, latency)
            for candidate in self.space.candidates()
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
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The points of a sweep that are done, in their order."""

    points: tuple[Point, ...]
    is_interrupted: bool


def run_sweep(sweep: Sweep, store: Store, jobs: int) -> Outcome:
    """Measure what the store does not have; after Ctrl-C return what is done.

    jobs: points at a time, each in a process of its own; the closed form takes none.

    Raises ModelError for a model that cannot be read.
    """
    points = sweep.points()
    _warn_of_changes(points)
    if sweep.setup.fidelity == "closed":
        return Outcome(points=tuple(_estimated(sweep, points)), is_interrupted=False)
    known, is_interrupted = run_jobs(sweep, [p.job for p in points if p.job], store, jobs)
    return Outcome(
        points=tuple(
            point if point.job is None else _with_result(point, known[point.job.key])
            for point in points
            if point.job is None or point.job.key in known
        ),
        is_interrupted=is_interrupted,
    )


def run_jobs(
    sweep: Sweep, wanted: Iterable[Job], store: Store, num_processes: int
) -> tuple[Mapping[Key, Result], bool]:
    """Return the results of jobs by key, from the store or measured, and whether Ctrl-C ended it.

    Each result goes into the store as soon as it is there.
    """
    known = dict(store.known(tool_digest()))
    by_key = {job.key: job for job in wanted}
    missing = [job for key, job in by_key.items() if key not in known]
    LOG.info("%d points, %d of them known", len(by_key), len(by_key) - len(missing))
    try:
        for job, result in _measured(sweep, missing, num_processes):
            known[job.key] = result
            if not result.is_crash:
                store.keep(job, result)
    except KeyboardInterrupt:
        return known, True
    return known, False


def _estimated(sweep: Sweep, points: Iterable[Point]) -> Iterable[Point]:
    """Yield the points with their cycles in closed form, which nobody keeps."""
    from tilewright.flows.models import import_file
    from tilewright.flows.sweep.closed_form import closed_form, model_sizes

    sizes = {
        model.digest: model_sizes(import_file(model.path, options=sweep.setup.options))
        for model in sweep.models
    }
    for point in points:
        job = point.job
        yield (
            point
            if job is None
            else _with_result(point, closed_form(sizes[job.model.digest], job.config, job.latency))
        )


def _with_result(point: Point, result: Result) -> Point:
    return dataclasses.replace(point, result=result)


def _measured(
    sweep: Sweep, jobs: Sequence[Job], num_processes: int
) -> Iterable[tuple[Job, Result]]:
    """Yield jobs as they are done, with progress."""
    if not jobs:
        return
    with tempfile.TemporaryDirectory(prefix="tilewright-sweep-") as folder:
        run = functools.partial(run_job, readings=_read_models(sweep, Path(folder)))
        pool = Pool(run, min(num_processes, len(jobs)), _crashed, PRELOADED)
        with (
            counted("point", len(jobs), every_seconds=LINE_SECONDS) as advance,
            contextlib.closing(pool.results(jobs)) as results,
        ):
            for job, result in results:
                yield job, result
                advance(_sentence(job, result))


def run_job(job: Job, readings: dict[str, Path]) -> Result:
    """Measure a job in a process of the pool, which has imported what that takes."""
    from tilewright.flows.sweep.measure import measure

    return measure(job, readings[job.model.digest])


def _read_models(sweep: Sweep, folder: Path) -> dict[str, Path]:
    from tilewright.flows.sweep.measure import keep_reading

    readings = {model.digest: folder / model.digest for model in sweep.models}
    for model in sweep.models:
        keep_reading(model.path, sweep.setup, readings[model.digest])
    return readings


def _crashed(job: Job) -> Result:
    return Result(
        error="its process ended: out of memory, or a crash of a library; the same command tries "
        "it again",
        is_crash=True,
    )


def _sentence(job: Job, result: Result) -> str:
    found = f"failed: {result.error}" if result.error else f"{result.cycles:,} cycles"
    return f"{job.model.name} on {job.config.name} {found}"


def _warn_of_changes(points: Sequence[Point]) -> None:
    """Log what each config has changed besides what was asked."""
    candidates = {id(point.candidate): point.candidate for point in points}.values()
    for candidate in candidates:
        if candidate.config is not None and candidate.changes:
            LOG.info("%s: %s", candidate.config.name, candidate.changes)
    lost = without_depthwise(candidates)
    if lost:
        LOG.warning(lost)
