"""`tilewright compile`: an ONNX model becomes a program file and a report."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    CommandWithPasses,
    FilePath,
    GivenConfig,
    cache_option,
    config_options,
    import_options,
    json_option,
    pass_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from tilewright.flows.models import CompiledModel
    from tilewright.flows.program_cache import TimedProgram


@click.command(name="compile", cls=CommandWithPasses)
@click.argument("model", type=FilePath)
@config_options()
@click.option("-o", "--output", type=FilePath, help="Program file.  [default: MODEL.tw here]")
@json_option("--report")
@import_options(batch=True, host_only=True)
@cache_option
@pass_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    model: Path,
    given: GivenConfig,
    output: Path | None,
    json_files: tuple[Path, ...],
    options: ImportOptions,
    cached: bool,
    print_after: tuple[str, ...],
    stop_after: str | None,
    with_weights: bool,
    quiet: bool,
) -> None:
    """Compile the ONNX MODEL to a program file.

    The report lists each layer with its work and traffic, the cycles that the timing model
    expects, and every operator that is left to the host with the reason. The text of passes takes
    its place on stdout.
    """
    from tilewright.flows.models import compile_file, import_file
    from tilewright.flows.program_cache import timed
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.passes import pass_printer
    from tilewright.flows.report.progress import status
    from tilewright.support.errors import InputError
    from tilewright.support.files import check_targets, write_file

    config = given.resolve()
    observe = pass_printer(print_after, stop_after, with_weights=with_weights)
    if stop_after is not None:
        if output or json_files:
            raise InputError("--stop-after writes no file; leave out --output and --report")
        from tilewright.compiler.compile import run_sections

        imported = import_file(model, config, options)
        run_sections(imported, config, observe=observe, stop_after=stop_after)
        return
    target = output or Path(f"{model.stem}.tw")
    check_targets([target, *json_files], [model, given.config_file])
    quiet = quiet or observe is not None
    told = f"compiling {model.name} for {config.name}"
    with contextlib.nullcontext() if quiet else status(told):  # no spinner around printed passes
        compiled = compile_file(model, config, options, cached=cached, observe=observe)
    write_file(target, compiled.program.to_bytes())
    if quiet and not json_files:
        return
    timing = timed(compiled.program, cached=cached)
    if not write_json(json_files, report_of(compiled, timing)) and not quiet:
        print_report(compiled, timing, target)


def print_report(compiled: "CompiledModel", timing: "TimedProgram", target: Path) -> None:
    """Print coverage, layers, islands, notes, and what the program file is."""
    from tilewright.flows.report.coverage import print_coverage
    from tilewright.flows.report.display import console, size
    from tilewright.flows.report.islands import print_islands

    out, program = console(), compiled.program
    print_coverage(out, program)
    print_layers(out, compiled, timing)
    print_islands(out, program)
    print_notes(out, compiled)
    out.print(
        f"{target}: {program.num_instructions:,} instructions, {size(len(program.to_bytes()))}, "
        f"needs {size(program.memory_bytes)} of DRAM; for {program.config.name} "
        f"({program.config.rows}x{program.config.cols}); "
        f"{'from the cache' if compiled.is_cached else 'compiled'} in {compiled.seconds:.1f} s",
        markup=False,
    )


def print_layers(out: "Console", compiled: "CompiledModel", timing: "TimedProgram") -> None:
    """Print the table of layers with the timing model's cycles."""
    from tilewright.flows.report.display import table
    from tilewright.flows.report.report import layer_columns, layer_rows, total_row

    config = compiled.program.config
    rows = [*layer_rows(timing.layers), total_row(timing.layers, config, timing.cycles)]
    title = f"{compiled.path.name}: layers, cycles by the timing model"
    out.print(table(title, layer_columns(), rows))


def print_notes(out: "Console", compiled: "CompiledModel") -> None:
    """Print what the host does to input maps, and the compiler's notes."""
    metadata = compiled.program.metadata
    for work in metadata["host_work"]:
        out.print(f"host work: {work}", markup=False)
    for note in metadata["notes"]:
        out.print(f"note: {note}", markup=False)


def report_of(compiled: "CompiledModel", timing: "TimedProgram") -> dict[str, Any]:
    """Return the report as JSON-able values."""
    from tilewright.flows.report.coverage import coverage_json
    from tilewright.flows.report.islands import islands_json, steps_json

    program = compiled.program
    return {
        "coverage": coverage_json(program),
        "model": compiled.path.name,
        "config": {"name": program.config.name, "digest": program.config.digest},
        "instructions": program.num_instructions,
        "memory_bytes": program.memory_bytes,
        "cycles": timing.cycles,
        "cycles_are": "the timing model's",
        "layers": [report.as_dict() for report in timing.layers],
        "steps": steps_json(program),
        "islands": islands_json(program),
        "host_work": program.metadata["host_work"],
        "notes": program.metadata["notes"],
    }
