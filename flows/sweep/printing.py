"""What a sweep prints: its points, or the best of many, and how far their cycles are off."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tilewright.flows.report.coverage import coverage_range
from tilewright.flows.report.display import console, percent, show, table
from tilewright.flows.sweep.figures import fitted_figures, is_fitted
from tilewright.flows.sweep.pareto import pareto_front
from tilewright.flows.sweep.sweep import Sweep
from tilewright.flows.sweep.table import Point, all_rows, rtl_errors, without_depthwise

MAX_ROWS = 40
"""Of the table; of more points it has those that nothing beats."""
LIMITS = {None: None, True: "within", False: "beyond"}
"""How the table says whether a point keeps them."""


def print_points(sweep: Sweep, points: Sequence[Point]) -> None:
    """Print the table of points, or of many those that nothing beats."""
    out = console()
    coverages = [point.result.coverage for point in points if point.result.coverage]
    out.print(coverage_range(coverages), markup=False)
    rows = all_rows(points)
    title = f"{sweep.title}: cycles by {points[0].source}"
    shown: Sequence[Mapping[str, Any]] = rows
    if len(rows) > MAX_ROWS:
        names = {row["model"]: None for row in rows}
        shown = [r for name in names for r in pareto_front([r for r in rows if r["model"] == name])]
        title += (
            f"; {len(shown)} of {len(rows)} points, those with the fewest cycles for their size"
        )
    out.print(points_table(title, shown))
    lost = without_depthwise(point.candidate for point in points)
    if lost:
        out.print(lost, markup=False)
    fitted = fitted_figures(rows)
    if fitted:
        out.print(f"~ {fitted}", markup=False)
    sentence = rtl_errors(rows)
    out.print(sentence or "--verify N or --fidelity rtl state how far the cycles are off the RTL")


def points_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of rows, without the columns in which none has anything."""
    columns = ("config", "?model", ">cycles", ">utilization", "?>MACs here", "?>SRAM KiB",
               "?>area", "?>MHz", "?>ms", "?>mJ", "?>latency", "?limits", "=error")  # fmt: skip
    cells = [
        (
            row["config"],
            row["model"],
            row["cycles"],
            percent(row["utilization"]),
            percent(row["coverage"]),
            row["sram_kib"],
            _marked(row, "area", "area"),
            _marked(row, "clock_mhz", "clock"),
            None if row["seconds"] is None else f"{1000 * row['seconds']:.3f}",
            None if row["energy_joules"] is None else f"{1000 * row['energy_joules']:.3g}",
            row["dram_latency_cycles"],
            LIMITS[row["within_limits"]],
            row["error"],
        )
        for row in rows
    ]
    return table(title, columns, cells)


def _marked(row: Mapping[str, Any], column: str, figure: str) -> Any:
    """The value of a column, marked where it is fitted."""
    return f"~{show(row[column])}" if is_fitted(row, figure) else row[column]


def print_files(written: Sequence[Path]) -> None:
    """Print what was written."""
    for path in written:
        console().print(f"written: {path}", markup=False)
