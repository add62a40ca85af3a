"""What a replay found: cycles of every instruction, and of every engine by bucket."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from itertools import accumulate

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing.activity import Activity
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class TimingResult:
    """Cycles from the start write on; -1 where an instruction (END, or behind it) has none."""

    cycles: int
    """To the interrupt."""
    engines: tuple[Engine | None, ...]
    """Of each instruction; None for END."""
    dispatched: Sequence[int]
    """When each instruction entered its engine's queue."""
    issued: Sequence[int]
    """When each instruction left it for the engine."""
    retired: tuple[int, ...]
    activities: tuple[Activity, ...] = ()
    """What ports and DRAM do, of a run that is traced."""
    find_waits: Callable[[], tuple[Engine | None, ...]] = field(repr=False, compare=False)
    """Returns what `waited_for` is."""
    count_buckets: Callable[[], Mapping[Engine, Mapping[Bucket, int]]] = field(
        repr=False, compare=False
    )
    """Returns what `buckets` is."""

    find_refusals: Callable[[], tuple[int, ...]] = field(repr=False, compare=False)
    """Returns what `refused` is."""

    @cached_property
    def refused(self) -> tuple[int, ...]:
        """In how many cycles another engine had a bank's port that an instruction asked for."""
        return self.find_refusals()

    @cached_property
    def waited_for(self) -> tuple[Engine | None, ...]:
        """The engine whose retirement was the last that an instruction's issue waited for."""
        return self.find_waits()

    @cached_property
    def buckets(self) -> Mapping[Engine, Mapping[Bucket, int]]:
        """Cycles of each engine by bucket, as the hardware counts them; they sum to the run."""
        return self.count_buckets()

    @property
    def retirements(self) -> tuple[tuple[Engine, int, int], ...]:
        """Engine, number (from 1) and cycle of each retirement, in program order."""
        return tuple(self.each_retirement())

    def each_retirement(self) -> Iterator[tuple[Engine, int, int]]:
        """Yield what `retirements` are."""
        counts = dict.fromkeys(Engine, 0)
        for engine, cycle in zip(self.engines, self.retired, strict=True):
            if engine is not None and cycle >= 0:
                counts[engine] += 1
                yield engine, counts[engine], cycle


def joined(parts: Sequence[TimingResult]) -> TimingResult:
    """Return the result of sections that run one behind the other, as if they were one run."""
    if len(parts) == 1:
        return parts[0]
    starts = list(accumulate((part.cycles for part in parts), initial=0))

    def moved(cycles: Callable[[TimingResult], Sequence[int]]) -> tuple[int, ...]:
        return tuple(
            start + cycle if cycle >= 0 else cycle
            for start, part in zip(starts, parts, strict=False)
            for cycle in cycles(part)
        )

    firsts = accumulate((len(part.engines) for part in parts), initial=0)
    activities = [
        activity.moved(start, first)
        for start, first, part in zip(starts, firsts, parts, strict=False)
        for activity in part.activities
    ]

    def buckets() -> Mapping[Engine, Mapping[Bucket, int]]:
        return {
            engine: {bucket: sum(p.buckets[engine][bucket] for p in parts) for bucket in Bucket}
            for engine in Engine
        }

    return TimingResult(
        cycles=starts[-1],
        engines=tuple(engine for part in parts for engine in part.engines),
        dispatched=moved(lambda part: part.dispatched),
        issued=moved(lambda part: part.issued),
        retired=moved(lambda part: part.retired),
        activities=tuple(activities),
        find_waits=lambda: tuple(wait for part in parts for wait in part.waited_for),
        find_refusals=lambda: tuple(cycles for part in parts for cycles in part.refused),
        count_buckets=buckets,
    )
