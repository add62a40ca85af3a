"""A model against ONNX Runtime, operator by operator: table, summary, JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.compiler.compare import Difference, OperatorComparer, OperatorComparison
from tilewright.compiler.frontend.importer import ImportedModel
from tilewright.flows.report.display import shorten, table
from tilewright.flows.runtime.tensors import Sample
from tilewright.support.records import record

if TYPE_CHECKING:
    from rich.console import Console


@record(frozen=True, kw_only=True)
class ModelComparison:
    """All operators of a model over some samples, in the model's order."""

    samples: int
    operators: tuple[OperatorComparison, ...]
    """Elements and counts are of all samples together."""
    not_compared: tuple[dict[str, Any], ...]
    """What has no counterpart in ONNX Runtime, or is ONNX Runtime itself, with the reason."""

    @property
    def largest(self) -> int:
        """The largest difference, in steps, that an operator's own arithmetic makes."""
        return max((operator.own.largest for operator in self.operators), default=0)

    @property
    def first_differing(self) -> OperatorComparison | None:
        """The first operator whose own arithmetic differs."""
        return next((operator for operator in self.operators if operator.own.count), None)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        first = self.first_differing
        return {
            "samples": self.samples,
            "largest_difference_steps": self.largest,
            "first_differing": None if first is None else first.name,
            "operators": [asdict(operator) for operator in self.operators],
            "not_compared": list(self.not_compared),
        }


def compare_model(path: Path, model: ImportedModel, samples: Sequence[Sample]) -> ModelComparison:
    """Compare the model of an ONNX file on every sample. Raises InputError, ModelError."""
    comparer = OperatorComparer(path, model)
    runs = [comparer.run(sample) for sample in samples]
    return ModelComparison(
        samples=len(runs),
        operators=tuple(_together(same) for same in zip(*runs, strict=True)),
        not_compared=tuple(_not_compared(comparer, model)),
    )


def _together(runs: Sequence[OperatorComparison]) -> OperatorComparison:
    return replace(
        runs[0],
        elements=sum(run.elements for run in runs),
        own=_sum(run.own for run in runs),
        total=_sum(run.total for run in runs),
    )


def _sum(differences: Iterable[Difference]) -> Difference:
    every = list(differences)
    return Difference(
        count=sum(item.count for item in every), largest=max(item.largest for item in every)
    )


def _not_compared(comparer: OperatorComparer, model: ImportedModel) -> Iterable[dict[str, Any]]:
    for section, node in comparer.not_compared:
        reason = "its result is no tensor of the model"
        yield {"step": section, "operators": [node.name], "reason": reason}
    for island in model.islands:
        names = [operator.name for operator in island.operators]
        yield {"step": island.name, "operators": names, "reason": "left to ONNX Runtime"}


def print_comparison(out: "Console", comparison: ModelComparison, name: str) -> None:
    """Print the table of operators, what was not compared, and the summary."""
    first = comparison.first_differing
    rows = [
        (
            ">" if operator is first else "",
            shorten(operator.name),
            operator.elements,
            _equal(operator.own, operator.elements),
            operator.own.largest,
            operator.section,
            operator.kind,
            _equal(operator.total, operator.elements),
            operator.total.largest,
            shorten(", ".join(operator.source)),
        )
        for operator in comparison.operators
    ]
    columns = (
        "", "<operator", ">elements", ">equal %", ">largest, steps", "?section", "?kind",
        "?>with earlier: equal %", "?>with earlier: largest", "?ONNX nodes",
    )  # fmt: skip
    out.print(table(f"{name} against ONNX Runtime, operator by operator", columns, rows))
    for item in comparison.not_compared:
        names, count = item["operators"], len(item["operators"])
        what = names[0] if count == 1 else f"{count} operators, the last one {names[-1]}"
        out.print(f"not compared: {item['step']}: {what}: {item['reason']}", markup=False)
    out.print(_summary(comparison), markup=False)


def _equal(difference: Difference, elements: int) -> str:
    if not difference.count:
        return "100"
    return f"{min(100 * (1 - difference.count / elements), 99.9999):.4f}"


def _summary(comparison: ModelComparison) -> str:
    operators, first = comparison.operators, comparison.first_differing
    equal = sum(not operator.own.count for operator in operators)
    elements = sum(operator.elements for operator in operators)
    differing = sum(operator.own.count for operator in operators)
    samples = f"{comparison.samples} sample{'s' if comparison.samples > 1 else ''}"
    text = (
        f"{equal} of {len(operators)} operators equal in {samples}; "
        f"{differing:,} of {elements:,} elements differ, by {comparison.largest} steps at most"
    )
    return text if first is None else f"{text}; the first operator that differs: {first.name}"
