"""Size and speed of a config of a sweep, and how they were obtained."""

from collections.abc import Mapping, Sequence
from typing import Any

from tilewright.flows.synthesis.synthesis import Synthesis
from tilewright.support.records import record

FITTED = "fitted to"
"""How a source begins that says so."""


@record(frozen=True, kw_only=True)
class Figures:
    """What a synthesis says of a config, or what is fitted to those of others."""

    unit: str
    """Of the area, LUT4 or NAND2."""
    totals: Mapping[str, float]
    obtained: str
    clock_mhz: float | None
    """None on an FPGA, and without OpenSTA."""
    clock_obtained: str

    @classmethod
    def of(cls, synthesis: Synthesis) -> "Figures":
        """Return the figures of a synthesis."""
        path = synthesis.path
        return cls(
            unit=synthesis.unit,
            totals=synthesis.totals,
            obtained=synthesis.obtained,
            clock_mhz=path.megahertz if path else None,
            clock_obtained=synthesis.clock_obtained,
        )

    @property
    def area(self) -> float:
        """The logic without SRAM banks, in `unit`."""
        return self.totals[self.unit.lower()]

    @property
    def is_fitted(self) -> bool:
        return self.obtained.startswith(FITTED)


def is_fitted(row: Mapping[str, Any], figure: str) -> bool:
    """Whether a row's `area` or `clock` is."""
    return (row[f"{figure}_source"] or "").startswith(FITTED)


def fitted_figures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what of the rows is fitted, and how far that is off; empty where nothing is."""
    sentences = []
    for figure in ("area", "clock"):
        fitted = [row[f"{figure}_source"] for row in rows if is_fitted(row, figure)]
        if fitted:
            sentences.append(f"{figure} of {len(fitted):,} of {len(rows):,} points {fitted[0]}")
    return "; ".join(sentences)
