"""A whole sweep: cycles of all points, then area and clock, then some points on the RTL."""

import dataclasses
from dataclasses import dataclass

from tilewright.flows.sweep.area import with_area
from tilewright.flows.sweep.running import Outcome, Sweep, run_sweep
from tilewright.flows.sweep.store import Store
from tilewright.flows.sweep.verifying import verify_points


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is asked for besides cycles.

    target: of the synthesis, None for none; num_verified: points drawn for the RTL besides the best
    ones, None for no point at all; jobs: processes at a time.
    """

    target: str | None = None
    num_verified: int | None = None
    jobs: int = 1


def carry_out(sweep: Sweep, wishes: Wishes, store: Store) -> Outcome:
    """Return the points with all that was asked for; after Ctrl-C with what is done.

    Raises ModelError, InputError, ToolError.
    """
    outcome = run_sweep(sweep, store, wishes.jobs)
    if wishes.target is not None and not outcome.is_interrupted:
        try:
            points = tuple(with_area(outcome.points, wishes.target, wishes.jobs))
            outcome = dataclasses.replace(outcome, points=points)
        except KeyboardInterrupt:
            return dataclasses.replace(outcome, is_interrupted=True)
    if wishes.num_verified is not None and not outcome.is_interrupted:
        outcome = verify_points(sweep, outcome.points, wishes.num_verified, store, wishes.jobs)
    return outcome
