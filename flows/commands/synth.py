"""`tilewright synth`: area and clock of one config, with open tools."""

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.flows.commands.options import FilePath, GivenConfig, config_options, json_option
from tilewright.support.files import check_folder, write_folder

if TYPE_CHECKING:
    from tilewright.flows.synthesis.place import Placement
    from tilewright.flows.synthesis.synthesis import Synthesis

FILE = "synthesis.json"


def complete_sizes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the FPGAs that begin like that, for shells."""
    from tilewright.flows.synthesis.devices import devices

    sizes = [device.size for device in devices().values()]
    return [size for size in sizes if size.startswith(incomplete)]


@click.command(name="synth")
@config_options()
@click.option(
    "--target",
    default="osu018",
    show_default=True,
    metavar="osu018|ecp5|DEVICE|LIBERTY",
    help="Gates of a library (a .lib file, or OSU018 from Debian), or an FPGA (also ecp5-25k).",
)
@click.option("--flat", "is_flat", is_flag=True, help="The whole at once, instead of its parts.")
@click.option(
    "--place",
    "size",
    metavar="25k|45k|85k",
    shell_complete=complete_sizes,
    help="Place and route the whole on that ECP5 (nextpnr), with --target ecp5.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Of --place: its clock is the median of so many seeds.",
)
@click.option("--jobs", type=click.IntRange(1), help="Parts at a time.  [default: CPU cores]")
@click.option("-o", "--output", type=FilePath, metavar="DIR", help=f"Write {FILE} there.")
@json_option()
def command(
    given: GivenConfig,
    target: str,
    is_flat: bool,
    size: str | None,
    seeds: int,
    jobs: int | None,
    output: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Say how large and how fast a config is.

    Its parts are synthesized one by one, kept in the cache by their content, and added up; --flat
    synthesizes the whole. The clock is that of the parts' gates together (with OpenSTA), or with
    --place that of the whole on an FPGA, with its wires.
    """
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.synthesis.devices import ECP5, device_of_size
    from tilewright.flows.synthesis.place import place
    from tilewright.flows.synthesis.synthesis import synthesize

    if size is not None and target != ECP5:
        raise click.UsageError("--place needs --target ecp5")
    device = None if size is None else device_of_size(size)
    config = given.resolve()
    if output is not None:
        check_folder(output)
    found: Synthesis | Placement
    if device is not None:
        found = placed = place(config, device, seeds=seeds)
        show = partial(print_placement, placed)
    else:
        found = synthesized = synthesize(
            config, target, is_flat=is_flat, jobs=jobs or os.cpu_count() or 1
        )
        show = partial(print_synthesis, synthesized)
    if output is not None:
        write_folder(output, {FILE: json.dumps(found.as_dict(), indent=2) + "\n"})
    if write_json(json_files, found.as_dict()):
        return
    show()
    if output is not None:
        console().print(f"written: {output / FILE}", markup=False)


def print_synthesis(found: "Synthesis") -> None:
    """Print the parts and their sum."""
    from tilewright.flows.report.display import console, table

    totals = found.totals
    names = list(found.parts[0].figures)
    rows = [
        (
            part.name,
            part.count,
            *(round(part.count * part.figures[name]) for name in names),
            f"{part.path.megahertz:.0f}" if part.path else None,
        )
        for part in sorted(found.parts, key=lambda p: -p.count * p.figures[names[0]])
    ]
    rows.append(("total", None, *(round(totals[name]) for name in names), None))
    columns = ("<part", ">count", *(f">{name.replace('_', ' ')}" for name in names), "?>MHz")
    out = console()
    out.print(table(f"{found.config.name} on {found.target}, {found.obtained}", columns, rows))
    out.print(f"SRAM: {totals['sram_bits']:,.0f} bits, not in the area", markup=False)
    if found.timing is not None and found.path is not None:
        out.print(
            f"clock: {found.path.megahertz:.1f} MHz without wires, {found.path.start} -> "
            f"{found.path.end}; {found.timing.buffers:,} buffers in trees, not in the area",
            markup=False,
        )
    out.print(f"by {', '.join(found.tools)}", markup=False)


def print_placement(found: "Placement") -> None:
    """Print the cells and every seed's clock."""
    from tilewright.flows.report.display import console, table

    out = console()
    cells = [
        (name, used, available, f"{used / available:.0%}")
        for name, (used, available) in found.cells.items()
    ]
    title = f"{found.config.name} on ECP5 {found.device}, {found.obtained}"
    out.print(table(title, ("<cells", ">used", ">available", ">"), cells))
    if found.megahertz is None:
        out.print(f"it does not fit: too many {', '.join(found.missing)}", markup=False)
    else:
        runs = [(run.seed, f"{run.megahertz:.1f}", run.start, run.end) for run in found.runs]
        out.print(table("longest path of each seed", (">seed", ">MHz", "<from", "<to"), runs))
        out.print(f"clock: {found.megahertz:.1f} MHz, the median", markup=False)
    out.print(f"by {', '.join(found.tools)}", markup=False)
