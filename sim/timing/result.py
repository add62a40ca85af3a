"""What a replay found: cycles of every instruction, and of every engine by bucket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket


@dataclass(frozen=True, kw_only=True)
class TimingResult:
    """Cycles from the start write on; -1 where an instruction (END, or behind it) has none."""

    cycles: int
    """To the interrupt."""
    engines: tuple[Engine | None, ...]
    """Of each instruction; None for END."""
    dispatched: tuple[int, ...]
    """When each instruction entered its engine's queue."""
    issued: tuple[int, ...]
    """When each instruction left it for the engine."""
    retired: tuple[int, ...]
    find_waits: Callable[[], tuple[Engine | None, ...]] = field(repr=False, compare=False)
    """Returns what `waited_for` is."""
    count_buckets: Callable[[], Mapping[Engine, Mapping[Bucket, int]]] = field(
        repr=False, compare=False
    )
    """Returns what `buckets` is."""

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
        counts = dict.fromkeys(Engine, 0)
        found = []
        for engine, cycle in zip(self.engines, self.retired, strict=True):
            if engine is not None and cycle >= 0:
                counts[engine] += 1
                found.append((engine, counts[engine], cycle))
        return tuple(found)
