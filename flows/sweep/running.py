"""Runs the points of a sweep, several at a time, and keeps the results as they come."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tilewright.flows.program_cache import tool_digest
from tilewright.flows.report.progress import counted
from tilewright.flows.sweep.point import run_point
from tilewright.flows.sweep.points import config_for
from tilewright.flows.sweep.processes import Processes
from tilewright.flows.sweep.results import Point, to_csv
from tilewright.hw.spec.config import Config
from tilewright.support.digests import file_digest
from tilewright.support.errors import ConfigError
from tilewright.support.files import write_file

Size = tuple[int, int]
"""Rows and columns."""


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
    sizes: Sequence[Size],
    known: Sequence[Point],
    jobs: int,
    csv_file: Path | None,
) -> list[Point]:
    """Return the points in the order of `sizes`, after Ctrl-C those that are done.

    Finished ones among `known` are not run again. The CSV file is brought up to date after each
    point and keeps points of other sweeps.
    """
    results, configs = _known_points(sweep, base, sizes, known)

    def keep() -> None:
        if csv_file is not None:
            ours = [results[size] for size in sizes if size in results]
            keys = {point.key for point in ours}
            others = [point for point in known if point.key not in keys]
            write_file(csv_file, to_csv([*others, *ours]))

    with (
        contextlib.suppress(KeyboardInterrupt),
        counted("point", len(configs)) as advance,
        contextlib.closing(_measured(sweep, configs, jobs)) as measured,
    ):
        for size, point in measured:
            results[size] = point
            keep()
            advance(_sentence(point))
    keep()
    return [results[size] for size in sizes if size in results]


def _known_points(
    sweep: Sweep, base: Config, sizes: Sequence[Size], known: Sequence[Point]
) -> tuple[dict[Size, Point], dict[Size, Config]]:
    """Return the points that need no run, and the configs of those that do."""
    finished = {point.key: point for point in known if not point.error}
    results: dict[Size, Point] = {}
    configs: dict[Size, Config] = {}
    for rows, cols in sizes:
        try:
            config = config_for(base, rows, cols)
        except ConfigError as error:
            results[rows, cols] = _failed(sweep, rows, cols, str(error))
            continue
        old = finished.get((sweep.source, sweep.setup, config.digest))
        if old is None:
            configs[rows, cols] = config
        else:
            results[rows, cols] = old
    return results, configs


def _measured(
    sweep: Sweep, configs: Mapping[Size, Config], jobs: int
) -> Generator[tuple[Size, Point]]:
    """Yield the points as they are done; closed early, it ends those that run."""
    processes, pool = Processes(), ThreadPoolExecutor(jobs)
    try:
        futures = {
            pool.submit(_run, sweep, config, processes): size for size, config in configs.items()
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        processes.stop()
        pool.shutdown(cancel_futures=True)


def _sentence(point: Point) -> str:
    result = f"failed: {point.error}" if point.error else f"{point.cycles:,} cycles"
    return f"{point.rows}x{point.cols} {result}"


def _run(sweep: Sweep, config: Config, processes: Processes) -> Point:
    fields: dict[str, Any] = run_point(
        sweep.model,
        config,
        sweep.source,
        sweep.latency,
        sweep.seed,
        {"strict": sweep.strict, "keep_sections": sweep.keep_sections},
        processes,
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
