"""Which configs of a sweep nothing beats, for any of its models."""

from collections.abc import Sequence

from tilewright.flows.sweep.pareto import pareto_front
from tilewright.flows.sweep.table import Point, all_points

Place = tuple[str, int]
"""A config's name and the DRAM's latency."""


def place_of(point: Point) -> Place:
    """Return where a point stands, whatever its model."""
    return point.candidate.name, point.latency


def best_places(points: Sequence[Point]) -> dict[Place, bool]:
    """Return the places of all points in their order, and whether one is on a model's front."""
    shown = all_points(points)
    rows = [point.row() for point in shown]
    places = {id(row): place_of(point) for point, row in zip(shown, rows, strict=True)}
    models = dict.fromkeys(row["model"] for row in rows)
    best = {
        places[id(row)]
        for model in models
        for row in pareto_front([row for row in rows if row["model"] == model])
    }
    return {place: place in best for place in places.values()}
