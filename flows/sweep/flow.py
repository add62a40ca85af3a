"""A whole sweep: cycles of all points or of a search's, area and clock, some points on the RTL."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence

from tilewright.flows.sweep import speed
from tilewright.flows.sweep.area import DEFAULT_SAMPLES, Areas
from tilewright.flows.sweep.cluster import DaskWorkers
from tilewright.flows.sweep.estimate import MIN_SAMPLES
from tilewright.flows.sweep.limits import OF_SYNTHESIS, OF_TIME
from tilewright.flows.sweep.running import Runner, crashed, warn_of_changes
from tilewright.flows.sweep.samples import drawn
from tilewright.flows.sweep.searching import check_search, search
from tilewright.flows.sweep.store import Store
from tilewright.flows.sweep.sweep import Outcome, Sweep
from tilewright.flows.sweep.table import Point
from tilewright.flows.sweep.verifying import verify_points
from tilewright.support.errors import InputError
from tilewright.support.records import record

LOG = logging.getLogger(__name__)
MAX_GRID = 100_000
"""Points of which all are measured; of more a search picks some."""
DEFAULT_SEARCH = 500


@record(frozen=True, kw_only=True)
class Wishes:
    """What is asked for besides cycles.

    target: of the synthesis, None for none; num_synthesized: configs that it is of where there are
    more, None for so many as are usual; num_verified: points drawn for the RTL besides the best
    ones, None for no point at all; num_searched: configs that a search picks, None for all of the
    space; dask: the address of a Dask scheduler or `LOCAL`, None for processes
    without it; jobs: processes at a time; native: whether these have native code, None where
    that pays.
    """

    target: str | None = None
    num_synthesized: int | None = None
    num_verified: int | None = None
    num_searched: int | None = None
    dask: str | None = None
    jobs: int = 1
    native: bool | None = None

    def num_points(self, sweep: Sweep) -> int:
        """How many points are measured at most; a search may find fewer configs."""
        if self.num_searched is None:
            return sweep.num_points
        return min(sweep.num_points, self.num_searched * len(sweep.models))


def check(sweep: Sweep, wishes: Wishes) -> Wishes:
    """Return the wishes, with a search where there are too many points for all.

    Raises InputError or ToolError for what cannot be.
    """
    names = {limit.figure for limit in sweep.limits}
    if wishes.target is None and names & set(OF_SYNTHESIS):
        raise InputError(f"a limit of {min(names & set(OF_SYNTHESIS))} needs --synth TARGET")
    if wishes.target is None and sweep.clock_mhz is None and names & set(OF_TIME):
        raise InputError(
            f"a limit of {min(names & set(OF_TIME))} needs --synth TARGET or --clock MHZ"
        )
    _check_samples(sweep, wishes)
    if wishes.num_searched is None and sweep.num_points > MAX_GRID:
        LOG.warning(
            "%d points: a search picks %d configs; --search N takes another number",
            sweep.num_points, DEFAULT_SEARCH,
        )  # fmt: skip
        wishes = dataclasses.replace(wishes, num_searched=DEFAULT_SEARCH)
    if wishes.num_searched is not None:
        check_search(sweep)
    return wishes


def _check_samples(sweep: Sweep, wishes: Wishes) -> None:
    count = wishes.num_synthesized
    if count is None:
        return
    if wishes.target is None:
        raise InputError("--synth-configs N needs --synth TARGET")
    if count < MIN_SAMPLES and _num_configs(sweep, wishes) > count:
        raise InputError(
            f"--synth-configs: to fit the others takes {MIN_SAMPLES} configs or more, got {count}"
        )


def _num_configs(sweep: Sweep, wishes: Wishes) -> int:
    """How many configs there are at most."""
    return min(sweep.space.num_points, wishes.num_searched or sweep.space.num_points)


def carry_out(sweep: Sweep, wishes: Wishes, store: Store) -> Outcome:
    """Return the points with all that was asked for; after Ctrl-C with what is done.

    wishes: as `check` returned them.

    Raises ModelError, InputError, ToolError.
    """
    with contextlib.ExitStack() as resources:
        workers = None
        if wishes.dask is not None:
            if wishes.native:
                speed.build()
            workers = resources.enter_context(DaskWorkers(wishes.dask, wishes.jobs, crashed))
        runner = resources.enter_context(
            Runner(sweep, store, wishes.jobs, workers, native=wishes.native)
        )
        areas = _areas(sweep, wishes)

        def measure(points: Sequence[Point]) -> Outcome:
            return _with_area(runner.with_cycles(points), areas.of if areas else None)

        if wishes.num_searched is not None:
            outcome = search(sweep, wishes.num_searched, measure)
        else:
            points = sweep.points()
            warn_of_changes(points)
            outcome = measure(points)
        outcome = _with_area(outcome, areas.with_best if areas else None)
        if wishes.num_verified is not None and not outcome.is_interrupted:
            outcome = verify_points(outcome.points, wishes.num_verified, runner)
    return outcome


def _areas(sweep: Sweep, wishes: Wishes) -> Areas | None:
    """What says areas; where there are many configs, those to which others are fitted are drawn."""
    if wishes.target is None:
        return None
    count = DEFAULT_SAMPLES if wishes.num_synthesized is None else wishes.num_synthesized
    is_large = wishes.num_searched is None or wishes.num_searched > count
    candidates = drawn(sweep.space, sweep.setup.seed) if is_large else ()
    return Areas(wishes.target, wishes.jobs, candidates, count)


def _with_area(
    outcome: Outcome, measure: Callable[[Sequence[Point]], Sequence[Point]] | None
) -> Outcome:
    if measure is None or outcome.is_interrupted:
        return outcome
    try:
        return dataclasses.replace(outcome, points=tuple(measure(outcome.points)))
    except KeyboardInterrupt:
        return dataclasses.replace(outcome, is_interrupted=True)
