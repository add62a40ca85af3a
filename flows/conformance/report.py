"""The results of the backend suite as tables: by operator, by outcome, and the reasons."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.flows.conformance.results import RIGHT, Outcome, Result, by_operator, count
from tilewright.flows.report.display import plural
from tilewright.flows.report.markdown import markdown_table
from tilewright.hw.spec.config import Config

Row = tuple[Any, ...]

MEANINGS = {
    Outcome.ACCELERATOR: "all of it on the accelerator (the host may reorder data in between)",
    Outcome.MIXED: "sections on the accelerator, islands on the host",
    Outcome.HOST: "all of it on the host (`--allow-host-only`)",
    Outcome.REFUSED: "one line says why",
    Outcome.WRONG: "other values than ONNX Runtime's, or simulator and reference differ",
    Outcome.TRACEBACK: "an exception that is none of the project's",
}
OPERATOR_COLUMNS = ("operator", ">cases", *(f">{outcome}" for outcome in Outcome))
REASON_COLUMNS = (">cases", "=reason", "operators")
HOST_COLUMNS = (">cases", "operator", "=reason")
NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w.]+\.onnx: |/\S+")
"""What differs between two cases with the same reason."""
CONSEQUENCES = ("follows ", "its result is only used by ")
"""How reasons begin that lie in another operator."""
LONGEST_LIST = 6
LONGEST_REASON = 160


def operator_rows(results: Sequence[Result]) -> list[Row]:
    """Return a row for each operator, with the number of cases of each outcome."""
    rows = []
    for operator, members in by_operator(results).items():
        counts = count(members)
        rows.append((operator, len(members), *(counts[outcome] or "" for outcome in Outcome)))
    return rows


def total_rows(results: Sequence[Result]) -> list[Row]:
    """Return a row for each outcome with its meaning."""
    return [(outcome, number, MEANINGS[outcome]) for outcome, number in count(results).items()]


def reason_rows(results: Iterable[Result]) -> list[Row]:
    """Return a row for each kind of reason, without the names of a single case."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        groups[general(result.reason)][result.operator] += 1
    ordered = sorted(groups.items(), key=lambda item: (-item[1].total(), item[0]))
    return [(members.total(), reason, _listed(sorted(members))) for reason, members in ordered]


def host_rows(results: Iterable[Result]) -> list[Row]:
    """Return a row for each operator that the host runs, and why, with the number of cases."""
    found = Counter(
        (operator, general(reason))
        for result in results
        for operator, reason in result.host
        if not reason.startswith(CONSEQUENCES)
    )
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(number, operator, reason) for (operator, reason), number in ordered]


def general(reason: str) -> str:
    """Return a reason without what is the single case's: names, paths, numbers."""
    text = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", NAMES.sub("..", reason))
    text = re.sub(r"\[(N, )*N?\]", "[..]", text.replace("|", "/")).removeprefix("..: ")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} .."


def sentence(results: Sequence[Result]) -> str:
    """Return the totals in words."""
    counts = count(results)
    right = sum(counts[outcome] for outcome in RIGHT)
    others = ", ".join(f"{counts[o]:,} {o}" for o in Outcome if o not in RIGHT)
    where = ", ".join(f"{counts[o]:,} {o}" for o in RIGHT)
    return f"{right:,} of {plural(len(results), 'case')} right ({where}); {others}"


def markdown(
    results: Sequence[Result], config: Config, command: str, versions: dict[str, str]
) -> str:
    """Return the whole report."""
    refused = [result for result in results if result.outcome is Outcome.REFUSED]
    failed = [r for r in results if r.outcome in (Outcome.WRONG, Outcome.TRACEBACK)]
    hosted = [r for r in results if r.outcome in (Outcome.HOST, Outcome.MIXED)]
    ties = sum(result.ties for result in results)
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    parts = [
        "# The onnx package's backend suite",
        f"Written by `{command}` for `{config.name}` ({config.rows}x{config.cols}); {listed}. "
        f"{sentence(results)}.",
        METHOD.format(ties=f"{ties:,}"),
        markdown_table(("outcome", ">cases", "meaning"), total_rows(results)),
        "## By operator",
        markdown_table(OPERATOR_COLUMNS, operator_rows(results)),
        "## What is refused",
        markdown_table(REASON_COLUMNS, reason_rows(refused)),
        "## What runs on the host",
        "Operators of the cases on the host or mixed that are the cause: not the borders "
        "(QuantizeLinear, DequantizeLinear), nor what only lies behind or before such an operator.",
        markdown_table(HOST_COLUMNS, host_rows(hosted)),
    ]
    if failed:
        lines = "\n".join(f"- {item.name}: {item.outcome}: {item.reason}" for item in failed)
        parts += ["## Wrong values and tracebacks", lines]
    return "\n\n".join(parts) + "\n"


METHOD = """\
A case is a model of one operator or a few with its inputs. What is constant in practice (weights,
scales, zero points, axes, shapes, pads) becomes an initializer with the case's value; operator sets
without QuantizeLinear (of ONNX Runtime) are converted. Every float input, output and value between
two operators becomes int8 between QuantizeLinear and DequantizeLinear, with the range of the case's
data (inputs 1/8, outputs 1/4 wider; of infinite elements the nearest finite value, unless an output
of the model is not float); weights become int8, too. The model goes through `compile`, and what
simulator and reference give must be equal to the byte, and equal to ONNX Runtime's values
(optimizations off) of the same model. Where it is not, the value of every QuantizeLinear is checked
alone: it may lie one step beside only where what is rounded is half way between two steps (within
1/128 step, in float16 3/8). {ties} elements do."""


def _listed(names: Sequence[str]) -> str:
    further = f", {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
    return ", ".join(names[:LONGEST_LIST]) + further
