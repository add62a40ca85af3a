"""What became of the cases, and counts of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from tilewright.support.records import record

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
"""The parts of the suite that need no download."""


class Outcome(StrEnum):
    """Where a case ran, or why it did not."""

    ACCELERATOR = "accelerator"
    """All of it; reference and simulator equal, and equal to ONNX Runtime but for ties."""
    MIXED = "mixed"
    """Sections and islands, as right as that."""
    HOST = "host"
    """One island, with ONNX Runtime's values."""
    REFUSED = "refused"
    WRONG = "wrong"
    TRACEBACK = "traceback"


RIGHT = (Outcome.ACCELERATOR, Outcome.MIXED, Outcome.HOST)


@record(frozen=True, kw_only=True)
class Result:
    """What became of a case; `reason` says why it was refused, what differs, or what was raised."""

    name: str
    kind: str
    operator: str
    outcome: Outcome
    reason: str = ""
    host: tuple[tuple[str, str], ...] = ()
    """Operators that the host runs, borders aside, with the reason of each."""
    ties: int = 0
    """Elements one step beside ONNX Runtime's, where its value lies half way between two steps."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


def count(results: Sequence[Result]) -> dict[Outcome, int]:
    """Return how many cases have each outcome."""
    counts = Counter(result.outcome for result in results)
    return {outcome: counts[outcome] for outcome in Outcome}


def by_operator(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Return the results by operator, in the order of the alphabet."""
    rows: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda item: item.operator.lower()):
        rows.setdefault(result.operator, []).append(result)
    return rows
