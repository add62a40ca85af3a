"""`tilewright sweep`: models on many configs, in parallel and resumable."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import FilePath, collected, import_options, json_option
from tilewright.flows.commands.sweep_options import (
    GivenSpace,
    check_files,
    clock_option,
    jobs_option,
    limit_options,
    model_options,
    space_options,
)
from tilewright.flows.sweep.ranges import parse_values
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError
from tilewright.support.files import write_file
from tilewright.support.records import record

if TYPE_CHECKING:
    from tilewright.flows.sweep.flow import Wishes
    from tilewright.flows.sweep.job import Fidelity, Model
    from tilewright.flows.sweep.limits import Limit
    from tilewright.flows.sweep.sweep import Outcome, Sweep


@record(frozen=True, kw_only=True)
class Outputs:
    """Where results go."""

    folder: Path | None
    csv_file: Path | None
    plot_file: Path | None

    def check(self, target: str | None) -> None:
        """Raise ToolError or InputError unless what is asked for can be made; make the folder.

        target: of the synthesis.
        """
        from tilewright.flows.sweep.files import check_packages
        from tilewright.flows.sweep.pareto import check_picture
        from tilewright.flows.synthesis.synthesis import check_target

        if target is not None:
            check_target(target)
        if self.plot_file is not None:
            check_picture(self.plot_file)
        if self.folder is not None:
            check_packages()
            self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, sweep: "Sweep", outcome: "Outcome") -> list[Path]:
        """Write what was asked for, and return where; after Ctrl-C no pictures: they take long."""
        from tilewright.flows.sweep.files import write_all
        from tilewright.flows.sweep.formats import to_csv
        from tilewright.flows.sweep.pareto import draw
        from tilewright.flows.sweep.table import all_rows

        rows, with_picture = all_rows(outcome.points), not outcome.is_interrupted
        written = []
        if self.folder is not None:
            written = write_all(self.folder, sweep, outcome.points, with_picture=with_picture)
        if self.csv_file is not None:
            write_file(self.csv_file, to_csv(rows))
        if self.plot_file is not None and with_picture:
            draw(self.plot_file, rows, sweep.title)
        return [*written, *filter(None, (self.csv_file, self.plot_file))]


output_options = collected(
    (
        click.option(
            "-o",
            "--output",
            "folder",
            type=FilePath,
            metavar="DIR",
            help="Write results and pictures there; a later sweep goes on from it.",
        ),
        click.option(
            "--csv", "csv_file", type=FilePath, help="Write the results to this file, too."
        ),
        click.option(
            "--plot", "plot_file", type=FilePath, help="Draw the results (.png, .svg, .pdf)."
        ),
    ),
    "outputs",
    Outputs,
)
"""The command gets `outputs`."""


def wishes_of(jobs: int | None, **others: Any) -> "Wishes":
    """Return what is asked for besides cycles."""
    from tilewright.flows.sweep.flow import Wishes

    return Wishes(jobs=jobs or os.cpu_count() or 1, **others)


wish_options = collected(
    (
        click.option(
            "--verify",
            "num_verified",
            type=click.IntRange(0),
            metavar="N",
            help="Measure N random points and the best ones on the RTL, too.",
        ),
        click.option(
            "--search",
            "num_searched",
            type=click.IntRange(1),
            metavar="N",
            help="Measure N configs that a search (NSGA-II) picks.  [default: all; 500 of more "
            "than 100,000]",
        ),
        click.option(
            "--synth",
            "target",
            metavar="osu018|ecp5|DEVICE|LIBERTY",
            help="Area and clock of every config, as `tilewright synth` composes them.",
        ),
        click.option(
            "--synth-configs",
            "num_synthesized",
            type=click.IntRange(1),
            metavar="N",
            help="Of more than N configs, synthesize N and fit the others to them.  [default: 24]",
        ),
        click.option(
            "--dask",
            is_flag=False,
            flag_value="local",
            metavar="[ADDRESS]",
            help="Measure on the workers of that Dask scheduler; without an address on --jobs "
            "local ones.",
        ),
        jobs_option,
        click.option(
            "--native/--no-native",
            default=None,
            help="Replay with the tools compiled to native code, which are built once, or without. "
            " [default: where that is quicker]",
        ),
    ),
    "wishes",
    wishes_of,
)
"""The command gets `wishes`."""


@click.command(name="sweep")
@model_options
@space_options
@import_options()
@click.option(
    "--fidelity",
    type=click.Choice(["closed", "replay", "rtl"]),
    default="replay",
    show_default=True,
    help="Cycles in closed form (quick, for ranking), by the timing model's replay, or measured on "
    "the RTL.",
)
@wish_options
@limit_options
@clock_option("what --synth says")
@click.option(
    "--energy",
    "energy_file",
    type=FilePath,
    help="Picojoules as TOML, or Accelergy's ERT.yaml.  [default: the table that comes along]",
)
@click.option(
    "--sram",
    "sram_file",
    type=FilePath,
    help="Areas of SRAM banks as a TOML file.  [default: the table that comes along]",
)
@click.option(
    "--latency",
    default=str(MEMORY_LATENCY),
    show_default=True,
    help="DRAM latencies in cycles; values as of --rows.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random input."
)
@output_options
@json_option()
def command(
    models: "tuple[Model, ...]",
    given: GivenSpace,
    options: ImportOptions,
    fidelity: "Fidelity",
    wishes: "Wishes",
    limits: "tuple[Limit, ...]",
    clock_mhz: float | None,
    energy_file: Path | None,
    sram_file: Path | None,
    latency: str,
    seed: int,
    outputs: Outputs,
    json_files: tuple[Path, ...],
) -> None:
    """Compile and replay each ONNX MODEL on many configs.

    Every combination of the ranges is a point; what is not varied is the base's (--preset,
    --config, --set) or, where the array's size is another, grows with it (--scale). A point that
    fails is listed with its error and stops no other one. Exit status 1 when any point failed.
    """
    from tilewright.flows.sweep.energy import load_table
    from tilewright.flows.sweep.job import Setup
    from tilewright.flows.sweep.sram import load_sram_table
    from tilewright.flows.sweep.sweep import Sweep

    if wishes.num_verified is not None and fidelity == "rtl":
        raise InputError("--verify is of --fidelity closed and replay; rtl measures all points")
    written = [outputs.csv_file, outputs.plot_file, *json_files]
    read = [*given.files, energy_file, sram_file]
    check_files(read, models, written, outputs.folder)
    sweep = Sweep(
        models=models,
        space=given.resolve(),
        latencies=latencies(latency),
        setup=Setup(fidelity=fidelity, seed=seed, options=options),
        table=load_table(energy_file),
        sram=load_sram_table(sram_file),
        limits=limits,
        clock_mhz=clock_mhz,
    )
    outputs.check(wishes.target)
    carry_out_and_show(sweep, wishes, outputs, json_files)


def carry_out_and_show(
    sweep: "Sweep", wishes: "Wishes", outputs: Outputs, json_files: tuple[Path, ...]
) -> None:
    """Write and print what comes of a sweep. Raises SystemExit where a point failed."""
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.sweep.flow import carry_out, check
    from tilewright.flows.sweep.printing import print_files, print_points
    from tilewright.flows.sweep.store import STORE_NAME, opened

    wishes = check(sweep, wishes)
    with opened(outputs.folder / STORE_NAME if outputs.folder else None) as store:
        outcome = carry_out(sweep, wishes, store)
    written = outputs.write(sweep, outcome)
    is_printed = write_json(json_files, as_json(sweep, outcome))
    if outcome.points and not is_printed:
        print_points(sweep, outcome.points)
    if outcome.is_interrupted:
        raise KeyboardInterrupt(how_to_go_on(wishes.num_points(sweep), outcome, outputs.folder))
    if not is_printed:
        print_files(written)
    if any(point.error for point in outcome.points):
        raise SystemExit(1)


def latencies(text: str) -> tuple[int, ...]:
    """Return the DRAM's latencies. Raises InputError."""
    found = parse_values(text, "--latency")
    if found[0] < 1:
        raise InputError(f"--latency: at least 1 cycle, got {found[0]}")
    return found


def how_to_go_on(num_points: int, outcome: "Outcome", output: Path | None) -> str:
    """Say what an interrupted sweep of so many points leaves."""
    done = f"{len(outcome.points)} of {num_points} points are"
    if output is None:
        return f"{done} done; with -o DIR a sweep goes on where it ended"
    return f"{done} in {output}; the same command goes on from there"


def as_json(sweep: "Sweep", outcome: "Outcome") -> dict[str, Any]:
    """Return the outcome as JSON-able values, with layers and engines of every point."""
    return {
        "models": [{"name": model.name, "weight": model.weight} for model in sweep.models],
        "bases": [{"name": base.name, "digest": base.digest} for base in sweep.space.bases],
        "points": [point.row() | point.result.details() for point in outcome.points],
    }
