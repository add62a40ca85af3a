"""`tilewright sweep`: models on many configs, in parallel and resumable."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    FilePath,
    complete_fields,
    import_options,
    json_option,
    parse_settings,
)
from tilewright.flows.sweep.ranges import parse_values
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError, ModelError
from tilewright.support.files import check_folder, check_targets, missing, write_file

if TYPE_CHECKING:
    from tilewright.flows.sweep.job import Fidelity
    from tilewright.flows.sweep.space import Space
    from tilewright.flows.sweep.sweep import Outcome, Sweep


@click.command(name="sweep")
@click.argument("models", type=FilePath, nargs=-1, required=True, metavar="MODEL...")
@click.option("--rows", help="Values: 4,8,12 or 4:32 (doubling) or 4:32:4 (steps).")
@click.option("--cols", help="Values, combined with every --rows.  [default: square arrays]")
@click.option(
    "--set-range",
    "ranges",
    multiple=True,
    metavar="FIELD=VALUES",
    shell_complete=complete_fields,
    help="Vary a config field, for example --set-range lanes=4,8,16; may be repeated.",
)
@click.option(
    "--preset",
    "presets",
    type=click.Choice(list(PRESETS)),
    multiple=True,
    help="A config to vary; may be repeated.  [default: base]",
)
@click.option(
    "--config",
    "config_files",
    type=FilePath,
    multiple=True,
    help="A config to vary, as a TOML file; may be repeated.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    shell_complete=complete_fields,
    help="A config field of every point, for example --set lanes=4.",
)
@click.option("--space", "space_file", type=FilePath, help="Bases, set and ranges as a TOML file.")
@click.option(
    "--scale/--no-scale",
    default=None,
    help="Memories keep their words, lanes and bus their ratio to the array; or all are the base's "
    "as far as they fit.  [default: scale]",
)
@click.option("--weights", help="How often each model runs, in their order: 2,1.  [default: 1]")
@import_options()
@click.option(
    "--fidelity",
    type=click.Choice(["closed", "replay", "rtl"]),
    default="replay",
    show_default=True,
    help="Cycles in closed form (quick, for ranking), by the timing model's replay, or measured on "
    "the RTL.",
)
@click.option(
    "--verify",
    "num_verified",
    type=click.IntRange(0),
    metavar="N",
    help="Measure N random points and the best ones on the RTL, too.",
)
@click.option(
    "--search",
    "num_searched",
    type=click.IntRange(1),
    metavar="N",
    help="Measure N configs that a search (NSGA-II) picks.  [default: all; 500 of more than "
    "100,000]",
)
@click.option(
    "--at-most",
    multiple=True,
    metavar="FIGURE=VALUE",
    help="The best keep this, for example --at-most area=40000; may be repeated.",
)
@click.option(
    "--at-least",
    multiple=True,
    metavar="FIGURE=VALUE",
    help="The same, for example --at-least frames_per_second=30; may be repeated.",
)
@click.option(
    "--synth",
    "target",
    metavar="osu018|ecp5|LIBERTY",
    help="Area and clock of every config, as `tilewright synth` composes them.",
)
@click.option(
    "--clock",
    "clock_mhz",
    type=click.FloatRange(0, min_open=True),
    metavar="MHZ",
    help="Of every config, for seconds.  [default: what --synth says]",
)
@click.option(
    "--energy",
    "energy_file",
    type=FilePath,
    help="Picojoules as a TOML file.  [default: the table that comes along]",
)
@click.option(
    "--sram",
    "sram_file",
    type=FilePath,
    help="Areas of SRAM banks as a TOML file.  [default: the table that comes along]",
)
@click.option(
    "--dask",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Measure on the workers of that Dask scheduler; without an address on --jobs local ones.",
)
@click.option("--jobs", type=click.IntRange(1), help="Points at a time.  [default: CPU cores]")
@click.option(
    "--latency",
    default=str(MEMORY_LATENCY),
    show_default=True,
    help="DRAM latencies in cycles; values as of --rows.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random input."
)
@click.option(
    "-o",
    "--output",
    type=FilePath,
    metavar="DIR",
    help="Write results and pictures there; a later sweep goes on from it.",
)
@json_option()
@click.option("--csv", "csv_file", type=FilePath, help="Write the results to this file, too.")
@click.option("--plot", "plot_file", type=FilePath, help="Draw the results (.png, .svg, .pdf).")
def command(
    models: tuple[Path, ...],
    rows: str | None,
    cols: str | None,
    ranges: tuple[str, ...],
    presets: tuple[str, ...],
    config_files: tuple[Path, ...],
    settings: tuple[str, ...],
    space_file: Path | None,
    scale: bool | None,
    weights: str | None,
    options: ImportOptions,
    fidelity: "Fidelity",
    num_verified: int | None,
    num_searched: int | None,
    at_most: tuple[str, ...],
    at_least: tuple[str, ...],
    target: str | None,
    clock_mhz: float | None,
    energy_file: Path | None,
    sram_file: Path | None,
    dask: str | None,
    jobs: int | None,
    latency: str,
    seed: int,
    output: Path | None,
    json_files: tuple[Path, ...],
    csv_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Compile and replay each ONNX MODEL on many configs.

    Every combination of the ranges is a point; what is not varied is the base's (--preset,
    --config, --set) or, where the array's size is another, grows with it (--scale). A point that
    fails is listed with its error and stops no other one. Exit status 1 when any point failed.
    """
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.sweep.energy import load_table
    from tilewright.flows.sweep.flow import Wishes, carry_out, check
    from tilewright.flows.sweep.job import Setup
    from tilewright.flows.sweep.printing import print_files, print_points
    from tilewright.flows.sweep.sram import load_sram_table
    from tilewright.flows.sweep.store import STORE_NAME, opened
    from tilewright.flows.sweep.sweep import Sweep

    if num_verified is not None and fidelity == "rtl":
        raise InputError("--verify is of --fidelity closed and replay; rtl measures all points")
    check_files([*models, *config_files], models, [csv_file, plot_file, *json_files], output)
    bases = (*(PRESETS[name] for name in presets), *(Config.load(path) for path in config_files))
    sweep = Sweep(
        models=weighted_models(models, weights),
        space=changed_space(space_file, bases, settings, all_ranges(rows, cols, ranges), scale),
        latencies=latencies(latency),
        setup=Setup(
            fidelity=fidelity,
            seed=seed,
            options=options,
        ),
        table=load_table(energy_file),
        sram=load_sram_table(sram_file),
        limits=limits_of(at_most, at_least),
        clock_mhz=clock_mhz,
    )
    check_outputs(output, plot_file, target)
    wishes = check(
        sweep,
        Wishes(
            target=target,
            num_verified=num_verified,
            num_searched=num_searched,
            dask=dask,
            jobs=jobs or os.cpu_count() or 1,
        ),
    )
    with opened(output / STORE_NAME if output else None) as store:
        outcome = carry_out(sweep, wishes, store)
    written = write_results(sweep, outcome, output, csv_file, plot_file)
    is_printed = write_json(json_files, as_json(sweep, outcome))
    if outcome.points and not is_printed:
        print_points(sweep, outcome.points)
    if outcome.is_interrupted:
        raise KeyboardInterrupt(how_to_go_on(wishes.num_points(sweep), outcome, output))
    if not is_printed:
        print_files(written)
    if any(point.error for point in outcome.points):
        raise SystemExit(1)


