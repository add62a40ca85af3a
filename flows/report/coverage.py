"""What every report begins with: how much of the model runs on the accelerator."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from tilewright.flows.report.display import percent
from tilewright.hw.spec.coverage import Coverage
from tilewright.hw.spec.program import Program


def coverage_of(program: Program) -> Coverage | None:
    """Return the coverage of the model that a program came from; None of one made by hand."""
    fields: Mapping[str, Any] | None = program.metadata.get("coverage")
    return None if fields is None else Coverage(**fields)


def coverage_json(program: Program) -> dict[str, int] | None:
    """Return the coverage as JSON-able values."""
    found = coverage_of(program)
    return None if found is None else found.as_dict()


def coverage_sentence(coverage: Coverage) -> str:
    """Return the coverage in words."""
    multiplications = "no multiplications"
    if coverage.macs_share is not None:
        share = percent(coverage.macs_share)
        multiplications = f"{share} of {coverage.macs_total:,} multiplications"
    return (
        f"on the accelerator: {multiplications}, {coverage.operators_accelerator:,} of "
        f"{coverage.operators_total:,} operators"
    )


def coverage_range(found: Sequence[Coverage]) -> str:
    """Return the coverages of several programs of a model in words: one, or the lowest and highest.

    The ends are those with the smallest and the largest share of the multiplications.
    """
    if not found:
        return "on the accelerator: unknown, no point has run"
    ordered = sorted(found, key=lambda item: (item.macs_accelerator, item.operators_accelerator))
    if ordered[0] == ordered[-1]:
        return coverage_sentence(ordered[0])
    first, last = (coverage_sentence(end) for end in (ordered[0], ordered[-1]))
    return f"{first}; at most {last.removeprefix('on the accelerator: ')}"


def print_coverage(out: Console, program: Program) -> None:
    """Print the coverage of a program that came from a model."""
    found = coverage_of(program)
    if found is not None:
        out.print(coverage_sentence(found), markup=False)
