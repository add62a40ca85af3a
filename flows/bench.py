"""`tilewright bench`: kernels and models on the RTL, as Markdown and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.flows.options import FilePath, config_options, resolve_config

if TYPE_CHECKING:
    from tilewright.flows.bench_run import Result
    from tilewright.hw.spec.config import Config


@click.command(name="bench")
@click.argument("models", type=FilePath, nargs=-1, metavar="[MODEL.onnx]...")
@config_options()
@click.option("--quick", is_flag=True, help="Three small kernels only.")
@click.option("--no-kernels", is_flag=True, help="Only the given models.")
@click.option("-o", "--output", type=FilePath, help="Write the report to this Markdown file.")
@click.option("--json", "json_file", type=FilePath, help="Write the results to this JSON file.")
def command(
    models: tuple[Path, ...],
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    quick: bool,
    no_kernels: bool,
    output: Path | None,
    json_file: Path | None,
) -> None:
    """Measure single layers, and the given models, on the RTL.

    Every case is compiled, run on RTL (DRAM latency 64 cycles, full bus) and simulator, and
    checked against the reference. Exit status 1 when a case fails. The files are written anew
    after every case.
    """
    from tilewright.flows import bench_cases, bench_report
    from tilewright.flows.bench_run import Result, conditions, run_case
    from tilewright.flows.display import status
    from tilewright.flows.files import check_target, write_file
    from tilewright.hw.spec.errors import InputError

    config = resolve_config(preset, config_file, settings)
    for path in filter(None, (output, json_file)):
        check_target(path)
    for path in models:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give an ONNX model")
    kernels = bench_cases.KERNELS[: bench_cases.NUM_QUICK if quick else None]
    cases = [] if no_kernels else list(kernels)
    cases += [bench_cases.Case(name=bench_cases.model_name(path), model=path) for path in models]
    if not cases:
        raise InputError("nothing to measure; give models, or leave out --no-kernels")
    with status(f"generating and building the RTL of {config.name}"):
        build_seconds = build(config)
    results: list[Result] = []
    for case in cases:
        with status(f"{case.name} ({len(results) + 1} of {len(cases)})"):
            results.append(run_case(case, config))
        click.echo(line(results[-1]), err=True)
        facts = conditions(config, build_seconds, results)
        if output is not None:
            write_file(output, bench_report.markdown(facts, config, results))
        if json_file is not None:
            write_file(json_file, as_json(facts | {"results": [r.as_dict() for r in results]}))
    print_results(config, results)
    if any(result.error for result in results):
        raise SystemExit(1)


def build(config: "Config") -> float:
    """Build the RTL simulator and return the seconds that took."""
    import time

    from tilewright.flows.hardware import rtl_model

    start = time.monotonic()
    rtl_model(config)
    return time.monotonic() - start


def line(result: "Result") -> str:
    """Return one line about a result, for the progress on stderr."""
    from tilewright.flows.display import percent

    if result.cycles is None:
        return f"{result.name}: failed: {result.error}"
    failed = f"; FAILED: {result.error}" if result.error else ""
    return f"{result.name}: {result.cycles:,} cycles, {percent(result.utilization) or '-'}{failed}"


def as_json(facts: object) -> str:
    """Return JSON text that ends in a line end."""
    return json.dumps(facts, indent=2) + "\n"


def print_results(config: "Config", results: Sequence["Result"]) -> None:
    """Print the tables of the report."""
    from tilewright.flows import bench_report
    from tilewright.flows.display import console, table

    out = console()
    kernels = [bench_report.kernel_row(r, config) for r in results if r.is_kernel]
    models = [bench_report.model_row(r) for r in results if not r.is_kernel]
    title = f"{config.name} ({config.rows}x{config.cols}) on RTL"
    if kernels:
        out.print(table(f"Kernels: {title}", bench_report.KERNEL_COLUMNS, kernels))
    if models:
        out.print(table(f"Models: {title}", bench_report.MODEL_COLUMNS, models))
    speeds = map(bench_report.speed_row, results)
    out.print(table("Tools", bench_report.SPEED_COLUMNS, speeds))
