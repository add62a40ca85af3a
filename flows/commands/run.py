"""`tilewright run`: a program or a model on the simulator, the RTL, the reference, ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.flows.commands.options import (
    FilePath,
    cache_option,
    config_options,
    input_options,
    resolve_config,
    section_options,
)
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError

if TYPE_CHECKING:
    from tilewright.flows.models import CompiledModel
    from tilewright.flows.runtime.targets import Outcome
    from tilewright.flows.runtime.tensors import Array
    from tilewright.hw.spec.program import Program

TIMING = "timing"


@click.command(name="run")
@click.argument("program", type=FilePath, metavar="PROGRAM|MODEL")
@click.option(
    "--on",
    type=click.Choice(("iss", "rtl", "reference", "ort", TIMING)),
    default="iss",
    show_default=True,
    help="Simulator, RTL, the project's reference, ONNX Runtime with optimizations off; or the "
    "timing model, which has cycles and no outputs.",
)
@config_options()
@cache_option
@section_options
@click.option("--model", type=FilePath, help="The ONNX model of PROGRAM (for reference and ort).")
@input_options
@click.option(
    "--latency",
    type=click.IntRange(1),
    help=f"DRAM latency in cycles, of RTL and timing model.  [default: {MEMORY_LATENCY}]",
)
@click.option("-o", "--output", type=FilePath, help="Write the outputs to this .npz file.")
def command(
    program: Path,
    on: str,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    cached: bool,
    strict: bool,
    keep_sections: bool,
    model: Path | None,
    input_file: Path | None,
    samples: int | None,
    seed: int,
    latency: int | None,
    output: Path | None,
) -> None:
    """Run a compiled PROGRAM, or a MODEL (.onnx, compiled first), on some inputs.

    The same inputs give the same outputs on the simulator, the RTL and the reference, byte for
    byte. Without --input the inputs are random, from --seed.
    """
    from tilewright.flows.execution import load_inputs, make_target, run_samples, save_outputs
    from tilewright.flows.report.progress import status
    from tilewright.support.files import check_targets

    check_targets([output], [program, config_file, model, input_file])
    given = (preset, config_file, settings)
    compiler_options = {"strict": strict, "keep_sections": keep_sections}
    loaded, compiled = load(program, model, given, compiler_options, cached=cached)
    if latency is not None and on not in (TIMING, "rtl"):
        raise InputError(f"--latency is of --on rtl and --on timing; --on {on} has no DRAM timing")
    if on == TIMING:
        if (output, input_file, samples) != (None, None, None):
            raise InputError(
                "--on timing has no data: it takes no --input, no --samples and no --output"
            )
        print_timing(loaded, latency or MEMORY_LATENCY, cached=cached)
        return
    inputs = load_inputs(loaded, input_file, samples, seed)
    with status(f"preparing {on}"):
        target = make_target(on, loaded, compiled, latency or MEMORY_LATENCY)
    outcomes = run_samples(target, inputs, on)
    print_outcomes(outcomes, on, loaded)
    if output is not None:
        save_outputs(output, loaded, outcomes)
        click.echo(f"outputs in {output}")


def load(
    path: Path,
    model: Path | None,
    config: tuple[str | None, Path | None, tuple[str, ...]],
    options: dict[str, bool],
    *,
    cached: bool,
) -> tuple["Program", "CompiledModel | None"]:
    """Return the program and, where the ONNX model is at hand, what the compiler made of it."""
    from tilewright.flows.models import compile_file
    from tilewright.hw.spec.program import Program

    preset, config_file, settings = config
    strict, keep_sections = options["strict"], options["keep_sections"]
    if path.suffix.lower() == ".onnx":
        if model is not None:
            raise InputError("--model belongs to a program; here the model itself is given")
        chosen = resolve_config(preset, config_file, settings)
        compiled = compile_file(
            path, chosen, strict=strict, keep_sections=keep_sections, cached=cached
        )
        return compiled.program, compiled
    expected = None
    if preset or config_file or settings:
        expected = resolve_config(preset, config_file, settings)
    program = Program.load(path, expected)
    if model is None:
        return program, None
    compiled = compile_file(
        model, program.config, strict=strict, keep_sections=keep_sections, cached=cached
    )
    if program.metadata.get("model_digest") != compiled.digest:
        raise InputError(f"{path} was not compiled from {model}; give the model it was made of")
    return program, compiled


def print_timing(program: "Program", latency: int, *, cached: bool) -> None:
    """Print the timing model's cycles of each layer."""
    from tilewright.flows.program_cache import timed
    from tilewright.flows.report.coverage import print_coverage
    from tilewright.flows.report.display import console, table
    from tilewright.flows.report.report import layer_columns, layer_rows, total_row

    timing = timed(program, latency, cached=cached)
    rows = [*layer_rows(timing.layers), total_row(timing.layers, program.config, timing.cycles)]
    name = program.metadata.get("model", "program")
    out = console()
    print_coverage(out, program)
    out.print(table(f"{name} in the timing model", layer_columns(), rows))
    out.print(f"{timing.cycles:,} cycles")


def print_outcomes(outcomes: Sequence["Outcome"], on: str, program: "Program") -> None:
    """Print samples, time and cycles, and the outputs of a few samples in short."""
    from tilewright.flows.report.coverage import print_coverage
    from tilewright.flows.report.display import console, plural, table

    out = console()
    print_coverage(out, program)
    rows = [
        (number, name, f"{value.dtype}{list(value.shape)}", summary(value), outcome.cycles)
        for number, outcome in enumerate(outcomes[:8])
        for name, value in outcome.outputs.items()
    ]
    columns = (">sample", "output", "type", "values", ">cycles")
    out.print(table(f"{program.metadata.get('model', 'program')} on {on}", columns, rows))
    seconds = sum(outcome.seconds for outcome in outcomes)
    more = f", {len(outcomes) - 8} not shown" if len(outcomes) > 8 else ""
    out.print(f"{plural(len(outcomes), 'sample')} in {seconds:.2f} s{more}")


def summary(value: "Array") -> str:
    """Return a tensor's first elements and the place of its largest."""
    flat = value.reshape(-1)
    shown = " ".join(f"{element:.4g}" for element in flat[:6].tolist())
    dots = " ..." if flat.size > 6 else ""
    return f"{shown}{dots}  (largest at {int(flat.argmax())})"
