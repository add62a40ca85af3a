"""`tilewright sweep`: a model on many array sizes, in parallel and resumable."""

import dataclasses
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import click

from tilewright.flows.commands.options import (
    FilePath,
    config_options,
    json_option,
    resolve_config,
    section_options,
)
from tilewright.flows.sweep.results import Point, check_plot, load_csv, plot
from tilewright.hw.spec.dram import MEMORY_LATENCY


@click.command(name="sweep")
@click.argument("model", type=FilePath)
@click.option("--rows", required=True, help="Sizes: 4,8,12 or 4:32 (doubling) or 4:32:4 (steps).")
@click.option("--cols", help="Sizes, combined with every --rows.  [default: square arrays]")
@config_options()
@section_options
@click.option(
    "--on",
    type=click.Choice(["rtl", "cycles"]),
    default="rtl",
    show_default=True,
    help="Measure on the RTL, or replay with the timing model's cycle formulas.",
)
@click.option("--jobs", type=click.IntRange(1), help="Points at a time.  [default: CPU cores]")
@click.option(
    "--latency",
    type=click.IntRange(1),
    default=MEMORY_LATENCY,
    show_default=True,
    help="DRAM latency in cycles.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random input."
)
@click.option("--csv", "csv_file", type=FilePath, help="Results; a later sweep resumes from it.")
@json_option()
@click.option("--plot", "plot_file", type=FilePath, help="Draw the results (.png, .svg, .pdf).")
def command(
    model: Path,
    rows: str,
    cols: str | None,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    strict: bool,
    keep_sections: bool,
    on: str,
    jobs: int | None,
    latency: int,
    seed: int,
    csv_file: Path | None,
    json_files: tuple[Path, ...],
    plot_file: Path | None,
) -> None:
    """Compile and run the ONNX MODEL on many array sizes.

    Everything but the size is the base config's (--preset, --config, --set); the vector lanes
    become the largest number up to the base's that fits. A point that fails is listed with its
    error and stops no other one. Exit status 1 when any point failed.
    """
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.sweep.points import parse_sizes, sweep_points
    from tilewright.flows.sweep.running import Sweep, run_sweep

    base = resolve_config(preset, config_file, settings)
    sizes = sweep_points(
        parse_sizes(rows, "--rows"), None if cols is None else parse_sizes(cols, "--cols")
    )
    check_files(model, config_file, [csv_file, plot_file, *json_files], plot_file)
    sweep = Sweep(
        model=model,
        source=on,
        latency=latency,
        seed=seed,
        strict=strict,
        keep_sections=keep_sections,
    )
    known = load_csv(csv_file) if csv_file is not None and csv_file.exists() else []
    points = run_sweep(sweep, base, sizes, known, jobs or os.cpu_count() or 1, csv_file)
    found = {
        "model": model.name,
        "base": {"name": base.name, "digest": base.digest},
        "dram_latency_cycles": latency,
        "points": [dataclasses.asdict(point) for point in points],
    }
    is_printed = write_json(json_files, found)
    if points and not is_printed:
        print_points(points, f"{model.name}, base {base.name}")
    if len(points) < len(sizes):
        raise KeyboardInterrupt(how_to_go_on(len(points), len(sizes), csv_file))
    if plot_file is not None:
        plot(plot_file, points, f"{model.name} on arrays of {base.name}")
    for path in filter(None, () if is_printed else (csv_file, plot_file)):
        console().print(f"written: {path}", markup=False)
    if any(point.error for point in points):
        raise SystemExit(1)


def how_to_go_on(done: int, total: int, csv_file: Path | None) -> str:
    """Say what an interrupted sweep leaves."""
    if csv_file is None:
        return f"{done} of {total} points are done; with --csv FILE a sweep goes on where it ended"
    return f"{done} of {total} points are in {csv_file}; the same command goes on from there"


def check_files(
    model: Path,
    config_file: Path | None,
    outputs: Sequence[Path | None],
    plot_file: Path | None,
) -> None:
    """Raise ModelError or InputError unless the model is there and the results can be written."""
    from tilewright.support.errors import ModelError
    from tilewright.support.files import check_targets, missing

    check_targets(outputs, [model, config_file])
    if plot_file is not None:
        check_plot(plot_file)
    if not model.is_file():
        raise ModelError(missing(model, "an ONNX model"))


def print_points(points: Sequence[Point], title: str) -> None:
    """Print the table of points."""
    from tilewright.flows.report.coverage import coverage_range
    from tilewright.flows.report.display import console, percent, signed_percent, table

    rows = [
        (
            f"{point.rows}x{point.cols}",
            point.lanes or None,
            point.cycles,
            percent(point.utilization),
            percent(point.coverage.macs_share) if point.coverage else None,
            signed_percent(point.estimate_error),
            point.bytes_loaded,
            point.bytes_stored,
            point.instructions,
            point.error,
        )
        for point in points
    ]
    columns = ("array", "?>lanes", ">cycles", ">utilization", "?>MACs here", "?>model off",
               "?>loaded B", "?>stored B", "?>instructions", "=error")  # fmt: skip
    on_rtl = points[0].source == "rtl"
    measured = "measured on the RTL" if on_rtl else "by the timing model"
    out = console()
    out.print(coverage_range([p.coverage for p in points if p.coverage]), markup=False)
    out.print(table(f"{title}: cycles {measured}", columns, rows))
    errors = [abs(e) for e in (point.estimate_error for point in points) if e is not None]
    if errors:
        out.print(
            f"the timing model is off by {statistics.mean(errors):.1%} on average, "
            f"{max(errors):.1%} at most"
        )
    elif not on_rtl:
        out.print("--on rtl measures, and states how far the timing model is off")
