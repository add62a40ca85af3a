"""The smallest config that is fast enough and fits: ranked in closed form, replayed, synthesized.

Configs are tried from the smallest array on. Those whose closed form is far too slow, or whose
multipliers and memories alone are too many for a device, are left out.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from tilewright.flows.sweep.area import with_area
from tilewright.flows.sweep.limits import OF_SYNTHESIS
from tilewright.flows.sweep.running import Runner
from tilewright.flows.sweep.space import Candidate, Space
from tilewright.flows.sweep.table import Point, all_points
from tilewright.flows.synthesis.devices import Device
from tilewright.hw.spec.config import PRESETS
from tilewright.support.records import record

LOG = logging.getLogger(__name__)
SIDES = (2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Rows and columns that are looked at."""
MEMORIES = ("nano", "edge", "base")
"""The presets whose memories are looked at."""
FOR_FPGAS = {"path_registers": 1, "tree_register_levels": 1}
"""The fields that make an FPGA's clock faster for few cycles."""
FOR_LARGE_FPGAS = {"wire_registers": 1}
"""More of them, where wires are long."""
FOR_GATES = {"multiplier_bits": 2}
"""The fields that make gates fewer and faster for none."""
OPTIMISM = 1.6
"""How much faster than the replay the closed form may be: 1.5 was the most on the models tried."""
MAX_SYNTHESES = 8
"""Of configs that are fast enough, and then too large."""


@record(frozen=True, kw_only=True)
class Recommendation:
    """The config to build, or why there is none; `points` are those of all models on it.

    nearest: what was the fastest of those tried, where nothing is fast enough.
    """

    points: tuple[Point, ...] = ()
    num_ranked: int = 0
    num_replayed: int = 0
    reason: str = ""
    nearest: Point | None = None

    @property
    def sentence(self) -> str:
        """Why there is none, and what comes nearest."""
        if self.nearest is None:
            return self.reason
        return f"{self.reason}; {self.nearest.candidate.name} makes {_frames(self.nearest):.4g}"

    @property
    def row(self) -> dict[str, Any]:
        """The figures of the recommended config, of all models where there are several."""
        return all_points(self.points)[-1].row()


def default_space(device: Device | None) -> Space:
    """Return where to look if nothing else is asked: all arrays, with the memories of presets.

    On an FPGA they have the registers that are made for it, as gates products of digits.
    """
    fields = FOR_GATES
    if device is not None:
        fields = FOR_FPGAS if device.is_small else FOR_FPGAS | FOR_LARGE_FPGAS
    bases = tuple(PRESETS[name].replace(**fields) for name in MEMORIES)
    return Space(bases=bases, ranges={"rows": SIDES, "cols": SIDES})


def recommend(runner: Runner, target: str, device: Device | None) -> Recommendation:
    """Return the smallest config of the sweep's space within its limits.

    The sweep has one latency, a clock, and limits with the least frames per second; `device`'s are
    added to them by the caller. target: of the synthesis.

    Raises ModelError, ToolError, InputError, and after Ctrl-C KeyboardInterrupt.
    """
    ranked = _ranked(runner, device)
    num_replayed, num_synthesized = 0, 0
    errors: list[str] = []
    nearest: Point | None = None
    for points in _replayed(runner, ranked):
        num_replayed += 1
        failed = [point.error for point in points if point.error]
        if failed:
            errors.append(f"{points[0].candidate.name}: {failed[0]}")
            continue
        shown = all_points(points)[-1]
        if nearest is None or _frames(shown) > _frames(nearest):
            nearest = shown
        if not _is_within(shown, with_synthesis=False):
            continue
        found = with_area(points, target, runner.num_processes)
        shown = all_points(found)[-1]
        if _is_within(shown, with_synthesis=True):
            return Recommendation(
                points=tuple(found), num_ranked=len(ranked), num_replayed=num_replayed
            )
        num_synthesized += 1
        LOG.info("%s: %s", shown.candidate.name, _excesses(shown))
        if num_synthesized == MAX_SYNTHESES:
            reason = f"the {MAX_SYNTHESES} smallest that are fast enough are too large; the last, "
            reason += f"{shown.candidate.name}, has {_excesses(shown)}"
            return Recommendation(reason=reason, nearest=shown)
    return Recommendation(
        num_ranked=len(ranked), num_replayed=num_replayed, nearest=nearest,
        reason=f"{len(ranked)} configs are not excluded by their size and their closed form, and "
        f"{num_synthesized} of them are fast enough but too large"
        + (f"; {len(errors)} failed, the first, {errors[0]}" if errors else ""),
    )  # fmt: skip


def _ranked(runner: Runner, device: Device | None) -> list[Candidate]:
    """The candidates that can be fast enough, by size; those as large, the fastest first."""
    sweep = runner.sweep
    sized: list[tuple[tuple[float, float, float], Candidate]] = []
    for candidate in sweep.space.candidates():
        config = candidate.config
        if config is None or (device is not None and not device.may_hold(config)):
            continue
        points = [runner.in_closed_form(point) for point in sweep.points([candidate])]
        row = all_points(points)[-1].row()
        limits = [limit for limit in sweep.limits if limit.figure == "frames_per_second"]
        if all(row[limit.figure] * OPTIMISM >= limit.bound for limit in limits):
            sized.append(((row["multipliers"], row["sram_kib"], row["cycles"]), candidate))
    LOG.info("%d configs may be fast enough", len(sized))
    return [candidate for _, candidate in sorted(sized, key=lambda item: item[0])]


def _replayed(runner: Runner, ranked: Sequence[Candidate]) -> Iterator[list[Point]]:
    """Yield the points of one config after the other; as many are replayed at a time as can be."""
    for start in range(0, len(ranked), runner.num_processes):
        group = ranked[start : start + runner.num_processes]
        outcome = runner.with_cycles(runner.sweep.points(group))
        if outcome.is_interrupted:
            raise KeyboardInterrupt
        for _, points in itertools.groupby(outcome.points, lambda p: p.candidate.name):
            yield list(points)


def _frames(point: Point) -> float:
    return float(point.row()["frames_per_second"] or 0.0)


def _is_within(point: Point, *, with_synthesis: bool) -> bool:
    row = point.row()
    return all(
        limit.excess(row) <= 0
        for limit in point.limits
        if with_synthesis or limit.figure not in OF_SYNTHESIS
    )


def _excesses(point: Point) -> str:
    row = point.row()
    return ", ".join(
        f"{limit.figure} {row[limit.figure]:,.0f} of {limit.bound:,.0f}"
        for limit in point.limits
        if limit.excess(row) > 0
    )
