"""`tilewright recommend`: the config to build for a model, a device and a number of frames."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import FilePath, import_options, json_option
from tilewright.flows.commands.sweep_options import (
    GivenSpace,
    check_files,
    clock_option,
    fixed_space_options,
    jobs_option,
    limit_options,
    model_options,
)
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError

if TYPE_CHECKING:
    from tilewright.flows.sweep.job import Model
    from tilewright.flows.sweep.limits import Limit
    from tilewright.flows.sweep.recommending import Recommendation
    from tilewright.flows.sweep.sweep import Sweep
    from tilewright.flows.synthesis.devices import Device

SOURCES = {
    "cycles": "cycles_source",
    "seconds": "clock_source",
    "frames_per_second": "clock_source",
    "clock_mhz": "clock_source",
    "area": "area_source",
    "sram_area": "sram_area_source",
    "total_area": "sram_area_source",
    "flip_flops": "area_source",
    "mult18": "area_source",
    "block_ram": "area_source",
    "energy_joules": "energy_source",
}
"""Where the column is that says how a figure was obtained."""
FIGURES = ("frames_per_second", "seconds", "clock_mhz", "cycles", "utilization", "coverage",
           "area", "sram_area", "total_area", "flip_flops", "mult18", "block_ram", "sram_kib",
           "energy_joules", "rtl_cycles")  # fmt: skip


@click.command(name="recommend")
@model_options
@click.option(
    "--target",
    required=True,
    metavar="DEVICE|osu018|LIBERTY",
    help="ecp5-25k, ecp5-45k, ecp5-85k, or gates as of `synth`.",
)
@click.option(
    "--min-fps",
    type=click.FloatRange(0, min_open=True),
    required=True,
    metavar="RATE",
    help="Inferences a second; of several models, of all of them together.",
)
@clock_option("an assumption for each FPGA")
@limit_options
@fixed_space_options
@import_options()
@click.option("--verify", "is_verified", is_flag=True, help="Measure the config on the RTL.")
@click.option(
    "--latency",
    type=click.IntRange(1),
    default=MEMORY_LATENCY,
    show_default=True,
    help="Of the DRAM, in cycles.",
)
@jobs_option
@click.option(
    "-o",
    "--output",
    type=FilePath,
    metavar="DIR",
    help="Keep what was measured there, for another call.",
)
@json_option()
def command(
    models: "tuple[Model, ...]",
    target: str,
    min_fps: float,
    clock_mhz: float | None,
    limits: "tuple[Limit, ...]",
    given: GivenSpace,
    options: ImportOptions,
    is_verified: bool,
    latency: int,
    jobs: int | None,
    output: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Say which config to build for MODELs: the smallest array that is fast enough and fits.

    Configs are ranked in closed form, then replayed and synthesized from the smallest array on.
    """
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.sweep.job import Setup
    from tilewright.flows.sweep.limits import Limit, limits_of_device
    from tilewright.flows.sweep.recommending import default_space
    from tilewright.flows.sweep.sweep import Sweep

    check_files(given.files, models, json_files, output)
    device = device_of(target, clock_mhz)
    sweep = Sweep(
        models=models,
        space=given.resolve(default_space(device)),
        latencies=(latency,),
        setup=Setup(options=options),
        limits=(
            *limits,
            Limit(figure="frames_per_second", bound=min_fps, is_upper=False),
            *(limits_of_device(device) if device else ()),
        ),
        clock_mhz=clock_mhz or (device.clock_mhz if device else None),
    )
    num_processes = jobs or os.cpu_count() or 1
    found = find(sweep, target, device, num_processes, output, is_verified=is_verified)
    if not found.points:
        raise InputError(f"no config makes {min_fps:g} frames/s on {target}: {found.sentence}")
    assumed = f"assumed for {target}; --clock gives another" if clock_mhz is None else None
    answer = as_json(found.row, assumed, device)
    if not write_json(json_files, answer):
        title = f"{found.row['config']} on {target}, the smallest of {found.num_ranked} configs"
        print_recommendation(answer, title)


def device_of(target: str, clock_mhz: float | None) -> "Device | None":
    """Return the FPGA of that name; None for gates, which need a clock.

    Raises InputError, ToolError.
    """
    from tilewright.flows.synthesis.devices import devices
    from tilewright.flows.synthesis.synthesis import check_target

    device = devices().get(target)
    if device is None and clock_mhz is None:
        raise InputError(
            f"--target {target}: --clock MHZ, or one of {', '.join(devices())}, whose clock is "
            "assumed"
        )
    check_target(target)
    return device


def find(
    sweep: "Sweep",
    target: str,
    device: "Device | None",
    num_processes: int,
    folder: Path | None,
    *,
    is_verified: bool,
) -> "Recommendation":
    """Return the config, or why there is none. Raises as `recommend` does.

    target: of the synthesis; folder: where what is measured is kept.
    """
    from tilewright.flows.sweep.recommending import recommend
    from tilewright.flows.sweep.running import Runner
    from tilewright.flows.sweep.store import STORE_NAME, opened
    from tilewright.flows.sweep.verifying import verify_points

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with (
        opened(folder / STORE_NAME if folder else None) as store,
        Runner(sweep, store, num_processes) as runner,
    ):
        found = recommend(runner, target, device)
        if found.points and is_verified:
            verified = verify_points(found.points, 0, runner).points
            found = dataclasses.replace(found, points=verified)
    return found


def as_json(row: Mapping[str, Any], assumed: str | None, device: "Device | None") -> dict[str, Any]:
    """Return the recommendation as JSON-able values.

    assumed: what is said of a clock that nobody gave; of an FPGA, there is a command that tells it.
    """
    from tilewright.flows.synthesis.devices import ECP5

    placing = f"--target {ECP5} --place {device.size}" if device else ""
    return {
        "clock_command": f"tilewright synth {row['options']} {placing}" if device else None,
        "config": row["options"],
        "command": f"tilewright generate {row['options']}",
        "figures": {
            name: {"value": row[name], "obtained": how_obtained(row, name, assumed)}
            for name in FIGURES
            if row[name] is not None
        },
    }


def how_obtained(row: Mapping[str, Any], name: str, assumed: str | None) -> str:
    """Say where a figure comes from.

    assumed: what is said of a clock that nobody gave.
    """
    if name in SOURCES:
        source = str(row[SOURCES[name]])
        return assumed if assumed and source == "given" else source
    return "measured on the RTL" if name == "rtl_cycles" else "of config and program"


def shown(value: float) -> str:
    """Return whole numbers in full, others in four digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def print_recommendation(answer: Mapping[str, Any], title: str) -> None:
    """Print figures and command."""
    from tilewright.flows.report.display import console, table

    rows = [
        (name.replace("_", " "), shown(figure["value"]), figure["obtained"])
        for name, figure in answer["figures"].items()
    ]
    out = console()
    out.print(table(title, ("<figure", ">value", "<how obtained"), rows))
    out.print(answer["command"], markup=False, soft_wrap=True)
    if answer["clock_command"]:
        out.print(f"its clock: {answer['clock_command']}", markup=False, soft_wrap=True)
