"""`tilewright bench`: kernels, networks and models on the RTL, as Markdown and JSON."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.flows.commands.options import FilePath, GivenConfig, config_options, json_option

if TYPE_CHECKING:
    from tilewright.flows.bench.cases import Case
    from tilewright.flows.bench.measure import Result
    from tilewright.flows.bench.tools import RtlSpeed
    from tilewright.hw.spec.config import Config


@click.command(name="bench")
@click.argument("models", type=FilePath, nargs=-1, metavar="[MODEL.onnx]...")
@config_options(is_told=False)
@click.option("--long", "with_long", is_flag=True, help="Also GEMM 1024^3 and whole networks.")
@click.option(
    "--case",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only cases with such a name, long ones too; * stands for anything.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the cases' names.")
@click.option("--quick", is_flag=True, help="Three small kernels only.")
@click.option("--no-kernels", is_flag=True, help="Leave the kernels out.")
@click.option("--fresh", is_flag=True, help="Build the RTL anew, with an empty cache.")
@click.option("-o", "--output", type=FilePath, help="Write the report to this Markdown file.")
@json_option()
def command(
    models: tuple[Path, ...],
    given: GivenConfig,
    with_long: bool,
    patterns: tuple[str, ...],
    only_list: bool,
    quick: bool,
    no_kernels: bool,
    fresh: bool,
    output: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Measure single layers, networks and the given models on the RTL.

    Every case is compiled, run on RTL (full bus, DRAM latency 64 cycles where not stated) and
    simulator, and checked against the reference. The kernels run on `base` with 320 KiB of SRAM,
    the models on `base`; a config that is given is for both. Long cases have configs of their own.
    Exit status 1 when a case fails. The files are written anew after every case.
    """
    from tilewright.flows.bench.cases import check_config_names, choose
    from tilewright.flows.bench.tools import fresh_cache
    from tilewright.support.errors import InputError
    from tilewright.support.files import check_targets, missing

    config = None
    if not given.is_empty:
        config = given.resolve()
    check_targets([output, *json_files], [*models, given.config_file])
    for path in models:
        if not path.is_file():
            raise InputError(missing(path, "an ONNX model"))
    cases = choose(
        models,
        config,
        patterns,
        with_kernels=not no_kernels,
        with_long=with_long or bool(patterns) or only_list,
        quick=quick,
    )
    if only_list:
        for case in cases:
            click.echo(f"{case.name}{'  (long)' if case.is_long else ''}")
        return
    check_config_names(cases)
    with fresh_cache() if fresh else contextlib.nullcontext():
        results = measure(cases, output, json_files)
    if any(result.error for result in results):
        raise SystemExit(1)


def measure(
    cases: Sequence["Case"], output: Path | None, json_files: Sequence[Path]
) -> list["Result"]:
    """Run the cases, write the files after each, print the tables.

    After Ctrl-C the tables hold what is done. Raises KeyboardInterrupt then.
    """
    from tilewright.flows.bench.tools import measure_start
    from tilewright.flows.report.json_files import STDOUT, write_json

    start_seconds = measure_start()
    speeds: dict[str, RtlSpeed] = {}
    results: list[Result] = []
    left = ""
    try:
        for result in run_cases(cases, speeds):
            results.append(result)
            click.echo(line(result), err=True)
            facts = facts_of(cases, results) | {"start_seconds": start_seconds}
            if output is not None:
                write_markdown(output, facts, results, list(speeds.values()))
            files = [path for path in json_files if path != STDOUT]
            write_json(files, as_json(facts, results, speeds))
    except KeyboardInterrupt:
        left = f"{len(results)} of {len(cases)} cases are done; --case NAME runs single ones"
    if results:
        facts = facts_of(cases, results) | {"start_seconds": start_seconds}
        if not write_json(json_files, as_json(facts, results, speeds)):
            print_results(facts, results, list(speeds.values()))
    if left:
        raise KeyboardInterrupt(left)
    return results


def facts_of(cases: Sequence["Case"], results: Sequence["Result"]) -> dict[str, Any]:
    """Return the conditions under which the first cases gave the results."""
    from tilewright.flows.bench.measure import conditions

    configs = {case.config.name: case.config for case in cases[: len(results)]}
    return conditions(list(configs.values()), [result.latency for result in results])


def run_cases(cases: Sequence["Case"], speeds: dict[str, "RtlSpeed"]) -> Iterator["Result"]:
    """Yield the results of the cases; `speeds` gets what is measured of the RTL of each config."""
    from tilewright.flows.bench.measure import run_case
    from tilewright.flows.report.progress import Pace, status

    pace, seen = Pace(len(cases)), set()
    for done, case in enumerate(cases):
        if case.config.name not in seen:
            seen.add(case.config.name)
            with status(f"generating, building and timing the RTL of {case.config.name}"):
                _measure_rtl(case.config, speeds)
        with status(f"{case.name} ({done + 1} of {len(cases)}; {pace.sentence(done)})"):
            result = run_case(case)
        yield result


def _measure_rtl(config: "Config", speeds: dict[str, "RtlSpeed"]) -> None:
    """Measure the RTL of a config; what is wrong with it, its cases will say."""
    from tilewright.flows.bench.tools import measure_rtl
    from tilewright.support.errors import TilewrightError

    with contextlib.suppress(TilewrightError):
        speeds[config.name] = measure_rtl(config)


def line(result: "Result") -> str:
    """Return one line about a result, for the progress on stderr."""
    from tilewright.flows.report.display import percent

    if result.cycles is None:
        return f"{result.name}: failed: {result.error}"
    failed = f"; FAILED: {result.error}" if result.error else ""
    return f"{result.name}: {result.cycles:,} cycles, {percent(result.utilization) or '-'}{failed}"


def as_json(
    facts: dict[str, Any], results: Sequence["Result"], speeds: "dict[str, RtlSpeed]"
) -> dict[str, Any]:
    """Return all that was measured as JSON-able values."""
    rtl = [speed.as_dict() for speed in speeds.values()]
    return facts | {"rtl": rtl, "results": [result.as_dict() for result in results]}


def write_markdown(
    path: Path, facts: dict[str, Any], results: Sequence["Result"], speeds: Sequence["RtlSpeed"]
) -> None:
    """Write the report."""
    from tilewright.flows.bench.report import markdown
    from tilewright.support.files import write_file

    write_file(path, markdown(facts, results, speeds))


def print_results(
    facts: dict[str, Any], results: Sequence["Result"], speeds: Sequence["RtlSpeed"]
) -> None:
    """Print the tables of the report."""
    from tilewright.flows.bench.report import sections
    from tilewright.flows.report.display import console, table

    out = console()
    for section in sections(facts, results, speeds):
        out.print(table(section.title, section.columns, section.rows))
