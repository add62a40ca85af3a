"""The page of a sweep: one HTML file with everything in it, which needs no network."""

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from tilewright.flows.sweep.figures import fitted_figures
from tilewright.flows.sweep.pareto import LABELS, axes_of, pareto_front
from tilewright.flows.sweep.space import FIELDS
from tilewright.flows.sweep.table import rtl_errors

MAX_DETAILS = 200
"""Points whose layers and engines are on the page: the best first, then those that follow."""

MEASURES = ("total_area", "area", "sram_area", "seconds", "multipliers", "cycles", "sram_kib",
            "utilization", "clock_mhz", "energy_joules", "bytes_loaded", "bytes_stored", "mult18",
            "block_ram")  # fmt: skip
"""The columns that the axes of the scatter can have."""

HOVER = (*MEASURES, "coverage", "dram_latency_cycles", "lanes", "axi_data_bits", "cycles_source",
         "rtl_cycles", "rtl_error", "area_unit", "area_source", "sram_area_source", "clock_source",
         "energy_source")  # fmt: skip
SENT = ("model", "config", "changes", "options", "macs", "rows", "cols", "within_limits", *HOVER)

Row = Mapping[str, Any]


def sweep_page(
    title: str,
    rows: Sequence[Row],
    details: Sequence[Mapping[str, Any]],
    paths: Mapping[str, str],
) -> str:
    """Return the page of a sweep's rows.

    paths: the models' files by name, for the command that makes a point again.
    details: `layers` and `buckets` of each row, as `Result.details` has them.
    """
    columns = dict.fromkeys((*SENT, *FIELDS))
    data = {
        "count": len(rows),
        "columns": {name: _values([row[name] for row in rows]) for name in columns},
        "labels": LABELS,
        "measures": [name for name in MEASURES if any(row[name] is not None for row in rows)],
        "first": axes_of(rows),
        "hover": HOVER,
        "axes": [*_varied(rows), *axes_of(rows), "utilization"],
        "paths": paths,
        "details": {number: details[number] for number in _detailed(rows)},
        "summary": _summary(rows),
    }
    folder = files("tilewright.flows.sweep.page")
    parts = {
        "title": title.replace("&", "&amp;").replace("<", "&lt;"),
        "plotly": importlib.import_module("plotly.offline").get_plotlyjs(),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "script": (folder / "page.js").read_text(encoding="utf-8"),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], page)


def _values(column: list[Any]) -> list[Any]:
    """Return a column's values; one, where all are the same."""
    return column[:1] if all(value == column[0] for value in column) else column


def _varied(rows: Sequence[Row]) -> list[str]:
    """Return the fields that are not the same in all points."""
    names = (*(name for name in FIELDS if not name.startswith("tile_")), "dram_latency_cycles")
    return [name for name in names if len({row[name] for row in rows}) > 1]


def _detailed(rows: Sequence[Row]) -> list[int]:
    numbers = {id(row): number for number, row in enumerate(rows)}
    models = dict.fromkeys(row["model"] for row in rows)
    best = [numbers[id(row)] for model in models
            for row in pareto_front([row for row in rows if row["model"] == model])]  # fmt: skip
    others = [number for number, row in enumerate(rows) if row["cycles"] is not None]
    return list(dict.fromkeys([*best, *others]))[:MAX_DETAILS]


def _summary(rows: Sequence[Row]) -> str:
    done = [row for row in rows if row["cycles"] is not None]
    sources = sorted({row["cycles_source"] for row in done})
    failed = f", {len(rows) - len(done)} failed" if len(done) < len(rows) else ""
    found = f"{len(done):,} points{failed}; cycles by {' and '.join(sources) or 'nothing'}"
    return "; ".join(filter(None, (found, rtl_errors(rows), fitted_figures(rows))))
