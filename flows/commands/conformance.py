"""`tilewright conformance`: the onnx package's backend suite, case by case."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.flows.commands.options import (
    FilePath,
    GivenConfig,
    config_options,
    json_option,
)
from tilewright.flows.conformance.results import KINDS

if TYPE_CHECKING:
    from tilewright.flows.conformance.results import Result
    from tilewright.hw.spec.config import Config


@click.command(name="conformance")
@click.argument("pattern", required=False)
@config_options(default="nano")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="Only cases of this kind; may be repeated.",
)
@click.option("--jobs", type=click.IntRange(1), help="Cases at a time.  [default: CPU cores]")
@click.option("--cases", "with_cases", is_flag=True, help="Print every case with its outcome.")
@click.option("-o", "--output", type=FilePath, help="Write the report to this Markdown file.")
@json_option()
def command(
    pattern: str | None,
    kinds: tuple[str, ...],
    given: GivenConfig,
    jobs: int | None,
    with_cases: bool,
    output: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Run the cases of onnx.backend.test through compiler, simulator and reference.

    PATTERN picks cases by operator or name: Conv, "Reduce*", test_add.  Float models are quantized
    with the ranges of the case's data, and compared with ONNX Runtime on the same model. Exit
    status 1 when a value is wrong or an exception is none of the project's.
    """
    from tilewright.flows.conformance.cases import collect
    from tilewright.flows.conformance.results import Outcome
    from tilewright.flows.conformance.suite import run_cases
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import counted, status
    from tilewright.support.files import check_targets, write_file

    check_targets([output, *json_files], [given.config_file])
    config = given.resolve()
    with status("collecting the cases of onnx.backend.test"):
        cases = collect(pattern, kinds or KINDS)
    found: dict[str, Result] = {}
    with (
        contextlib.suppress(KeyboardInterrupt),
        counted("case", len(cases), every_seconds=SECONDS_A_LINE) as advance,
        contextlib.closing(run_cases(cases, config, jobs or os.cpu_count() or 1)) as coming,
    ):
        for result in coming:
            found[result.name] = result
            advance(result.outcome)
    results = [found[case.name] for case in cases if case.name in found]
    if len(results) < len(cases):
        print_results(results, with_cases=with_cases)
        raise KeyboardInterrupt(f"{len(results)} of {len(cases)} cases are done; {NOT_KEPT}")
    if output is not None:
        words = [*([f"'{pattern}'"] if pattern else []), *(f"--kind {kind}" for kind in kinds)]
        write_file(output, report(results, config, words))
    if not write_json(json_files, as_json(results, config)):
        print_results(results, with_cases=with_cases)
        if output is not None:
            click.echo(f"written: {output}")
    if any(result.outcome in (Outcome.WRONG, Outcome.TRACEBACK) for result in results):
        raise SystemExit(1)


SECONDS_A_LINE = 10.0
NOT_KEPT = "no file was written; a PATTERN or --kind picks some cases"
PACKAGES = ("onnx", "onnxruntime", "numpy")


def report(results: "Sequence[Result]", config: "Config", words: "Sequence[str]") -> str:
    """Return the report as Markdown; words: of the command that picks the cases."""
    from importlib.metadata import version

    from tilewright.flows.conformance.report import markdown

    versions = {name: version(name) for name in PACKAGES}
    return markdown(results, config, " ".join(["tilewright", "conformance", *words]), versions)


def print_results(results: "Sequence[Result]", *, with_cases: bool) -> None:
    """Print the table by operator, what was refused, wrong or raised, and the totals."""
    from tilewright.flows.conformance import report
    from tilewright.flows.conformance.results import Outcome
    from tilewright.flows.report.display import console, table

    out = console()
    refused = [result for result in results if result.outcome is Outcome.REFUSED]
    shown = results if with_cases else [r for r in results if r.outcome in FAILED]
    out.print(table("cases by operator", report.OPERATOR_COLUMNS, report.operator_rows(results)))
    if refused:
        out.print(table("refused", report.REASON_COLUMNS, report.reason_rows(refused)))
    if shown:
        rows = [(item.name, item.outcome, item.ties or None, item.reason) for item in shown]
        out.print(table("cases", ("<case", "outcome", "?>ties", "=reason"), rows))
    out.print(report.sentence(results), markup=False)


FAILED = ("wrong", "traceback")


def as_json(results: "Sequence[Result]", config: "Config") -> dict[str, Any]:
    """Return the results as JSON-able values."""
    from tilewright.flows.conformance.results import count

    return {
        "config": {"name": config.name, "digest": config.digest},
        "totals": {str(outcome): number for outcome, number in count(results).items()},
        "cases": [result.as_dict() for result in results],
    }
