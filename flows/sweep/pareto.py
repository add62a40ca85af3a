"""Which points nothing beats, and their picture."""

import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilewright.support.errors import InputError, ToolError
from tilewright.support.files import write_file

Row = Mapping[str, Any]
LABELS = {
    "total_area": "area of logic and SRAM",
    "area": "area of the logic",
    "sram_area": "area of the SRAM (estimate)",
    "multipliers": "multipliers (rows x cols)",
    "sram_kib": "SRAM, KiB",
    "dram_latency_cycles": "DRAM latency, cycles",
    "utilization": "busy part of the array",
    "clock_mhz": "clock, MHz",
    "energy_joules": "energy, joules (estimate)",
    "bytes_loaded": "bytes loaded",
    "bytes_stored": "bytes stored",
}
"""What columns are called in pictures, where it is not their name."""


def axes_of(rows: Sequence[Row]) -> tuple[str, str]:
    """Return the columns that are weighed against each other, smaller being better.

    Area (with SRAM where there is a table) and seconds where rows have them, or else multipliers
    and cycles.
    """

    def first(*names: str) -> str:
        return next(name for name in names if any(row[name] is not None for row in rows) or
                    name == names[-1])  # fmt: skip

    return first("total_area", "area", "multipliers"), first("seconds", "cycles")


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other one beats in a column of `axes_of` and equals in the other.

    Rows beyond a limit are none of them.
    """
    cost, time = axes_of(rows)
    found: list[Row] = []
    known = (row for row in rows if row[cost] is not None and row[time] is not None)
    for row in sorted(
        (row for row in known if row["within_limits"] is not False),
        key=lambda row: (row[cost], row[time]),
    ):
        if not found or row[time] < found[-1][time]:
            found.append(row)
    return found


def check_picture(path: Path) -> None:
    """Raise ToolError or InputError unless a picture can be drawn to `path`."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise ToolError('a picture needs matplotlib: pip install "tilewright[sweep]"') from None
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise InputError(f"{path}: the suffix of a plot must be one of {', '.join(sorted(kinds))}")


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw all rows and their front, and what the array of each is busy."""
    figure = importlib.import_module("matplotlib.figure").Figure(
        figsize=(11, 5), layout="constrained"
    )
    left, right = figure.subplots(1, 2)
    cost, time = axes_of(rows)
    done = [row for row in rows if row[cost] is not None and row[time] is not None]
    front = pareto_front(done)
    left.plot([row[cost] for row in done], [row[time] for row in done], ".", color="0.6")
    left.plot([row[cost] for row in front], [row[time] for row in front], "o-", label="best")
    for row in front:
        left.annotate(f"{row['rows']}x{row['cols']}", (row[cost], row[time]), fontsize=8,
                      xytext=(4, 4), textcoords="offset points")  # fmt: skip
    busy = [row for row in done if row["utilization"] is not None]
    right.plot([row[cost] for row in busy], [100 * row["utilization"] for row in busy], ".")
    for axes, quantity in ((left, time), (right, "utilization of the array, %")):
        unit = next((f", {row['area_unit']}" for row in done if cost.endswith("area")), "")
        axes.set_xlabel(LABELS[cost] + unit)
        axes.set_ylabel(quantity)
        if done:
            axes.set_xscale("log", base=2)
        axes.grid(True, alpha=0.3)
    if done:
        left.set_yscale("log")
        left.legend()
    right.set_ylim(0, max([100.0, *(100 * row["utilization"] for row in busy)]) + 2)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower(), dpi=150)
    write_file(path, buffer.getvalue())
