"""What ports and DRAM do in a run that is traced."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tilewright.sim.timing.ports import BankTimeline

DRAM, ACTIVATION, ACCUMULATOR = "DRAM", "activation SRAM", "accumulator SRAM"


class Activity(NamedTuple):
    """Cycles [start, end) in which an engine holds a port of a memory."""

    memory: str
    port: str
    """"read" or "write", of an SRAM behind its bank."""
    engine: str
    """Name of the engine; "FETCH" for the program's own reads."""
    instruction: int
    """Number of the instruction; -1: those of several follow one another."""
    start: int
    end: int

    def moved(self, cycles: int, instructions: int) -> "Activity":
        """Return the same behind so many cycles and instructions."""
        number = self.instruction + instructions if self.instruction >= 0 else -1
        start, end = self.start + cycles, self.end + cycles
        return self._replace(instruction=number, start=start, end=end)


class Trace:
    """Collects activities."""

    def __init__(self) -> None:
        self.activities: list[Activity] = []

    def note(
        self, memory: str, port: str, engine: str, number: int, intervals: Iterable[Sequence[int]]
    ) -> None:
        """Note that an engine holds a port in cycles [start, end)."""
        for start, end in intervals:
            self.activities.append(Activity(memory, port, engine, number, start, end))

    def note_banks(
        self, memory: str, port: str, engine: str, number: int, timeline: BankTimeline
    ) -> None:
        """Note when an engine holds the banks of an SRAM."""
        for bank, starts, ends in timeline.taken():
            intervals = zip(starts, ends, strict=True)
            self.note(memory, f"bank {bank} {port}", engine, number, intervals)