def check_files(
    inputs: Sequence[Path],
    models: Sequence[Path],
    outputs: Sequence[Path | None],
    folder: Path | None,
) -> None:
    """Raise ModelError or InputError unless the models are there and results can be written."""
    check_targets(outputs, inputs)
    for model in models:
        if not model.is_file():
            raise ModelError(missing(model, "an ONNX model"))
    if folder is not None:
        check_folder(folder)


def check_outputs(output: Path | None, plot_file: Path | None, target: str | None) -> None:
    """Raise ToolError or InputError unless what is asked for can be made; make the folder."""
    from tilewright.flows.sweep.files import check_packages
    from tilewright.flows.sweep.pareto import check_picture
    from tilewright.flows.synthesis.synthesis import check_target

    if target is not None:
        check_target(target)
    if plot_file is not None:
        check_picture(plot_file)
    if output is not None:
        check_packages()
        output.mkdir(parents=True, exist_ok=True)


def weighted_models(paths: Sequence[Path], weights: str | None) -> tuple[Any, ...]:
    """Return the models with their weights. Raises InputError."""
    from tilewright.flows.sweep.job import Model

    try:
        given = [float(text) for text in weights.split(",")] if weights else [1.0] * len(paths)
    except ValueError:
        given = []
    if len(given) != len(paths) or not all(0 < weight < float("inf") for weight in given):
        raise InputError(f"--weights: {len(paths)} numbers above 0, got {weights!r}")
    files = [path.name for path in paths]
    names = files if len(set(files)) == len(files) else [str(path) for path in paths]
    return tuple(
        Model(path=path, name=name, weight=weight)
        for path, name, weight in zip(paths, names, given, strict=True)
    )


