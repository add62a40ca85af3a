"""What the engines' models see of the run that they are part of; `machine` wires it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.sim.timing.activity import Trace
from tilewright.sim.timing.ports import BankTimeline, Claim, Interval, covered
from tilewright.sim.timing.vector_ports import Kind

Action = Callable[[int], int | None]
"""What happens in a cycle; returns in which later one it happens again, if it does."""


@dataclass
class Occupation:
    """What an engine notes for its counters while it is replayed."""

    busy: list[Interval] = field(default_factory=list)
    """When something moves or is refused."""
    refused: Counter[int] = field(default_factory=Counter)
    """Cycles of those in which a port of an SRAM was refused, by instruction."""
    refusals: dict[int, list[Interval]] = field(default_factory=dict)
    """When one was, by instruction, where an engine notes that and not the number of cycles."""
    own_refusals: list[Interval] = field(default_factory=list)
    """When a port was refused that the engine itself had."""

    def refused_cycles(self, number: int) -> int:
        """Return in how many cycles another engine had a bank that an instruction asked for."""
        return self.refused[number] + covered(self.refusals.get(number, ()))

    ready: dict[int, int] = field(default_factory=dict)
    """For each instruction, from when on its engine would take a successor."""


class QueueState(Protocol):
    """What has entered an engine's queue and what has retired."""

    num_sent: int
    retirements: list[int]
    """The cycle of each."""

    @property
    def is_full(self) -> bool: ...

    def has_room(self, cycle: int) -> bool:
        """Tell whether an entry is accepted; what issues in this cycle still counts."""

    def enter(self, number: int, cycle: int) -> None:
        """Take an instruction. Raises ExecutionError."""

    def await_retirement(self, count: int, queue: Any) -> None:
        """The head of `queue`, one of the run's, waits for so many retirements."""


class MatrixState(Protocol):
    """What others ask the model of MATRIX."""

    version: int
    """Counts the changes of what it reads and writes."""


class DepthwiseState(Protocol):
    """What others ask the model of DEPTHWISE."""

    version: int
    is_used: bool


class VectorState(Protocol):
    """What others ask the model of VECTOR."""

    parameter_version: int

    def parameter_reads(self, begin: int) -> BankTimeline:
        """Return when it reads parameters, from `begin` on."""

    def may_write(self, begin: int) -> bool:
        """Tell whether it writes the activation SRAM from `begin` on."""

    def claims(self, kind: Literal["reads", "writes"], bank: int, begin: int) -> list[Claim]:
        """Return when it reads or writes that bank of the activation SRAM, from `begin` on."""


class Channel(Protocol):
    """The AXI read channel."""

    fetch_cycle: int

    def add(self, settle: Action, cycle: int) -> None: ...

    def first_beat(self, cycle: int) -> int: ...

    def occupy(self, first: int, free: int, engine: str, number: int) -> None: ...


class FrontState(Protocol):
    """Fetch and dispatch."""

    def release(self, queue: Any, cycle: int) -> None:
        """The queue, one of the run's, has room from the next cycle on."""


class Simulation(Protocol):
    """A run; lists are by instruction number, -1: not yet. Cycles count from the start write."""

    config: Config
    instructions: Sequence[Instruction]
    engines: list[Engine | None]
    latency: int
    trace: Trace | None
    taken: list[int]
    offered: list[int]
    issued: list[int]
    retired: list[int]
    occupations: dict[Engine, Occupation]
    activation_reads: BankTimeline
    accumulator_reads: BankTimeline
    accumulator_writes: BankTimeline

    @property
    def cycles(self) -> int: ...

    @property
    def queues(self) -> Mapping[Engine, QueueState]: ...

    @property
    def channel(self) -> Channel: ...

    @property
    def front(self) -> FrontState: ...

    @property
    def matrix(self) -> MatrixState: ...

    @property
    def depthwise(self) -> DepthwiseState: ...

    @property
    def vector(self) -> VectorState: ...

    def at(self, cycle: int, action: Action, *, is_late: bool = False) -> None:
        """Call `action` in a cycle; late ones behind the others of that cycle."""

    def try_issue(self, engine: Engine, cycle: int) -> None:
        """Issue the head of an engine's queue, if it can be."""

    def refresh(self) -> None:
        """Bring the plans of DEPTHWISE and VECTOR, which meet each other, up to what is known."""

    def reads_before_vector(self, kind: Kind, bank: int, begin: int) -> list[Claim]:
        """Return when the engines before VECTOR read a bank, from `begin` on, as far as known."""

    def retire(self, number: int, cycle: int, now: int) -> None:
        """Note in cycle `now` that an instruction retires in `cycle`, which may be later."""
