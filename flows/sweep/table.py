"""The rows of a sweep: what was asked, what came of it, and how each figure was obtained."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tilewright.flows.program_cache import tool_digest
from tilewright.flows.report.report import utilization
from tilewright.flows.sweep.energy import Counts, EnergyTable, joules
from tilewright.flows.sweep.figures import Figures
from tilewright.flows.sweep.job import SOURCES, Job, Result
from tilewright.flows.sweep.limits import CELLS, Limit
from tilewright.flows.sweep.space import FIELDS, Candidate, settings_of
from tilewright.flows.sweep.sram import SramTable, sram_area
from tilewright.support.records import record

ALL_MODELS = "(all, weighted)"
"""The model's name in the row that sums up several models."""


MAX_NAMES = 8
"""Of configs in a sentence."""


@record(frozen=True, kw_only=True)
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
    measured: Result | None = None
    """Of the RTL, where the point was verified there."""
    synthesis: Figures | None = None
    """Of its config, where that was asked for."""
    table: EnergyTable
    sram: SramTable
    limits: tuple[Limit, ...] = ()
    clock_mhz: float | None = None
    """Where it is given; else it is the synthesis's."""

    @property
    def error(self) -> str:
        """Why it failed, or its run on the RTL did; else empty."""
        on_rtl = self.measured.error if self.measured else ""
        return self.result.error or (f"on the RTL: {on_rtl}" if on_rtl else "")

    def _rtl(self) -> tuple[int | None, float | None]:
        """The cycles on the RTL, where they are known, and how far others are off them."""
        if self.job is not None and self.job.setup.fidelity == "rtl":
            return self.result.cycles, self.result.estimate_error
        on_rtl = self.measured.cycles if self.measured else None
        return on_rtl, self.result.cycles / on_rtl - 1 if on_rtl and self.result.cycles else None

    def row(self) -> dict[str, Any]:
        """Return the point's columns; None where there is nothing."""
        config, result = self.candidate.config, self.result
        coverage = result.coverage
        rtl_cycles, rtl_error = self._rtl()
        row: dict[str, Any]
        fields = {name: getattr(config, name) for name in FIELDS} if config else {
            name: self.candidate.asked.get(name) for name in FIELDS
        }  # fmt: skip
        row = {
            "model": self.model,
            "weight": self.weight,
            "config": self.candidate.name,
            "base": self.candidate.base.name,
            **fields,
            "dram_latency_cycles": self.latency,
            "cycles": result.cycles,
            "cycles_source": self.source if result.cycles is not None else None,
            "estimated_cycles": result.estimated_cycles,
            "rtl_cycles": rtl_cycles,
            "rtl_error": rtl_error,
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
            "error": self.error,
            "config_digest": config.digest if config else None,
            "model_digest": self.model_digest,
            "code_digest": tool_digest() if self.job else None,
        }
        return row | {"within_limits": self._within(row)}

    def _within(self, row: Mapping[str, Any]) -> bool | None:
        """Whether a row keeps all limits; None where there are none."""
        return all(limit.excess(row) <= 0 for limit in self.limits) if self.limits else None

    def _size_and_speed(self) -> dict[str, Any]:
        """What the synthesis or a fit says, and the time that the cycles take at that clock."""
        found, cycles = self.synthesis, self.result.cycles
        clock = self.clock_mhz or (found.clock_mhz if found else None)
        source = "given" if self.clock_mhz else found.clock_obtained if found else None
        seconds = cycles / clock / 1e6 if clock and cycles else None
        totals = found.totals if found else {}
        return {
            "area": round(found.area) if found else None,
            "area_unit": found.unit if found else None,
            "area_source": found.obtained if found else None,
            **self._sram(),
            **{name: totals.get(name) for name in CELLS},
            "clock_mhz": round(clock, 1) if clock else None,
            "clock_source": source if clock else None,
            "seconds": seconds,
            "frames_per_second": 1 / seconds if seconds else None,
        }

    def _sram(self) -> dict[str, Any]:
        """Estimated areas of the SRAMs and the whole, in NAND2; an FPGA has block RAM instead."""
        config, found = self.candidate.config, self.synthesis
        if config is None or found is None or found.unit != "NAND2":
            return {"sram_area": None, "sram_area_source": None, "total_area": None}
        area = round(sram_area(config, self.sram))
        return {
            "sram_area": area,
            "sram_area_source": f"estimated, {self.sram.source}",
            "total_area": round(found.area) + area,
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
    weights = [point.weight for point in points]
    result = _weighted_result(weights, [point.result for point in points])
    if len(points) < 2 or result.cycles is None:
        return None
    config = points[0].candidate.config
    assert config is not None
    assert result.macs is not None
    return dataclasses.replace(
        points[0],
        model=ALL_MODELS,
        model_digest="",
        weight=sum(weights),
        result=dataclasses.replace(
            result, utilization=utilization(result.macs, result.cycles, config)
        ),
        measured=_weighted_result(weights, [point.measured or Result() for point in points]),
    )


def _weighted_result(weights: Sequence[float], results: Sequence[Result]) -> Result:
    """Return the sums; what one of the results lacks is None."""

    def total(name: str) -> int | None:
        given = [getattr(result, name) for result in results]
        if None in given:
            return None
        return round(math.fsum(w * value for w, value in zip(weights, given, strict=True)))

    return Result(
        cycles=total("cycles"),
        estimated_cycles=total("estimated_cycles"),
        macs=total("macs"),
        bytes_loaded=total("bytes_loaded"),
        bytes_stored=total("bytes_stored"),
        counts=_sum(weights, [result.counts for result in results]),
    )


def _sum(weights: Sequence[float], counts: Sequence[Counts | None]) -> Counts | None:
    """Return counts, each as often as its weight says; None where one lacks them."""
    if None in counts:
        return None
    given = [dataclasses.asdict(each) for each in counts if each is not None]
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


def without_depthwise(candidates: Iterable[Candidate]) -> str:
    """Say which configs lack the depthwise unit of their base, and why; empty where none does."""
    names = list(dict.fromkeys(c.name for c in candidates if c.is_without_depthwise))
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    named = f"{', '.join(names[:MAX_NAMES])}{more}"
    return f"no depthwise unit, which needs rows <= cols: {named}" if names else ""


def rtl_errors(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how far the rows' cycles are off the RTL; empty where none was measured there."""
    errors = [abs(row["rtl_error"]) for row in rows if row["rtl_error"] is not None]
    if not errors:
        return ""
    source = next(row["cycles_source"] for row in rows if row["rtl_error"] is not None)
    what = "the timing model" if source == SOURCES["rtl"] else source
    return (
        f"{what}: off the RTL by {statistics.mean(errors):.1%} on average, {max(errors):.1%} at "
        f"most ({len(errors)} points)"
    )
