"""`tilewright run`: a program or a model on the simulator, the RTL, the reference, ONNX Runtime."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    FilePath,
    GivenConfig,
    cache_option,
    check_waveform,
    config_options,
    import_options,
    input_options,
    json_option,
    waveform_option,
)
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError

if TYPE_CHECKING:
    from tilewright.flows.models import CompiledModel
    from tilewright.flows.runtime.targets import Outcome, Target
    from tilewright.flows.runtime.tensors import Sample
    from tilewright.hw.spec.program import Program

TIMING = "timing"


@click.command(name="run")
@click.argument("program", type=FilePath, metavar="PROGRAM|MODEL")
@click.option(
    "--on",
    type=click.Choice(("iss", "rtl", "reference", "ort", TIMING)),
    help="Simulator, RTL, the project's reference, ONNX Runtime with optimizations off; or the "
    "timing model, which has cycles and no outputs.  [default: iss; rtl with --vcd]",
)
@config_options()
@cache_option
@import_options(batch=True, host_only=True)
@click.option("--model", type=FilePath, help="The ONNX model of PROGRAM (for reference and ort).")
@input_options
@click.option(
    "--latency",
    type=click.IntRange(1),
    help=f"DRAM latency in cycles, of RTL and timing model.  [default: {MEMORY_LATENCY}]",
)
@click.option("-o", "--output", type=FilePath, help="Write the outputs to this .npz file.")
@waveform_option
@click.option(
    "--trace",
    "trace_file",
    type=FilePath,
    help="Write the run in the timing model to this file, for Perfetto or chrome://tracing.",
)
@json_option()
def command(
    program: Path,
    on: str | None,
    given: GivenConfig,
    cached: bool,
    options: ImportOptions,
    model: Path | None,
    wanted: WantedInputs,
    latency: int | None,
    output: Path | None,
    waveform: Path | None,
    trace_file: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Run a compiled PROGRAM, or a MODEL (.onnx, compiled first), on some inputs.

    The same inputs give the same outputs on the simulator, the RTL and the reference, byte for
    byte. Without --input the inputs are random, from --seed.
    """
    from tilewright.flows.report.trace import chrome_trace
    from tilewright.support.files import check_targets, write_file

    outputs = [output, waveform, trace_file, *json_files]
    check_targets(outputs, [program, given.config_file, model, wanted.input_file])
    on = on or ("iss" if waveform is None else "rtl")
    check_waveform(waveform)
    loaded, compiled = load(program, model, given, options, cached=cached)
    check_target_options(on, latency, waveform, is_traced=trace_file is not None)
    dram_latency = latency or MEMORY_LATENCY
    if trace_file is not None:
        write_file(trace_file, chrome_trace(loaded, dram_latency))
    if on == TIMING:
        if (output, wanted.input_file, wanted.samples) != (None, None, None):
            raise InputError(
                "--on timing has no data: it takes no --input, no --samples and no --output"
            )
        is_printed = show_timing(loaded, dram_latency, json_files, cached=cached)
    else:
        from tilewright.flows.execution import load_inputs, make_target
        from tilewright.flows.report.progress import status

        inputs = load_inputs(loaded, wanted)
        with status(f"preparing {on}"):
            target = make_target(on, loaded, compiled, dram_latency, waveform)
        is_printed = run_inputs(target, inputs, on, loaded, output, json_files)
    if is_printed:
        return
    for kind, path in (("outputs", output), ("waveforms", waveform), ("trace", trace_file)):
        if path is not None:
            click.echo(f"{kind} in {path}")


def check_target_options(
    on: str, latency: int | None, waveform: Path | None, *, is_traced: bool
) -> None:
    """Raise InputError for options that mean nothing where it runs."""
    if waveform is not None and on != "rtl":
        raise InputError(f"--vcd is of --on rtl; --on {on} has no waveforms")
    if latency is not None and on not in (TIMING, "rtl") and not is_traced:
        raise InputError(f"--latency is of --on rtl and --on timing; --on {on} has no DRAM timing")


def run_inputs(
    target: "Target",
    inputs: Sequence["Sample"],
    on: str,
    program: "Program",
    output: Path | None,
    json_files: Sequence[Path],
) -> bool:
    """Run the samples and show what they give; return whether stdout has it as JSON.

    Raises KeyboardInterrupt, when what is done is shown and saved.
    """
    from tilewright.flows.execution import run_samples, save_outputs
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.outcomes import outcomes_json, print_outcomes

    outcomes: list[Outcome] = []
    with contextlib.suppress(KeyboardInterrupt):
        run_samples(target, inputs, on, outcomes)
    if output is not None and outcomes:
        save_outputs(output, program, outcomes)
    is_printed = False
    if json_files:
        is_printed = write_json(json_files, outcomes_json(outcomes, on, program))
    if not is_printed:
        print_outcomes(console(), outcomes, on, program)
    if len(outcomes) < len(inputs):
        saved = f" and in {output}" if output is not None and outcomes else ""
        raise KeyboardInterrupt(
            f"{len(outcomes)} of {len(inputs)} samples are done{saved}; give --input the others"
        )
    return is_printed


def load(
    path: Path,
    model: Path | None,
    given: GivenConfig,
    options: "ImportOptions",
    *,
    cached: bool,
) -> tuple["Program", "CompiledModel | None"]:
    """Return the program and, where the ONNX model is at hand, what the compiler made of it."""
    from tilewright.flows.models import BATCH_SIZE, compile_file
    from tilewright.flows.report.progress import status
    from tilewright.hw.spec.program import Program

    if path.suffix.lower() == ".onnx":
        if model is not None:
            raise InputError("--model belongs to a program; here the model itself is given")
        chosen = given.resolve()
        with status(f"compiling {path.name} for {chosen.name}"):
            compiled = compile_file(path, chosen, options, cached=cached)
        return compiled.program, compiled
    if options.batch_size is not None:
        raise InputError(f"--batch belongs to an ONNX model; {path} was compiled with its own")
    expected = None
    if not given.is_empty:
        expected = given.resolve()
    program = Program.load(path, expected)
    if model is None:
        return program, None
    options = replace(options, batch_size=program.metadata.get(BATCH_SIZE))
    compiled = compile_file(model, program.config, options, cached=cached)
    if program.metadata.get("model_digest") != compiled.digest:
        raise InputError(f"{path} was not compiled from {model}; give the model it was made of")
    return program, compiled


def show_timing(
    program: "Program", latency: int, json_files: Sequence[Path], *, cached: bool
) -> bool:
    """Show the timing model's cycles of each layer; return whether stdout has them as JSON."""
    from tilewright.flows.program_cache import timed
    from tilewright.flows.report.coverage import coverage_json, print_coverage
    from tilewright.flows.report.display import console, table
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.outcomes import program_json
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
        return True
    rows = [*layer_rows(timing.layers), total_row(timing.layers, program.config, timing.cycles)]
    name = program.metadata.get("model", "program")
    out = console()
    print_coverage(out, program)
    out.print(table(f"{name} in the timing model", layer_columns(), rows))
    out.print(f"{timing.cycles:,} cycles")
    return False
