"""Replays a program in time: events in the order of cycles, engines with their own formulas."""

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Literal, Protocol

from tilewright.hw.spec.cycles import DONE_CYCLES, MEMORY_LATENCY
from tilewright.hw.spec.encoding import IllegalInstruction
from tilewright.hw.spec.errors import ExecutionError
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.program import Program
from tilewright.sim.timing.buckets import Occupation, bucket_sums
from tilewright.sim.timing.bus import ReadChannel
from tilewright.sim.timing.depthwise import DepthwiseModel
from tilewright.sim.timing.fetch import Front
from tilewright.sim.timing.load import LoadModel
from tilewright.sim.timing.matrix import MatrixModel
from tilewright.sim.timing.ports import BankTimeline, Claim
from tilewright.sim.timing.result import TimingResult
from tilewright.sim.timing.store import StoreModel
from tilewright.sim.timing.vector import VectorModel

Action = Callable[[int], None]
EARLY, LATE = 0, 1


class EngineModel(Protocol):
    """What an engine does with the instructions that its queue offers, in order."""

    def acceptance(self, number: int, offer: int) -> int | None:
        """Return when an instruction that is offered from `offer` on is accepted.

        None while that depends on what is yet to happen; the model asks for another try then.
        """

    def accept(self, number: int, cycle: int) -> None:
        """Accept the instruction."""


class Queue:
    """An engine's queue and the wait gate at its head."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.waiting: deque[int] = deque()
        self.last_issue = -1
        self.next_try = -1
        """The cycle of the next try to issue that is sure to come."""
        self.awaits = False
        """The head's waits are not met, and a retirement will come back to it."""

    @property
    def is_full(self) -> bool:
        """No entry is accepted unless one issues."""
        return len(self.waiting) >= self._depth

    def has_room(self, cycle: int) -> bool:
        """Tell whether an entry is accepted; what issues in this cycle still counts."""
        return len(self.waiting) + (self.last_issue == cycle) < self._depth


