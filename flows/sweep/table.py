"""The rows of a sweep: what was asked, what came of it, and how each figure was obtained."""

import csv
import dataclasses
import importlib
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilewright.flows.report.report import utilization
from tilewright.flows.sweep.energy import Counts, EnergyTable, joules
from tilewright.flows.sweep.job import Job, Result
from tilewright.flows.sweep.space import FIELDS, Candidate, settings_of
from tilewright.flows.synthesis.synthesis import Synthesis

ALL_MODELS = "(all, weighted)"
"""The model's name in the row that sums up several models."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A candidate with a model and what came of it; `job` is None where the config is none."""

    candidate: Candidate
    model: str
    model_digest: str
    weight: float
    latency: int
    source: str
    """How the cycles were obtained."""
    result: Result
    job: Job | None = None
    synthesis: Synthesis | None = None
    """Of its config, where that was asked for."""
    table: EnergyTable

    def row(self) -> dict[str, Any]:
        """Return the point's columns; None where there is nothing."""
        config, result = self.candidate.config, self.result
        coverage = result.coverage
        fields = {name: getattr(config, name) for name in FIELDS} if config else {
            name: self.candidate.asked.get(name) for name in FIELDS
        }  # fmt: skip
        return {
            "model": self.model,
            "weight": self.weight,
            "config": self.candidate.name,
            "base": self.candidate.base.name,
            **fields,
            "dram_latency_cycles": self.latency,
            "cycles": result.cycles,
            "cycles_source": self.source if result.cycles is not None else None,
            "estimated_cycles": result.estimated_cycles,
            "utilization": result.utilization,
            "coverage": coverage.macs_share if coverage else None,
            "macs": result.macs,
            "bytes_loaded": result.bytes_loaded,
            "bytes_stored": result.bytes_stored,
            "instructions": result.instructions,
            **self._size_and_speed(),
            **self._energy(),
            "multipliers": config.rows * config.cols if config else None,
            "sram_kib": sum(fields[name] for name in FIELDS if name.endswith("_kib"))
            if config
            else None,
            "changes": self.candidate.changes,
            "options": settings_of(config) if config else None,
            "compile_seconds": result.compile_seconds,
            "run_seconds": result.run_seconds,
            "error": result.error,
            "config_digest": config.digest if config else None,
            "model_digest": self.model_digest,
            "code_digest": self.job.key.code if self.job else None,
        }

    def _size_and_speed(self) -> dict[str, Any]:
        """What the synthesis says, and the time that the cycles take at that clock."""
        found = self.synthesis
        slowest = found.slowest if found else None
        path = slowest.path if slowest else None
        cycles = self.result.cycles
        return {
            "area": round(found.area) if found else None,
            "area_unit": found.unit if found else None,
            "area_source": found.obtained if found else None,
            "clock_mhz": round(path.megahertz, 1) if path else None,
            "clock_source": found.clock_obtained if found and path else None,
            "seconds": cycles / path.megahertz / 1e6 if path and cycles else None,
        }

    def _energy(self) -> dict[str, Any]:
        counts, config = self.result.counts, self.candidate.config
        if counts is None or config is None:
            return {"energy_joules": None, "energy_source": None}
        return {
            "energy_joules": joules(counts, config, self.table),
            "energy_source": f"estimated, {self.table.source}",
        }


def weighted(points: Sequence[Point]) -> Point | None:
    """Return the sum of a config's points, each as often as its model's weight says.

    None where there is one point only, or where one failed.
    """
    results = [point.result for point in points]
    if len(points) < 2 or any(result.cycles is None for result in results):
        return None
    weights = [point.weight for point in points]

    def total(name: str) -> int:
        parts: list[float] = [w * getattr(r, name) for w, r in zip(weights, results, strict=True)]
        return round(sum(parts))

    config = points[0].candidate.config
    assert config is not None
    cycles, macs = total("cycles"), total("macs")
    result = Result(
        cycles=cycles,
        estimated_cycles=total("estimated_cycles"),
        utilization=utilization(macs, cycles, config),
        macs=macs,
        bytes_loaded=total("bytes_loaded"),
        bytes_stored=total("bytes_stored"),
        counts=_sum(weights, [result.counts for result in results]),
    )
    return dataclasses.replace(
        points[0], model=ALL_MODELS, model_digest="", weight=sum(weights), result=result
    )


def _sum(weights: Sequence[float], counts: Sequence[Counts | None]) -> Counts:
    """Return counts, each as often as its weight says."""
    given = [dataclasses.asdict(each or Counts()) for each in counts]
    return Counts(
        **{
            name: round(sum(w * each[name] for w, each in zip(weights, given, strict=True)))
            for name in given[0]
        }
    )


def all_points(points: Sequence[Point]) -> list[Point]:
    """Return all points, and behind the models of a config their sum."""
    found: list[Point] = []
    for _, group in itertools.groupby(points, lambda p: (id(p.candidate), p.latency)):
        members = list(group)
        found += [*members, *filter(None, [weighted(members)])]
    return found


def all_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the rows of `all_points`."""
    return [point.row() for point in all_points(points)]


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV text with a header; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a Parquet file."""
    arrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()
