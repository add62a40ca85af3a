"""Positions along an axis as runs of equal steps: what one loop of an instruction walks."""

from collections.abc import Sequence
from functools import lru_cache

from tilewright.compiler.limits import MAX_STRIDE
from tilewright.support.records import record

LARGEST_PERIOD = 8
"""Runs are looked for among every 1st to 8th output position."""


@record(frozen=True, kw_only=True)
class Run:
    """Output positions first, first + step, ... and the source positions that they take."""

    first: int
    step: int
    count: int
    source: int
    source_step: int

    def positions(self) -> list[tuple[int, int]]:
        """Return (output, source) of each."""
        return [
            (self.first + at * self.step, self.source + at * self.source_step)
            for at in range(self.count)
        ]


@lru_cache(maxsize=1024)
def axis_runs(sources: tuple[int, ...], first: int = 0, phases: int = 1) -> tuple[Run, ...]:
    """Return the fewest runs that cover the output positions from `first` on.

    sources: the source position of each. Steps are multiples of `phases`.
    """
    periods = range(phases, max(LARGEST_PERIOD, phases) + 1, phases)
    found = [_runs(sources, first, period) for period in periods]
    return min(found, key=len)


def _runs(sources: Sequence[int], first: int, period: int) -> tuple[Run, ...]:
    return tuple(
        Run(
            first=first + start + at * period,
            step=period,
            count=behind - at,
            source=line[at],
            source_step=line[at + 1] - line[at] if behind - at > 1 else 0,
        )
        for start in range(min(period, len(sources)))
        for line in [sources[start::period]]
        for at, behind in _progressions(line)
    )


def _progressions(line: Sequence[int]) -> list[tuple[int, int]]:
    """Cut a line into ranges [first, behind last) of equal steps that are not negative."""
    ranges, at = [], 0
    while at < len(line):
        behind = at + 1
        if behind < len(line) and 0 <= (step := line[behind] - line[at]) <= MAX_STRIDE:
            while behind < len(line) and line[behind] - line[behind - 1] == step:
                behind += 1
        ranges.append((at, behind))
        at = behind
    return ranges
