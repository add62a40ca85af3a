"""`tilewright run`: a program or a model on the simulator, the RTL, the reference, ONNX Runtime."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.flows.commands.options import (
    FilePath,
    cache_option,
    config_options,
    input_options,
    json_option,
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
@click.option(
    "--trace",
    "trace_file",
    type=FilePath,
    help="Write the run in the timing model to this file, for Perfetto or chrome://tracing.",
)
@json_option()
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
    trace_file: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Run a compiled PROGRAM, or a MODEL (.onnx, compiled first), on some inputs.

    The same inputs give the same outputs on the simulator, the RTL and the reference, byte for
    byte. Without --input the inputs are random, from --seed.
    """
    from tilewright.flows.execution import load_inputs, make_target, run_samples, save_outputs
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.flows.report.trace import chrome_trace
    from tilewright.support.files import check_targets, write_file

    check_targets([output, trace_file, *json_files], [program, config_file, model, input_file])
    given = (preset, config_file, settings)
    compiler_options = {"strict": strict, "keep_sections": keep_sections}
    loaded, compiled = load(program, model, given, compiler_options, cached=cached)
    if latency is not None and on not in (TIMING, "rtl") and trace_file is None:
        raise InputError(f"--latency is of --on rtl and --on timing; --on {on} has no DRAM timing")
    if trace_file is not None:
        write_file(trace_file, chrome_trace(loaded, latency or MEMORY_LATENCY))
    if on == TIMING:
        if (output, input_file, samples) != (None, None, None):
            raise InputError(
                "--on timing has no data: it takes no --input, no --samples and no --output"
            )
        show_timing(loaded, latency or MEMORY_LATENCY, json_files, cached=cached)
        return
    inputs = load_inputs(loaded, input_file, samples, seed)
    with status(f"preparing {on}"):
        target = make_target(on, loaded, compiled, latency or MEMORY_LATENCY)
    outcomes = run_samples(target, inputs, on)
    if output is not None:
        save_outputs(output, loaded, outcomes)
    if write_json(json_files, outcomes_json(outcomes, on, loaded)):
        return
    print_outcomes(outcomes, on, loaded)
    if output is not None:
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


def show_timing(
    program: "Program", latency: int, json_files: Sequence[Path], *, cached: bool
) -> None:
    """Print the timing model's cycles of each layer."""
    from tilewright.flows.program_cache import timed
    from tilewright.flows.report.coverage import coverage_json, print_coverage
    from tilewright.flows.report.display import console, table
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.report import layer_columns, layer_rows, total_row

    timing = timed(program, latency, cached=cached)
    found = {
        "coverage": coverage_json(program),
        **program_json(program, TIMING),
        "dram_latency_cycles": latency,
        "cycles": timing.cycles,
        "layers": [layer.as_dict() for layer in timing.layers],
    }
    if write_json(json_files, found):
        return
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


def program_json(program: "Program", on: str) -> dict[str, Any]:
    """Return what was run, where, as JSON-able values."""
    config = program.config
    return {
        "model": program.metadata.get("model"),
        "config": {"name": config.name, "digest": config.digest},
        "on": on,
    }


def outcomes_json(outcomes: Sequence["Outcome"], on: str, program: "Program") -> dict[str, Any]:
    """Return all outputs as JSON-able values; what is no number is null."""
    from tilewright.flows.report.coverage import coverage_json

    samples = [
        {
            "cycles": outcome.cycles,
            "seconds": round(outcome.seconds, 6),
            "outputs": {
                name: {"type": str(value.dtype), "shape": list(value.shape), "values": flat(value)}
                for name, value in outcome.outputs.items()
            },
        }
        for outcome in outcomes
    ]
    found = {"coverage": coverage_json(program), **program_json(program, on)}
    return found | {"samples": samples}


def flat(value: "Array") -> list[Any]:
    """Return a tensor's elements in their order."""
    elements = value.reshape(-1).tolist()
    return [e if not isinstance(e, float) or math.isfinite(e) else None for e in elements]


def summary(value: "Array") -> str:
    """Return a tensor's first elements and the place of its largest."""
    flat = value.reshape(-1)
    shown = " ".join(f"{element:.4g}" for element in flat[:6].tolist())
    dots = " ..." if flat.size > 6 else ""
    return f"{shown}{dots}  (largest at {int(flat.argmax())})"
