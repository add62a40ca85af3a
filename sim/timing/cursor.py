"""Free cycles of a bank, and refused ones, for reads that ask for it in the order of time."""

from collections.abc import Sequence

from tilewright.sim.timing.ports import Claim, Interval, union

NEVER = 1 << 60


class Cursor:
    """Free cycles of one bank, asked for in rising order.

    claims: of other engines; own: of the same one.
    """

    def __init__(self, claims: Sequence[Claim], cycle: int, own: Sequence[Claim] = ()) -> None:
        self._claims, self._own = claims, own
        self._starts, self._ends = union([*claims, *own], cycle)
        self._place = 0
        self._next = self._start_of_next()
        self.refusals: list[Interval] = []
        """From a question that a taken cycle answered to the next free one."""

    def refusals_by(self, *, own: bool) -> list[Interval]:
        """Return when it was refused by other engines, or by its own."""
        if not self._own:
            return [] if own else self.refusals
        claims = self._own if own else self._claims
        return [
            met
            for start, end in self.refusals
            for timeline, bank in claims
            for met in timeline.within(bank, start, end)
        ]

    def _start_of_next(self) -> int:
        return self._starts[self._place] if self._place < len(self._starts) else NEVER

    def free(self, cycle: int) -> int:
        """Return the first cycle from `cycle` on in which the bank is free."""
        while cycle >= self._next:
            if cycle < self._ends[self._place]:
                self.refusals.append((cycle, self._ends[self._place]))
                cycle = self._ends[self._place]
            self._place += 1
            self._next = self._start_of_next()
        return cycle

    def steps(self, cycle: int, size: int) -> int:
        """Return how many steps of `size` from `cycle` on stay before the next taken cycle."""
        return (self._next - 1 - cycle) // size
