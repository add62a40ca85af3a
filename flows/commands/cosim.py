"""`tilewright cosim`: compile, generate, build, run on the RTL, compare, report."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    FilePath,
    Function,
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewright.flows.models import CompiledModel
    from tilewright.flows.runtime.targets import RtlTarget
    from tilewright.flows.runtime.tensors import Sample
    from tilewright.flows.verify import Verification


def dram_options(command: Function) -> Function:
    """Add --latency, --bandwidth and --stalls, the DRAM behind the accelerator."""
    options = (
        click.option("--latency", type=int, default=MEMORY_LATENCY, show_default=True,
                     help="DRAM latency in cycles."),
        click.option("--bandwidth", type=float, default=1.0, show_default=True,
                     help="DRAM bandwidth of each direction, in beats of the bus a cycle."),
        click.option("--stalls", type=float, default=0.0, show_default=True,
                     help="Chance with which a bus handshake is withheld in a cycle; then "
                     "latencies are random, too."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(name="cosim")
@click.argument("model", type=FilePath)
@config_options()
@cache_option
@input_options
@click.option("--rtl-samples", type=int, help="How many samples on the RTL.  [default: all]")
@click.option("--ort", is_flag=True, help="Also compare with ONNX Runtime, optimizations off.")
@import_options(batch=True)
@dram_options
@click.option("-o", "--output", type=FilePath, help="Write the RTL's outputs to this .npz file.")
@waveform_option
@json_option("--report")
def command(
    model: Path,
    given: GivenConfig,
    cached: bool,
    wanted: WantedInputs,
    rtl_samples: int | None,
    ort: bool,
    options: ImportOptions,
    latency: int,
    bandwidth: float,
    stalls: float,
    output: Path | None,
    waveform: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Compile the ONNX MODEL, run it on the RTL, and compare with simulator and reference.

    The RTL's whole DRAM is compared with the instruction-set simulator's, and the simulator's
    outputs with the project's reference. Exit status 1 when anything differs.
    """
    from tilewright.flows.execution import load_inputs, save_outputs
    from tilewright.flows.models import compile_file
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.flows.report.verification import print_verification, report_of
    from tilewright.flows.verify import timed_rtl
    from tilewright.support.errors import InputError
    from tilewright.support.files import check_targets

    if rtl_samples is not None and rtl_samples < 1:
        raise InputError(f"--rtl-samples must be at least 1, got {rtl_samples}")
    config = given.resolve()
    check_targets([output, waveform, *json_files], [model, given.config_file, wanted.input_file])
    check_waveform(waveform)
    with status(f"compiling {model.name} for {config.name}"):
        compiled = compile_file(model, config, options, cached=cached)
    inputs = load_inputs(compiled.program, wanted)
    with status(f"generating and building the RTL of {config.name}"):
        target, build_seconds = timed_rtl(compiled.program, latency, bandwidth, stalls, waveform)
    result = run(compiled, inputs, target, rtl_samples, ort=ort, build_seconds=build_seconds)
    if output is not None:
        save_outputs(output, result.program, result.rtl)
    if not write_json(json_files, report_of(result, model.name, target.dram)):
        print_verification(console(), result, model.name)
        if waveform is not None:
            click.echo(f"waveforms in {waveform}")
    if not result.is_exact:
        raise SystemExit(1)


def run(
    compiled: "CompiledModel",
    inputs: "Sequence[Sample]",
    target: "RtlTarget",
    rtl_samples: int | None,
    *,
    ort: bool,
    build_seconds: float,
) -> "Verification":
    """Run the samples, on the RTL the first `rtl_samples` or all, and compare."""
    from tilewright.flows.execution import run_samples
    from tilewright.flows.verify import verify

    return verify(
        compiled,
        inputs,
        target,
        num_rtl=rtl_samples or len(inputs),
        with_ort=ort,
        build_seconds=build_seconds,
        run=run_samples,
    )
