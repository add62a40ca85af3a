"""Which points nothing beats, and their picture."""

import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilewright.support.errors import InputError, ToolError
from tilewright.support.files import write_file

Row = Mapping[str, Any]
COST, TIME = "multipliers", "cycles"
"""The columns that the front weighs against each other, both better where they are smaller."""


def pareto_front(rows: Sequence[Row], cost: str = COST, time: str = TIME) -> list[Row]:
    """Return the rows that no other row beats in one column and equals in the other, by cost."""
    found: list[Row] = []
    for row in sorted(
        (row for row in rows if row[cost] is not None and row[time] is not None),
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
    done = [row for row in rows if row[TIME] is not None]
    front = pareto_front(done)
    left.plot([row[COST] for row in done], [row[TIME] for row in done], ".", color="0.6")
    left.plot([row[COST] for row in front], [row[TIME] for row in front], "o-", label="best")
    for row in front:
        left.annotate(f"{row['rows']}x{row['cols']}", (row[COST], row[TIME]), fontsize=8,
                      xytext=(4, 4), textcoords="offset points")  # fmt: skip
    busy = [row for row in done if row["utilization"] is not None]
    right.plot([row[COST] for row in busy], [100 * row["utilization"] for row in busy], ".")
    for axes, quantity in ((left, "cycles"), (right, "utilization of the array, %")):
        axes.set_xlabel("multipliers (rows x cols)")
        axes.set_ylabel(quantity)
        axes.set_xscale("log", base=2)
        axes.grid(True, alpha=0.3)
    left.set_yscale("log")
    left.legend()
    right.set_ylim(0, 100)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower(), dpi=150)
    write_file(path, buffer.getvalue())
