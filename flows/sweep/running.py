"""Runs the points of a sweep, several at a time, and keeps the results as they come."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tilewright.flows.program_cache import tool_digest
from tilewright.flows.report.display import console
from tilewright.flows.sweep.point import run_point
from tilewright.flows.sweep.points import config_for
from tilewright.flows.sweep.results import Point, to_csv
from tilewright.hw.spec.config import Config
from tilewright.support.digests import file_digest
from tilewright.support.errors import ConfigError
from tilewright.support.files import write_file


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What every point of a sweep has in common."""

    model: Path
    source: str
    latency: int
    seed: int
    strict: bool
    keep_sections: bool

    @cached_property
    def setup(self) -> str:
        """What a point depends on besides its config, as a key: files, sources and options."""
        run = f"-{self.latency}-{self.seed}" if self.source == "rtl" else f"-{self.latency}"
        kept = f"-{self.strict:d}{self.keep_sections:d}"
        return f"{file_digest(self.model)[:16]}-{tool_digest()[:16]}{run}{kept}"


def run_sweep(
    sweep: Sweep,
    base: Config,
    sizes: Sequence[tuple[int, int]],
    known: Sequence[Point],
    jobs: int,
    csv_file: Path | None,
) -> list[Point]:
    """Return the points in the order of `sizes`; finished ones among `known` are not run again.

    The CSV file is brought up to date after each point and keeps points of other sweeps.
    """
    finished = {point.key: point for point in known if not point.error}
    results: dict[tuple[int, int], Point] = {}
    for size, point in _complete(sweep, base, sizes, finished, jobs):
        results[size] = point
        if csv_file is not None:
            ours = [results[s] for s in sizes if s in results]
            keys = {p.key for p in ours}
            others = [p for p in known if p.key not in keys]
            write_file(csv_file, to_csv([*others, *ours]))
    return [results[size] for size in sizes]


def _complete(
    sweep: Sweep,
    base: Config,
    sizes: Sequence[tuple[int, int]],
    finished: dict[tuple[str, str, str], Point],
    jobs: int,
) -> Iterator[tuple[tuple[int, int], Point]]:
    """Yield the points as they are done, with progress."""
    shown = console(error=True)
    with (
        Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task("points", total=len(sizes))
        futures: dict[Future[Point], tuple[int, int]] = {}
        for rows, cols in sizes:
            try:
                config = config_for(base, rows, cols)
            except ConfigError as error:
                progress.advance(task)
                yield (rows, cols), _failed(sweep, rows, cols, str(error))
                continue
            old = finished.get((sweep.source, sweep.setup, config.digest))
            if old is not None:
                progress.advance(task)
                yield (rows, cols), old
            else:
                futures[pool.submit(_run, sweep, config)] = (rows, cols)
        for future in as_completed(futures):
            progress.advance(task)
            yield futures[future], future.result()


def _run(sweep: Sweep, config: Config) -> Point:
    fields: dict[str, Any] = run_point(
        sweep.model,
        config,
        sweep.source,
        sweep.latency,
        sweep.seed,
        {"strict": sweep.strict, "keep_sections": sweep.keep_sections},
    )
    return Point(
        rows=config.rows,
        cols=config.cols,
        lanes=config.lanes,
        operand_lanes=config.operand_lanes,
        source=sweep.source,
        setup=sweep.setup,
        config=config.digest,
        **fields,
    )


def _failed(sweep: Sweep, rows: int, cols: int, error: str) -> Point:
    return Point(
        rows=rows,
        cols=cols,
        lanes=0,
        operand_lanes=0,
        source=sweep.source,
        setup=sweep.setup,
        config="",
        error=error,
    )
