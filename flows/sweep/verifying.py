"""Some points of a sweep again on the RTL: those that nothing beats, and others drawn at random."""

import dataclasses
import random
from collections.abc import Sequence

from tilewright.flows.sweep.best import best_places, place_of
from tilewright.flows.sweep.job import Job
from tilewright.flows.sweep.running import Runner
from tilewright.flows.sweep.sweep import Outcome
from tilewright.flows.sweep.table import Point


def verify_points(points: Sequence[Point], count: int, runner: Runner) -> Outcome:
    """Return the points, some with what the RTL says: the fronts of all models and `count` more.

    Which ones is the seed's choice. After Ctrl-C, those have it that were done.
    """
    chosen = _chosen(points, count, runner.sweep.setup.seed)
    on_rtl = {id(point): _on_rtl(point.job) for point in chosen if point.job is not None}
    known, is_interrupted = runner.run(on_rtl.values())

    def verified(point: Point) -> Point:
        job = on_rtl.get(id(point))
        return dataclasses.replace(point, measured=known.get(job.key)) if job else point

    return Outcome(points=tuple(map(verified, points)), is_interrupted=is_interrupted)


def _on_rtl(job: Job) -> Job:
    return dataclasses.replace(job, setup=dataclasses.replace(job.setup, fidelity="rtl"))


def _chosen(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """The points of every model on the configs that are on a front, and of `count` drawn ones."""
    places = best_places(points)
    others = [place for place, is_best in places.items() if not is_best]
    drawn = random.Random(seed).sample(others, min(count, len(others)))
    chosen = {place for place, is_best in places.items() if is_best} | set(drawn)
    return [
        point for point in points if place_of(point) in chosen and point.result.cycles is not None
    ]
