"""Comparisons: memories byte for byte, outputs element for element."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.report.display import plural
from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.hw.spec.program import Program
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Agreement:
    """How far the outputs of two targets agree over some samples."""

    samples: int
    elements: int
    equal: int
    largest_difference: float
    """In quantization steps of the output, or 0 where everything is equal."""
    steps_known: bool
    """False: the output has no quantization step, the difference is absolute."""
    same_top: int
    """Samples whose first output has its largest element at the same place."""

    @property
    def is_exact(self) -> bool:
        return self.equal == self.elements

    @classmethod
    def together(cls, parts: "Sequence[Agreement]") -> "Agreement":
        """Return the agreement over the samples of all parts."""
        return cls(
            samples=sum(part.samples for part in parts),
            elements=sum(part.elements for part in parts),
            equal=sum(part.equal for part in parts),
            largest_difference=max(part.largest_difference for part in parts),
            steps_known=all(part.steps_known for part in parts),
            same_top=sum(part.same_top for part in parts),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-able values."""
        return dataclasses.asdict(self)

    def sentence(self) -> str:
        """Return the finding in words."""
        if self.is_exact:
            return f"all {self.elements:,} elements of {plural(self.samples, 'sample')} equal"
        unit = "steps" if self.steps_known else "absolute"
        return (
            f"{self.equal / self.elements:.3%} of {self.elements:,} elements equal, largest "
            f"difference {self.largest_difference:.4g} {unit}, same top class for "
            f"{self.same_top} of {self.samples} samples"
        )


def compare_outputs(
    given: Sequence[Sample],
    expected: Sequence[Sample],
    steps: Mapping[str, float] | None = None,
) -> Agreement:
    """Compare outputs sample by sample; `steps` holds the quantization steps of float outputs."""
    elements = equal = same_top = 0
    largest, steps_known = 0.0, True
    for ours, theirs in zip(given, expected, strict=True):
        for name, value in ours.items():
            matches = _equal(value, theirs[name])
            elements += matches.size
            equal += int(matches.sum())
            step, known = _step(value, (steps or {}).get(name))
            if not matches.all():
                steps_known &= known
                largest = max(largest, _difference(value, theirs[name]) / step)
        first = next(iter(ours))
        same_top += int(np.argmax(ours[first]) == np.argmax(theirs[first]))
    return Agreement(
        samples=len(given),
        elements=elements,
        equal=equal,
        largest_difference=largest,
        steps_known=steps_known,
        same_top=same_top,
    )


def _equal(first: Array, second: Array) -> NDArray[np.bool_]:
    if np.issubdtype(first.dtype, np.floating):
        return np.asarray((first == second) | (np.isnan(first) & np.isnan(second)))
    return np.asarray(first == second)


def _difference(first: Array, second: Array) -> float:
    return float(np.nanmax(np.abs(first.astype(np.float64) - second.astype(np.float64))))


def _step(value: Array, step: float | None) -> tuple[float, bool]:
    if np.issubdtype(value.dtype, np.integer):
        return 1.0, True
    return (step, True) if step else (1.0, False)


def first_difference(
    program: Program, given: NDArray[np.uint8], expected: NDArray[np.uint8]
) -> str | None:
    """Say where two memories differ first, and in which symbol; None when they are equal."""
    differing = np.flatnonzero(given != expected)
    if not differing.size:
        return None
    address = int(differing[0])
    symbol = next(
        (s for s in program.symbols if s.address <= address < s.address + s.size_bytes), None
    )
    place = f" ({symbol.kind} {symbol.name!r} + {address - symbol.address})" if symbol else ""
    return (
        f"{differing.size:,} bytes differ, the first at {address:#x}{place}: "
        f"{given[address]:#04x}, expected {expected[address]:#04x}"
    )
