"""`tilewright cosim`: compile, generate, build, run on the RTL, compare, report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.flows.commands.options import (
    FilePath,
    Function,
    cache_option,
    config_options,
    input_options,
    resolve_config,
)
from tilewright.hw.spec.dram import MEMORY_LATENCY

if TYPE_CHECKING:
    from rich.console import Console

    from tilewright.flows.runtime.targets import RtlTarget
    from tilewright.flows.verify import Verification
    from tilewright.sim.cosim.parameters import DramParameters


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
@click.option("--strict", is_flag=True, help="Refuse models that leave operators to the host.")
@dram_options
@click.option("-o", "--output", type=FilePath, help="Write the RTL's outputs to this .npz file.")
@click.option("--report", type=FilePath, help="Also write the report as JSON.")
def command(
    model: Path,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    cached: bool,
    input_file: Path | None,
    samples: int | None,
    seed: int,
    rtl_samples: int | None,
    ort: bool,
    strict: bool,
    latency: int,
    bandwidth: float,
    stalls: float,
    output: Path | None,
    report: Path | None,
) -> None:
    """Compile the ONNX MODEL, run it on the RTL, and compare with simulator and reference.

    The RTL's whole DRAM is compared with the instruction-set simulator's, and the simulator's
    outputs with the project's reference. Exit status 1 when anything differs.
    """
    from tilewright.flows.commands.run import load_inputs
    from tilewright.flows.models import compile_file
    from tilewright.flows.report.display import console, status
    from tilewright.flows.verify import timed_rtl, verify
    from tilewright.support.errors import InputError
    from tilewright.support.files import check_targets

    if rtl_samples is not None and rtl_samples < 1:
        raise InputError(f"--rtl-samples must be at least 1, got {rtl_samples}")
    config = resolve_config(preset, config_file, settings)
    check_targets([output, report], [model, config_file, input_file])
    with status(f"compiling {model.name} for {config.name}"):
        compiled = compile_file(model, config, strict=strict, cached=cached)
    inputs = load_inputs(compiled.program, input_file, samples, seed)
    with status(f"generating and building the RTL of {config.name}"):
        target, build_seconds = timed_rtl(compiled.program, latency, bandwidth, stalls)
    with status("running on the RTL"):
        result = verify(
            compiled,
            inputs,
            target,
            num_rtl=rtl_samples or len(inputs),
            with_ort=ort,
            build_seconds=build_seconds,
        )
    print_verification(console(), result, model.name)
    save(result, target, model.name, output, report)
    if not result.is_exact:
        raise SystemExit(1)


def save(
    result: "Verification",
    target: "RtlTarget",
    name: str,
    output: Path | None,
    report: Path | None,
) -> None:
    """Write the outputs and the report to the files that were asked for."""
    from tilewright.flows.runtime.tensors import save_samples
    from tilewright.support.files import write_file

    if output is not None:
        save_samples(output, [outcome.outputs for outcome in result.rtl])
    if report is not None:
        write_file(report, json.dumps(report_of(result, name, target.dram), indent=2) + "\n")


def print_verification(out: "Console", result: "Verification", name: str) -> None:
    """Print the table of layers, the cycles, and what agrees with what."""
    from tilewright.flows.report.display import table
    from tilewright.flows.report.report import layer_columns, layer_rows, total_row

    config = result.program.config
    rows = layer_rows(result.layers)
    rows.append(total_row(result.layers, config, result.cycles))
    title = f"{name} on the RTL of {config.name} ({config.rows}x{config.cols})"
    out.print(table(title, layer_columns(), rows))
    for line in sentences(result):
        out.print(line, markup=False)


def sentences(result: "Verification") -> Iterator[str]:
    """Yield the findings in words."""
    from tilewright.flows.report.display import percent, plural, signed_percent

    seconds = sum(outcome.seconds for outcome in result.rtl)
    rates = [outcome.cycles_per_second or 0.0 for outcome in result.rtl]
    yield (
        f"{result.cycles:,} cycles, array {percent(result.utilization) or '-'} busy; "
        f"{plural(len(result.rtl), 'sample')} in {seconds:.1f} s of simulation, "
        f"{max(rates) / 1e3:,.0f} kHz; RTL built in {result.build_seconds:.1f} s"
    )
    if result.estimated_cycles is not None:
        off = result.estimated_cycles / result.cycles - 1
        yield f"timing model: {result.estimated_cycles:,} cycles, {signed_percent(off)} off the RTL"
    if result.memory_differences:
        yield "RTL and simulator DIFFER:"
        yield from (f"  {difference}" for difference in result.memory_differences)
    else:
        size = result.program.memory_bytes
        yield (
            f"RTL = simulator: all {size:,} bytes of DRAM equal after each of "
            f"{plural(len(result.rtl), 'run')}"
        )
    relation = "=" if result.reference.is_exact else "DIFFERS from"
    yield f"simulator {relation} reference: {result.reference.sentence()}"
    if result.ort is not None:
        relation = "=" if result.ort.is_exact else "against"
        yield f"simulator {relation} ONNX Runtime: {result.ort.sentence()}"


def report_of(result: "Verification", name: str, dram: "DramParameters") -> dict[str, Any]:
    """Return the report as JSON-able values."""
    config = result.program.config
    agreements = {"reference": result.reference, "ort": result.ort}
    return {
        "model": name,
        "config": {"name": config.name, "digest": config.digest},
        "dram_latency_cycles": dram.latency_cycles,
        "dram_beats_per_cycle": dram.beats_per_cycle,
        "dram_stall_probability": dram.stall_probability,
        "samples_rtl": len(result.rtl),
        "samples_iss": len(result.iss),
        "cycles": [outcome.cycles for outcome in result.rtl],
        "estimated_cycles": result.estimated_cycles,
        "utilization": result.utilization,
        "cycles_per_second": [outcome.cycles_per_second for outcome in result.rtl],
        "build_seconds": result.build_seconds,
        "memory_differences": list(result.memory_differences),
        "agreement": {
            target: None if found is None else found.as_dict()
            for target, found in agreements.items()
        },
        "layers": [layer.as_dict() for layer in result.layers],
    }
