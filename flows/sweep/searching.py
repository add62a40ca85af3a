"""A search in a space that is too large for all of its points: NSGA-II of Optuna, ask and tell.

What is minimized are the figures that the picture weighs. A generation is asked for, measured and
told as a whole, in its order, so that a seed always asks for the same points: a search that was
interrupted goes through those that the store has, and on from there.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from tilewright.flows.sweep.limits import Limit
from tilewright.flows.sweep.pareto import axes_of
from tilewright.flows.sweep.space import Candidate, Space
from tilewright.flows.sweep.sweep import Outcome, Sweep
from tilewright.flows.sweep.table import Point, all_points
from tilewright.support.errors import InputError, ToolError

LOG = logging.getLogger(__name__)
POPULATION = 24
"""Points of a generation."""
IDLE_GENERATIONS = 10
"""Without a new point, after which the search ends."""
WORST = 1e30
"""In place of the figures of a config that there is not, or that failed."""

Measure = Callable[[Sequence[Point]], Outcome]


def check_search(sweep: Sweep) -> None:
    """Raise ToolError or InputError unless the sweep can be searched."""
    if len(sweep.latencies) > 1:
        raise InputError(f"a search has one --latency, got {len(sweep.latencies)}")
    try:
        importlib.import_module("optuna")
    except ImportError:
        raise ToolError('a search needs Optuna: pip install "tilewright[sweep]"') from None


def search(sweep: Sweep, num_points: int, measure: Measure) -> Outcome:
    """Return the points that a search has measured: so many configs, or all that it found.

    Combinations of values that are no config are none of them.

    measure: returns points with all figures.

    Raises InputError where it finds no config at all.
    """
    found: dict[str, tuple[Point, ...]] = {}
    try:
        is_interrupted = _search(sweep, num_points, measure, found)
    except KeyboardInterrupt:
        is_interrupted = True
    points = tuple(point for group in found.values() for point in group)
    return Outcome(points=points, is_interrupted=is_interrupted)


def _search(
    sweep: Sweep, num_points: int, measure: Measure, found: dict[str, tuple[Point, ...]]
) -> bool:
    """Fill in what is found, by the config's name; return whether Ctrl-C ended it."""
    study, idle = _study(sweep), 0
    while len(found) < num_points and idle < IDLE_GENERATIONS:
        trials = [study.ask() for _ in range(POPULATION)]
        asked = [_candidate(trial, sweep.space) for trial in trials]
        new = {each.name: each for each in asked if each.config and each.name not in found}
        kept = list(new.values())[: num_points - len(found)]
        outcome = measure(sweep.points(kept))
        for name, group in groupby(outcome.points, lambda point: point.candidate.name):
            found[name] = tuple(group)
        if outcome.is_interrupted:
            return True
        for trial, candidate in zip(trials, asked, strict=True):
            _tell(study, trial, found.get(candidate.name), sweep.limits)
        idle = 0 if kept else idle + 1
        if not found and idle == IDLE_GENERATIONS:
            raise InputError(
                f"none of {IDLE_GENERATIONS * POPULATION} combinations that the search asked for "
                f"is a config, the last one because {asked[-1].error}; narrow the ranges"
            )
        LOG.info("searched %d of %d configs", len(found), num_points)
    return False


def _study(sweep: Sweep) -> Any:
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=sweep.setup.seed)
    return optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)


def _candidate(trial: Any, space: Space) -> Candidate:
    """Ask for a base and a value of each range; values are numbered, so neighbours are near."""
    base = space.bases[trial.suggest_int("base", 0, len(space.bases) - 1)]
    point = {
        name: values[trial.suggest_int(name, 0, len(values) - 1)]
        for name, values in space.ranges.items()
    }
    return space.candidate(base, point)


def _tell(study: Any, trial: Any, points: Sequence[Point] | None, limits: Sequence[Limit]) -> None:
    """Tell the figures of the row that stands for all models, and how far limits are exceeded."""
    row = all_points(points)[-1].row() if points else None
    values = [row[name] for name in axes_of([row])] if row else []
    has_failed = not values or any(value is None for value in values)
    trial.set_constraint("failed", float(has_failed))
    for limit in limits:
        excess = limit.excess(row) if row else WORST
        trial.set_constraint(str(limit), min(excess, WORST))
    study.tell(trial, [WORST, WORST] if has_failed else values)
