"""What the engines' models see of the run that they are part of; `machine` wires it."""

from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.sim.timing.activity import Trace
from tilewright.sim.timing.ports import BankTimeline, Claim, Interval, covered
from tilewright.sim.timing.vector_ports import Kind


class Actor(ABC):
    """Something to which things happen in cycles that it is told."""

    @abstractmethod
    def act(self, cycle: int) -> int | None:
        """Do what happens in a cycle; return in which later one it happens again, if it does."""


class Occupation:
    """What an engine notes for its counters while it is replayed."""

    def __init__(self) -> None:
        self._busy = array("q")
        self._start, self._end = 0, 0
        """What comes behind `_busy`."""
        self.refused: Counter[int] = Counter()
        """Cycles of those in which a port of an SRAM was refused, by instruction."""
        self.refusals: dict[int, list[Interval]] = {}
        """When one was, by instruction, where an engine notes that and not the number of cycles."""
        self.own_refusals: list[Interval] = []
        """When a port was refused that the engine itself had."""
        self.ready = array("q")
        """For each instruction of a transfer engine, from when on it would take a successor."""

    @property
    def busy(self) -> Sequence[int]:
        """When something moves or is refused: starts and ends in turn."""
        return self._busy + array("q", (self._start, self._end))

    def occupy(self, start: int, end: int) -> None:
        """Note that something moves or is refused in cycles [start, end)."""
        if self._start <= start <= self._end:
            self._end = max(self._end, end)
        else:
            self._busy.append(self._start)
            self._busy.append(self._end)
            self._start, self._end = start, end

    def refused_cycles(self, number: int) -> int:
        """Return in how many cycles another engine had a bank that an instruction asked for."""
        return self.refused[number] + covered(self.refusals.get(number, ()))


class Ledger:
    """What a run notes of its instructions; lists are by number, -1: not yet.

    Cycles count from the start write.
    """

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self.instructions = list(instructions)
        self.engines = [instruction.engine for instruction in self.instructions]
        unknown = array("q", [-1]) * len(self.instructions)
        self.taken, self.offered = unknown[:], unknown[:]
        """When each instruction entered its queue, and was first offered to its engine."""
        self.issued, self.retired = unknown[:], unknown.tolist()
        self.retirements = [array("q") for _ in Engine]
        """The cycles in which instructions of each engine retire, in order."""
        self.occupations = [Occupation() for _ in Engine]
        """By engine."""

    def waits(self) -> tuple[Engine | None, ...]:
        """Return the engine that held each instruction up at the head of its queue, if any did."""
        return tuple(
            self._waited_for(number) if cycle >= 0 else None
            for number, cycle in enumerate(self.issued)
        )

    def _waited_for(self, number: int) -> Engine | None:
        found, latest = None, max(self.taken[number], 0)
        for wait in self.instructions[number].waits:
            if wait.count:
                retired = self.retirements[wait.engine][wait.count - 1]
                if retired > latest:
                    found, latest = wait.engine, retired
        return found if self.offered[number] == latest + 1 else None

    def refused(self) -> tuple[int, ...]:
        """Return in how many cycles another engine had a bank that each instruction asked for."""
        return tuple(
            self.occupations[engine].refused_cycles(number) if engine is not None else 0
            for number, engine in enumerate(self.engines)
        )


class EngineModel(ABC):
    """What an engine does with the instructions that its queue offers, in order."""

    @abstractmethod
    def acceptance(self, number: int, offer: int) -> int | None:
        """Return when an instruction that is offered from `offer` on is accepted.

        None while that depends on what is yet to happen; the model asks for another try then.
        """

    @abstractmethod
    def accept(self, number: int, cycle: int) -> None:
        """Accept the instruction."""


class MatrixState(EngineModel):
    """What others ask the model of MATRIX."""

    version: int
    """Counts the changes of what it reads and writes."""


class DepthwiseState(EngineModel):
    """What others ask the model of DEPTHWISE."""

    version: int
    is_used: bool

    @abstractmethod
    def replan(self) -> bool:
        """Plan what has not retired anew if there is news; tell whether anything changed."""

    @abstractmethod
    def claims(self, kind: Kind, bank: int, begin: int) -> list[Claim]:
        """Return when it reads that bank of activations or accumulators, from `begin` on."""


class VectorState(EngineModel):
    """What others ask the model of VECTOR."""

    parameter_version: int

    @abstractmethod
    def replan(self) -> bool:
        """Plan what has not retired anew if there is news; tell whether parameter reads moved."""

    @abstractmethod
    def parameter_reads(self, begin: int) -> BankTimeline:
        """Return when it reads parameters, from `begin` on."""

    @abstractmethod
    def may_write(self, begin: int) -> bool:
        """Tell whether it writes the activation SRAM from `begin` on."""

    @abstractmethod
    def claims(self, kind: Literal["reads", "writes"], bank: int, begin: int) -> list[Claim]:
        """Return when it reads or writes that bank of the activation SRAM, from `begin` on."""


class Channel(ABC):
    """The AXI read channel."""

    fetch_cycle: int

    @abstractmethod
    def add(self, transfer: Actor, cycle: int) -> None: ...

    @abstractmethod
    def first_beat(self, cycle: int) -> int: ...

    @abstractmethod
    def occupy(self, first: int, free: int, engine: str, number: int) -> None: ...


class Simulation(ABC):
    """A run; lists are those of the ledger."""

    config: Config
    instructions: list[Instruction]
    engines: list[Engine | None]
    latency: int
    trace: Trace | None
    taken: "array[int]"
    offered: "array[int]"
    issued: "array[int]"
    retired: list[int]
    occupations: list[Occupation]
    retirements: "list[array[int]]"
    activation_reads: BankTimeline
    accumulator_reads: BankTimeline
    accumulator_writes: BankTimeline
    channel: Channel
    matrix: MatrixState
    depthwise: DepthwiseState
    vector: VectorState

    @abstractmethod
    def at(self, cycle: int, actor: Actor, *, is_late: bool = False) -> None:
        """Have an actor act in a cycle; late ones behind the others of that cycle."""

    @abstractmethod
    def try_issue(self, engine: int, cycle: int) -> None:
        """Issue the head of an engine's queue, if it can be."""

    @abstractmethod
    def release(self, engine: int, cycle: int) -> None:
        """An engine's queue has room from the next cycle on."""

    @abstractmethod
    def refresh(self) -> None:
        """Bring the plans of DEPTHWISE and VECTOR, which meet each other, up to what is known."""

    @abstractmethod
    def reads_before_vector(self, kind: Kind, bank: int, begin: int) -> list[Claim]:
        """Return when the engines before VECTOR read a bank, from `begin` on, as far as known."""

    @abstractmethod
    def retire(self, number: int, cycle: int, now: int) -> None:
        """Note in cycle `now` that an instruction retires in `cycle`, which may be later."""
