"""The tilings of layers that run together: one of each, chosen for the sum of their work."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.rings import Reader
from tilewright.compiler.plan.tiling import Plan

Table = NDArray[np.int64]

TOLERANCE = 0.1
"""Differences below this share are none: it keeps the combinations few."""


def choose_together(
    candidates: Sequence[Sequence[Plan]], workspace: int, bank_words: int
) -> list[Plan]:
    """Return a plan of each layer whose rings fit into `workspace` activation words together.

    The cost is the busiest engine's work over all layers or the slowest layer's pace, whichever is
    more, and what each layer does not overlap.
    Rings of different readers get banks of their own where that is possible at all.
    Raises DoesNotFitError.
    """
    layers = [_undominated(plans) for plans in candidates]
    for unit in (bank_words, 1):
        best = _cheapest([_table(plans) for plans in layers], workspace, unit)
        if best is not None:
            return [plans[number] for plans, number in zip(layers, best, strict=True)]
    raise DoesNotFitError(
        f"{len(candidates)} layers that run together do not fit into {workspace} free words of "
        f"activation SRAM; raise activation_kib"
    )


def _table(plans: Sequence[Plan]) -> Table:
    """Return a row a plan: ring words by reader, work by engine, start-up cycles, pace."""
    rows = []
    for plan in plans:
        words = dict.fromkeys(Reader, 0)
        for need in plan.ring_needs:
            words[need.reader] += need.words
        rows.append([*words.values(), *plan.work, plan.startup, plan.pace])
    return np.array(rows, np.int64)


def _undominated(plans: Sequence[Plan]) -> list[Plan]:
    """Drop the plans that are nowhere better than another one by more than TOLERANCE."""
    table = _table(plans)
    rings = table[:, : len(Reader)].sum(axis=1, keepdims=True)
    table = np.concatenate([rings, table[:, len(Reader) :]], axis=1)
    levels = np.rint(np.log1p(table) / np.log1p(TOLERANCE)).astype(np.int64)
    order = np.argsort(table.sum(axis=1), kind="stable")
    kept: list[int] = []
    for number in order.tolist():
        if not kept or not (levels[kept] <= levels[number]).all(axis=1).any():
            kept.append(number)
    return [plans[number] for number in kept]


def _cheapest(tables: Sequence[Table], workspace: int, unit: int) -> list[int] | None:
    """Return the row of each table whose sum is cheapest; each reader's words in whole units."""
    sums = np.zeros((1, tables[0].shape[1] - 1), np.int64)
    pace = np.zeros(1, np.int64)
    chosen = np.zeros((1, 0), np.int64)
    for table in tables:
        numbers = np.arange(len(table))
        sums = (sums[:, None] + table[:, :-1]).reshape(-1, sums.shape[1])
        pace = np.maximum(pace[:, None], table[:, -1]).reshape(-1)
        chosen = np.concatenate(
            [np.repeat(chosen, len(table), axis=0), np.tile(numbers, len(chosen))[:, None]], axis=1
        )
        units = -(-sums[:, : len(Reader)] // unit)
        fits = units.sum(axis=1) * unit <= workspace
        sums, pace, chosen = sums[fits], pace[fits], chosen[fits]
    if not len(sums):
        return None
    cost = np.maximum(sums[:, len(Reader) : -1].max(axis=1), pace) + sums[:, -1]
    best: list[int] = chosen[int(cost.argmin())].tolist()
    return best
