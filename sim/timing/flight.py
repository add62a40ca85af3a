"""An accepted instruction of the vector engine, with its plan as far as that is known."""

from dataclasses import dataclass

from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.alarm import Alarm
from tilewright.sim.timing.ports import BankTimeline, Interval, Run
from tilewright.sim.timing.replayed import Aftermath, Replay
from tilewright.sim.timing.vector_ports import Work

NOTHING_BEFORE = Aftermath()


@dataclass(slots=True, eq=False)
class Flight:
    """One accepted instruction."""

    number: int
    instruction: Vector
    work: Work
    accepted: int
    first_read: int
    """When its first source read can be at the earliest if no position of its window waits."""
    previous: "Flight | None"
    alarm: Alarm
    """Set to when the next thing is certain."""
    next: "Flight | None" = None
    """The instruction behind it, if that is not empty."""
    version: int = -1
    """Of the matrix and depthwise engines' reads that the plan takes into account."""
    runs: tuple[Run, ...] = ()
    """Turns without refusals, as far as is known."""
    replay: Replay | None = None
    """In place of them, where values wait for one another."""
    aftermath: Aftermath = NOTHING_BEFORE
    walker_due: int = -1
    """When the last position is taken, as far as is known."""
    last_read: int = -1
    """When it is read."""
    walker_free: int | None = None
    """When the last position is taken; None until that is certain."""
    retired: int | None = None
    reads: BankTimeline | None = None
    writes: BankTimeline | None = None
    banks: range | None = None
    """Banks of the activation SRAM that it writes, from the first to the last."""
    parameter_reads: tuple[Interval, ...] = ()
    """When it reads lane groups' parameters."""

    @property
    def is_empty(self) -> bool:
        """It does nothing."""
        return not self.work.setup_cycles

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
