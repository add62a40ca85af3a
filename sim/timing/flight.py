"""An accepted instruction of the vector engine, with its plan as far as that is known."""

from collections.abc import Sequence

from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.alarm import Alarm
from tilewright.sim.timing.ports import BankTimeline, Run
from tilewright.sim.timing.replayed import Aftermath, Replay
from tilewright.sim.timing.vector_ports import Work

NOTHING_BEFORE = Aftermath()

Reads = tuple[Sequence[int], Sequence[int]]
"""Starts and ends of reads, in the order of time."""

NO_READS: Reads = (), ()


class Flight:
    """One accepted instruction.

    first_read: when its first source read can be at the earliest if no position of its window
    waits; alarm: set to when the next thing is certain.
    """

    def __init__(
        self,
        *,
        number: int,
        instruction: Vector,
        work: Work,
        accepted: int,
        first_read: int,
        previous: "Flight | None",
        alarm: Alarm,
    ) -> None:
        self.number, self.instruction, self.work = number, instruction, work
        self.accepted, self.first_read, self.alarm = accepted, first_read, alarm
        self.previous = previous
        self.next: Flight | None = None
        """The instruction behind it, if that is not empty."""
        self.version = -1
        """Of the matrix and depthwise engines' reads that the plan takes into account."""
        self.runs: tuple[Run, ...] = ()
        """Turns without refusals, as far as is known."""
        self.replay: Replay | None = None
        """In place of them, where values wait for one another."""
        self.aftermath = NOTHING_BEFORE
        self.walker_due = -1
        """When the last position is taken, as far as is known."""
        self.last_read = -1
        """When it is read."""
        self.walker_free: int | None = None
        """When the last position is taken; None until that is certain."""
        self.retired: int | None = None
        self.reads: BankTimeline | None = None
        self.writes: BankTimeline | None = None
        self.banks: range | None = None
        """Banks of the activation SRAM that it writes, from the first to the last."""
        self.parameter_reads = NO_READS
        """When it reads lane groups' parameters."""
        self._left = NOTHING_BEFORE
        """What the instruction before left, once that is forgotten."""

    @property
    def before(self) -> Aftermath:
        """What the instruction before leaves, as far as is known."""
        return self._left if self.previous is None else self.previous.aftermath

    def forget_previous(self) -> None:
        """Let go of the instruction before; what it left is still asked for."""
        self._left, self.previous = self.before, None

    @property
    def is_empty(self) -> bool:
        """It does nothing."""
        return not self.work.prefetch_cycles

    @property
    def is_planned(self) -> bool:
        """Its plan is known."""
        return self.walker_due >= 0

    @property
    def settles(self) -> int:
        """When its last position is taken or, behind that, nothing moves its reads any more."""
        if self.walker_free is None:
            return self.walker_due
        is_replayed = self.replay is not None
        return max(self.last_read, self.aftermath.used if is_replayed else self.operand_read)

    @property
    def operand_read(self) -> int:
        """When its last operand is read, as far as is known; -1 without second stage."""
        return self.aftermath.operand_moved - 1 if self.work.combines else -1

    def reads_operand_bank_of(self, other: "Flight") -> bool:
        """Tell whether it reads sources from a bank that has operands of the other one."""
        if self.work.kind != "reads":
            return False
        return not set(other.work.operand_banks).isdisjoint(self.work.source_banks)