class Machine:
    """One run of one program; cycles count from the start write."""

    def __init__(self, program: Program, latency: int) -> None:
        self.program = program
        self.config = config = program.config
        try:
            self.instructions = program.instructions
        except IllegalInstruction as error:
            raise ExecutionError(f"the program has an illegal instruction: {error}") from None
        self.engines = [instruction.engine for instruction in self.instructions]
        self.latency = latency
        unknown = [-1] * len(self.instructions)
        self.taken, self.issued, self.retired = unknown.copy(), unknown.copy(), unknown.copy()
        self.offered = unknown.copy()
        self.retirements: dict[Engine, list[int]] = {engine: [] for engine in Engine}
        self.occupations = {engine: Occupation() for engine in Engine}
        self.channel = ReadChannel(self)
        self.activation_reads = BankTimeline(config.activation_words, config.activation_banks)
        self.accumulator_reads = BankTimeline(config.accumulator_words, config.accumulator_banks)
        self.accumulator_writes = self.accumulator_reads.like()
        """Of the matrix engine, as the two before; noted for a program with DEPTHWISE only."""
        self.front = Front(self)
        self.matrix = MatrixModel(self)
        self.depthwise = DepthwiseModel(self)
        self.vector = VectorModel(self)
        self.store = StoreModel(self)
        self.models: dict[Engine, EngineModel] = {
            Engine.LOAD: LoadModel(self),
            Engine.MATRIX: self.matrix,
            Engine.DEPTHWISE: self.depthwise,
            Engine.VECTOR: self.vector,
            Engine.STORE: self.store,
        }
        self.queues = {engine: Queue(config.queue_depth) for engine in Engine}
        self._awaiting: dict[tuple[Engine, int], list[Engine]] = {}
        self._sent = dict.fromkeys(Engine, 0)
        self._events: list[tuple[int, int, int, Action]] = []
        self._sequence = count()

    def at(self, cycle: int, action: Action, *, is_late: bool = False) -> None:
        """Call `action` in a cycle; late ones behind the others of that cycle."""
        heapq.heappush(self._events, (cycle, is_late, next(self._sequence), action))

    def run(self) -> None:
        """Run to the end of the program."""
        self.front.start()
        events = self._events
        while events:
            cycle, _, _, action = heapq.heappop(events)
            action(cycle)
        assert self.front.end_cycle is not None
        assert -1 not in self.retired[: self._num_sent()]

    def _num_sent(self) -> int:
        return sum(self._sent.values())

    @property
    def cycles(self) -> int:
        """From the start write to the interrupt."""
        assert self.front.end_cycle is not None
        last = max((self.retired[number] for number in range(self._num_sent())), default=0)
        return max(last + 1, self.front.end_cycle + 1, self.front.idle_cycle) + DONE_CYCLES

    def enter(self, number: int, cycle: int) -> None:
        """Dispatch an instruction to its engine's queue. Raises ExecutionError."""
        engine = self.engines[number]
        assert engine is not None
        for wait in self.instructions[number].waits:
            if wait.count > self._sent[wait.engine]:
                raise ExecutionError(
                    f"instruction {number} waits for {wait.count} retirements of "
                    f"{wait.engine.name}, which was sent {self._sent[wait.engine]} instructions; "
                    f"the accelerator stops with fault FUTURE_WAIT"
                )
        self._sent[engine] += 1
        self.taken[number] = cycle
        queue = self.queues[engine]
        queue.waiting.append(number)
        if len(queue.waiting) == 1:
            self.try_issue(engine, cycle)

    def try_issue(self, engine: Engine, cycle: int) -> None:
        """Issue the queue's head, now or when its waits are met and its engine is ready."""
        queue = self.queues[engine]
        if not queue.waiting or queue.awaits:
            return
        number = queue.waiting[0]
        offer = self.offered[number]
        if offer < 0:
            met = self._waits_met(number, engine)
            if met is None:
                return
            offer = max(self.taken[number], queue.last_issue, met) + 1
            self.offered[number] = offer
        accepted = self.models[engine].acceptance(number, offer)
        if accepted is None:
            return
        if accepted > cycle:
            self._try_at(engine, accepted)
            return
        queue.waiting.popleft()
        queue.last_issue = cycle
        self.issued[number] = cycle
        self.models[engine].accept(number, cycle)
        self.front.release(engine, cycle)
        self.try_issue(engine, cycle)

    def _try_at(self, engine: Engine, cycle: int) -> None:
        """Try to issue in that cycle, which is not before the present one."""
        queue = self.queues[engine]
        if queue.next_try != cycle:
            queue.next_try = cycle
            self.at(cycle, partial(self.try_issue, engine))

    def _waits_met(self, number: int, engine: Engine) -> int | None:
        """Return when the last awaited instruction retires; None if that is not known yet."""
        met = -1
        for wait in self.instructions[number].waits:
            if not wait.count:
                continue
            retirements = self.retirements[wait.engine]
            if len(retirements) < wait.count:
                self._awaiting.setdefault((wait.engine, wait.count), []).append(engine)
                self.queues[engine].awaits = True
                return None
            met = max(met, retirements[wait.count - 1])
        return met

    def refresh(self) -> None:
        """Bring the plans of DEPTHWISE and VECTOR, which meet each other, up to what is known."""
        while self.depthwise.replan() or self.vector.replan():
            pass

    def reads_before_vector(
        self, kind: Literal["reads", "sums"], bank: int, begin: int
    ) -> list[Claim]:
        """Return when the engines before VECTOR read a bank, from `begin` on, as far as is known.

        kind: "reads" of activations, or "sums", which accumulators hold.
        """
        timeline = self.activation_reads if kind == "reads" else self.accumulator_reads
        return [(timeline, bank), *self.depthwise.claims(kind, bank, begin)]

    def waits(self) -> tuple[Engine | None, ...]:
        """Return the engine that held each instruction up at the head of its queue, if any did."""
        return tuple(
            self._waited_for(number) if cycle >= 0 else None
            for number, cycle in enumerate(self.issued)
        )

    def _waited_for(self, number: int) -> Engine | None:
        found, latest = None, max(self.taken[number], 0)
        for wait in self.instructions[number].waits:
            if wait.count and self.retirements[wait.engine][wait.count - 1] > latest:
                found, latest = wait.engine, self.retirements[wait.engine][wait.count - 1]
        return found if self.offered[number] == latest + 1 else None

    def retire(self, number: int, cycle: int, now: int) -> None:
        """Note in cycle `now` that an instruction retires in `cycle`, which may be later."""
        engine = self.engines[number]
        assert engine is not None
        self.retired[number] = cycle
        retirements = self.retirements[engine]
        retirements.append(cycle)
        for waiter in self._awaiting.pop((engine, len(retirements)), ()):
            self.queues[waiter].awaits = False
            self.at(max(now, cycle + 1), partial(self.try_issue, waiter))


def simulate(program: Program, *, latency: int = MEMORY_LATENCY) -> TimingResult:
    """Return when each instruction of a program issues and retires.

    latency: DRAM cycles, from a read's address to its first beat and from a write's last beat to
    its response; DRAM takes an address and moves a beat a cycle and direction.

    Raises ExecutionError for a program that the accelerator stops with a fault of dispatch.
    """
    machine = Machine(program, latency)
    machine.run()
    return TimingResult(
        cycles=machine.cycles,
        engines=tuple(machine.engines),
        dispatched=tuple(machine.taken),
        issued=tuple(machine.issued),
        retired=tuple(machine.retired),
        find_waits=machine.waits,
        count_buckets=partial(bucket_sums, machine),
    )