def limits_of(at_most: Sequence[str], at_least: Sequence[str]) -> tuple[Any, ...]:
    """Return the limits. Raises InputError."""
    from tilewright.flows.sweep.limits import parse_limit

    return (
        *(parse_limit(text, is_upper=True) for text in at_most),
        *(parse_limit(text, is_upper=False) for text in at_least),
    )


def latencies(text: str) -> tuple[int, ...]:
    """Return the DRAM's latencies. Raises InputError."""
    found = parse_values(text, "--latency")
    if found[0] < 1:
        raise InputError(f"--latency: at least 1 cycle, got {found[0]}")
    return found


def all_ranges(
    rows: str | None, cols: str | None, ranges: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Return the values by field. Raises InputError."""
    found = {name: parse_values(text, f"--{name}")
             for name, text in (("rows", rows), ("cols", cols)) if text}  # fmt: skip
    for given in ranges:
        name, equals, text = given.partition("=")
        if not equals or name in found:
            raise InputError(f"--set-range: FIELD=VALUES, each field once, got {given!r}")
        found[name] = parse_values(text, f"--set-range {name}")
    return found


def changed_space(
    path: Path | None,
    bases: tuple[Config, ...],
    settings: tuple[str, ...],
    ranges: dict[str, tuple[int, ...]],
    scale: bool | None,
    default: "Space | None" = None,
) -> "Space":
    """Return the space of the file, or the default one, with what the options say above it."""
    from tilewright.flows.sweep.space import Space, load_space

    space = (default or Space()) if path is None else load_space(path)
    return dataclasses.replace(
        space,
        bases=bases or space.bases,
        asked={**space.asked, **parse_settings(settings)},
        ranges={**space.ranges, **ranges},
        scale=space.scale if scale is None else scale,
    )


def how_to_go_on(num_points: int, outcome: "Outcome", output: Path | None) -> str:
    """Say what an interrupted sweep of so many points leaves."""
    done = f"{len(outcome.points)} of {num_points} points are"
    if output is None:
        return f"{done} done; with -o DIR a sweep goes on where it ended"
    return f"{done} in {output}; the same command goes on from there"


def write_results(
    sweep: "Sweep",
    outcome: "Outcome",
    output: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
) -> list[Path]:
    """Write what was asked for, and return where; pictures not after Ctrl-C, as they take long."""
    from tilewright.flows.sweep.files import write_all
    from tilewright.flows.sweep.formats import to_csv
    from tilewright.flows.sweep.pareto import draw
    from tilewright.flows.sweep.table import all_rows

    rows = all_rows(outcome.points)
    written = (
        []
        if output is None
        else write_all(output, sweep, outcome.points, with_picture=not outcome.is_interrupted)
    )
    if csv_file is not None:
        write_file(csv_file, to_csv(rows))
    if plot_file is not None and not outcome.is_interrupted:
        draw(plot_file, rows, sweep.title)
    return [*written, *filter(None, (csv_file, plot_file))]


def as_json(sweep: "Sweep", outcome: "Outcome") -> dict[str, Any]:
    """Return the outcome as JSON-able values, with layers and engines of every point."""
    return {
        "models": [{"name": model.name, "weight": model.weight} for model in sweep.models],
        "bases": [{"name": base.name, "digest": base.digest} for base in sweep.space.bases],
        "points": [point.row() | point.result.details() for point in outcome.points],
    }
