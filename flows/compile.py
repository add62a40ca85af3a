"""`tilewright compile`: an ONNX model becomes a program file and a report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.flows.options import FilePath, config_options, resolve_config

if TYPE_CHECKING:
    from rich.console import Console

    from tilewright.flows.models import CompiledModel


@click.command(name="compile")
@click.argument("model", type=FilePath)
@config_options()
@click.option("-o", "--output", type=FilePath, help="Program file.  [default: MODEL.tw here]")
@click.option("--report", type=FilePath, help="Also write the report as JSON.")
@click.option("--strict", is_flag=True, help="Refuse models that leave operators to the host.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    model: Path,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    report: Path | None,
    strict: bool,
    quiet: bool,
) -> None:
    """Compile the ONNX MODEL to a program file.

    The report lists each layer with its work and traffic, the cycles that the compiler expects,
    and every operator that is left to the host with the reason.
    """
    from tilewright.flows.display import console, size
    from tilewright.flows.files import check_target, write_file
    from tilewright.flows.models import compile_file

    config = resolve_config(preset, config_file, settings)
    target = output or Path(f"{model.stem}.tw")
    for path in filter(None, (target, report)):
        check_target(path)
    compiled = compile_file(model, config, strict=strict)
    data = compiled.program.to_bytes()
    write_file(target, data)
    if report is not None:
        write_file(report, json.dumps(report_of(compiled), indent=2) + "\n")
    if not quiet:
        out = console()
        print_layers(out, compiled)
        print_host_operators(out, compiled)
        out.print(
            f"{target}: {compiled.program.num_instructions:,} instructions, {size(len(data))}, "
            f"needs {size(compiled.program.memory_bytes)} of DRAM; for {config.name} "
            f"({config.rows}x{config.cols}); compiled in {compiled.seconds:.1f} s"
        )


def print_layers(out: "Console", compiled: "CompiledModel") -> None:
    """Print the table of layers with the timing model's cycles."""
    from tilewright.flows.display import table
    from tilewright.flows.report import layer_columns, layer_reports, layer_rows, total_row
    from tilewright.sim.timing import simulate

    program = compiled.program
    timing = simulate(program)
    reports = layer_reports(program, timing.retirements)
    rows = [*layer_rows(reports), total_row(reports, program.config, timing.cycles)]
    title = f"{compiled.path.name}: layers, cycles by the timing model"
    out.print(table(title, layer_columns(), rows))


def print_host_operators(out: "Console", compiled: "CompiledModel") -> None:
    """Print what is left to the host, and the compiler's notes."""
    from tilewright.flows.display import table

    operators = compiled.imported.host_operators
    if operators:
        rows = [(o.op_type, o.name, o.side, o.elements, o.reason) for o in operators]
        columns = ("operator", "node", "side", ">elements", "why on the host")
        out.print(table("Left to the host", columns, rows))
    for work in compiled.program.metadata["host_work"]:
        out.print(f"host work: {work}", markup=False)
    for note in compiled.imported.notes:
        out.print(f"note: {note}", markup=False)


def report_of(compiled: "CompiledModel") -> dict[str, Any]:
    """Return the report as JSON-able values."""
    from tilewright.flows.report import layer_reports
    from tilewright.sim.timing import simulate

    program = compiled.program
    timing = simulate(program)
    reports = layer_reports(program, timing.retirements)
    return {
        "model": compiled.path.name,
        "config": {"name": program.config.name, "digest": program.config.digest},
        "instructions": program.num_instructions,
        "memory_bytes": program.memory_bytes,
        "cycles": timing.cycles,
        "cycles_are": "the timing model's",
        "layers": [report.as_dict() for report in reports],
        "host_operators": program.metadata["host_operators"],
        "host_work": program.metadata["host_work"],
        "notes": program.metadata["notes"],
    }
