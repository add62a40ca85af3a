"""Runs the jobs of a sweep: what the store does not have is measured and kept."""

import contextlib
import dataclasses
import functools
import logging
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tilewright.flows.pool import Pool
from tilewright.flows.report.progress import counted
from tilewright.flows.sweep.job import Job, Key, Result
from tilewright.flows.sweep.speed import Speed
from tilewright.flows.sweep.store import Store
from tilewright.flows.sweep.sweep import Outcome, Sweep
from tilewright.flows.sweep.table import Point, without_depthwise

if TYPE_CHECKING:
    from tilewright.flows.sweep.closed_form import ModelSizes

LOG = logging.getLogger(__name__)
LINE_SECONDS = 1.0
"""Off a terminal, progress has at most one line in this time."""
PRELOADED = "tilewright.flows.sweep.measure"
"""What the processes import before they measure."""


class Workers(Protocol):
    """What runs jobs somewhere else."""

    def results(self, tasks: Iterable[Job]) -> Generator[tuple[Job, Result]]:
        """Yield jobs with their results as they are done; closed early, it ends those that run."""
        ...


class Runner(contextlib.AbstractContextManager["Runner"]):
    """Runs jobs of a sweep and keeps their results; models are read once.

    num_processes: jobs at a time. workers: other ones than processes of this machine. native:
    whether these have native code; None: where that pays.
    """

    def __init__(
        self,
        sweep: Sweep,
        store: Store,
        num_processes: int,
        workers: Workers | None = None,
        *,
        native: bool | None = None,
    ) -> None:
        self.sweep, self.store = sweep, store
        self._speed = Speed(num_processes, native)
        self.num_processes, self._workers = num_processes, workers
        self._resources = contextlib.ExitStack()

    def __exit__(self, *given: object) -> None:
        self._resources.close()

    def with_cycles(self, points: Sequence[Point]) -> Outcome:
        """Return the points with their results, after Ctrl-C those that are done.

        Raises ModelError for a model that cannot be read.
        """
        if self.sweep.setup.fidelity == "closed":
            return Outcome(points=tuple(map(self.in_closed_form, points)), is_interrupted=False)
        known, is_interrupted = self.run([point.job for point in points if point.job])
        return Outcome(
            points=tuple(
                point if point.job is None else _with_result(point, known[point.job.key])
                for point in points
                if point.job is None or point.job.key in known
            ),
            is_interrupted=is_interrupted,
        )

    def run(self, wanted: Iterable[Job]) -> tuple[Mapping[Key, Result], bool]:
        """Return the results of jobs by key, from the store or measured, and whether Ctrl-C came.

        Each result goes into the store as soon as it is there. Raises ModelError.
        """
        jobs = {job.key: job for job in wanted}
        known = {key: found for key in jobs if (found := self.store.find(key))}
        missing = [job for key, job in jobs.items() if key not in known]
        LOG.info("%d points, %d of them known", len(jobs), len(known))
        try:
            for job, result in self._measured(missing):
                known[job.key] = result
                if not result.is_crash:
                    self.store.keep(job, result)
        except KeyboardInterrupt:
            return known, True
        return known, False

    def in_closed_form(self, point: Point) -> Point:
        """Return a point with the closed form's cycles, whatever the sweep's fidelity."""
        from tilewright.flows.sweep.closed_form import closed_form

        job = point.job
        if job is None:
            return point
        return _with_result(
            point, closed_form(self._sizes[job.model.digest], job.config, job.latency)
        )

    @cached_property
    def _sizes(self) -> Mapping[str, "ModelSizes"]:
        """Of the models, by digest."""
        from tilewright.flows.models import import_file
        from tilewright.flows.sweep.closed_form import model_sizes

        options = self.sweep.setup.options
        return {
            model.digest: model_sizes(import_file(model.path, options=options))
            for model in self.sweep.models
        }

    @cached_property
    def _readings(self) -> Mapping[str, Path]:
        """Files of the models as they are read, by digest."""
        from tilewright.flows.sweep.measure import keep_reading

        folder = tempfile.TemporaryDirectory(prefix="tilewright-sweep-")
        place = Path(self._resources.enter_context(folder))
        readings = {model.digest: place / model.digest for model in self.sweep.models}
        for model in self.sweep.models:
            keep_reading(model.path, self.sweep.setup, readings[model.digest])
        return readings

    def _measured(self, jobs: Sequence[Job]) -> Iterable[tuple[Job, Result]]:
        """Yield jobs as they are done, with progress."""
        if not jobs:
            return
        results = self._workers.results(jobs) if self._workers else self._in_processes(jobs)
        with (
            counted("point", len(jobs), every_seconds=LINE_SECONDS) as advance,
            contextlib.closing(results),
        ):
            for job, result in results:
                yield job, result
                advance(_sentence(job, result))

    def _in_processes(self, jobs: Sequence[Job]) -> Generator[tuple[Job, Result]]:
        """Yield jobs as they are done: a few first, which tell whether native code pays."""
        run = functools.partial(run_job, readings=self._readings)
        while jobs:
            count, build = self._speed.next_part(jobs)
            pool = Pool(run, min(self.num_processes, count), crashed, PRELOADED, build)
            with contextlib.closing(pool.results(jobs[:count])) as results:
                for job, result in results:
                    self._speed.note(result)
                    yield job, result
            jobs = jobs[count:]


def run_sweep(sweep: Sweep, store: Store, jobs: int, *, native: bool | None = None) -> Outcome:
    """Measure all points that the store does not have; after Ctrl-C return what is done.

    jobs: points at a time, each in a process of its own; the closed form takes none. native: as of
    Runner.

    Raises ModelError for a model that cannot be read, ToolError without the native code asked for.
    """
    points = sweep.points()
    warn_of_changes(points)
    with Runner(sweep, store, jobs, native=native) as runner:
        return runner.with_cycles(points)


def run_job(job: Job, readings: Mapping[str, Path]) -> Result:
    """Measure a job in a process of the pool, which has imported what that takes."""
    from tilewright.flows.sweep.measure import measure

    return measure(job, readings[job.model.digest])


def warn_of_changes(points: Sequence[Point]) -> None:
    """Log what each config has changed besides what was asked."""
    candidates = {id(point.candidate): point.candidate for point in points}.values()
    for candidate in candidates if LOG.isEnabledFor(logging.INFO) else ():
        if candidate.config is not None and candidate.changes:
            LOG.info("%s: %s", candidate.config.name, candidate.changes)
    lost = without_depthwise(candidates)
    if lost:
        LOG.warning(lost)


def _with_result(point: Point, result: Result) -> Point:
    return dataclasses.replace(point, result=result)


def crashed(job: Job) -> Result:
    """Return the result of a job whose process ended."""
    return Result(
        error="its process ended: out of memory, or a crash of a library; the same command tries "
        "it again",
        is_crash=True,
    )


def _sentence(job: Job, result: Result) -> str:
    found = f"failed: {result.error}" if result.error else f"{result.cycles:,} cycles"
    on_rtl = " on the RTL" if job.setup.fidelity == "rtl" else ""
    return f"{job.model.name} on {job.config.name} {found}{on_rtl}"
