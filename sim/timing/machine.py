"""Replays a program in time: events in the order of cycles, engines with their own formulas."""

from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import done_cycles
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.encoding import IllegalInstruction
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.hw.spec.program import Listing
from tilewright.sim.timing.activity import Trace
from tilewright.sim.timing.buckets import bucket_sums
from tilewright.sim.timing.bus import ReadChannel
from tilewright.sim.timing.depthwise import DepthwiseModel
from tilewright.sim.timing.fetch import Front
from tilewright.sim.timing.load import LoadModel
from tilewright.sim.timing.matrix import MatrixModel, note_ports
from tilewright.sim.timing.ports import BankTimeline, Claim
from tilewright.sim.timing.queues import Queue
from tilewright.sim.timing.result import TimingResult, joined
from tilewright.sim.timing.simulation import Actor, EngineModel, Ledger, Simulation
from tilewright.sim.timing.store import StoreModel
from tilewright.sim.timing.vector import VectorModel
from tilewright.sim.timing.vector_ports import Kind
from tilewright.support.collector import no_collections
from tilewright.support.errors import ExecutionError

FORGET_INTERVAL = 256
"""Instructions."""


class Machine(Simulation):
    """One run of one section's instructions; cycles count from the start write."""

    def __init__(
        self,
        ledger: Ledger,
        config: Config,
        latency: int,
        trace: Trace | None = None,
    ) -> None:
        self.config = config
        self.instructions, self.engines = ledger.instructions, ledger.engines
        self.taken, self.offered = ledger.taken, ledger.offered
        self.issued, self.retired = ledger.issued, ledger.retired
        self.retirements, self.occupations = ledger.retirements, ledger.occupations
        self.latency = latency
        self.trace = trace
        self.channel = ReadChannel(self)
        self.activation_reads = BankTimeline(config.activation_words, config.activation_banks)
        self.accumulator_reads = BankTimeline(config.accumulator_words, config.accumulator_banks)
        self.accumulator_writes = self.accumulator_reads.like()
        """Of the matrix engine, as the two before; noted for DEPTHWISE and traces only."""
        self.matrix = MatrixModel(self)
        self.depthwise = DepthwiseModel(self)
        self.vector = VectorModel(self)
        models: dict[Engine, EngineModel] = {
            Engine.LOAD: LoadModel(self),
            Engine.MATRIX: self.matrix,
            Engine.DEPTHWISE: self.depthwise,
            Engine.VECTOR: self.vector,
            Engine.STORE: StoreModel(self),
        }
        self.queues: list[Queue] = []
        """By engine."""
        for engine in Engine:
            self.queues.append(Queue(self, engine, models[engine], self.queues))
        self.front = Front(self, self.queues)
        self._oldest, self._forgotten = 0, 0
        """An instruction before which all have retired; the one that was to retire when what is
        over was forgotten."""
        self._events: list[tuple[int, bool, int, Actor]] = []
        self._num_events = 0

    def at(self, cycle: int, actor: Actor, *, is_late: bool = False) -> None:
        """Have an actor act in a cycle; late ones behind the others of that cycle."""
        self._num_events += 1
        heappush(self._events, (cycle, is_late, self._num_events, actor))

    def run(self) -> int:
        """Run to the end of the program, once; return the cycles from start write to interrupt.

        What was noted by then is the ledger's alone.
        """
        self.front.start()
        events = self._events
        while events:
            cycle, _, _, actor = heappop(events)
            again = actor.act(cycle)
            while again is not None:
                if events and events[0][0] <= again:
                    self.at(again, actor)
                    break
                again = actor.act(again)
        assert self.front.end_cycle is not None
        retired = self.retired[: sum(queue.num_sent for queue in self.queues)]
        assert -1 not in retired
        behind = max([*retired, self.front.end_cycle]) + 1
        self.instructions, self.occupations = [], []
        return max(behind, self.front.idle_cycle) + done_cycles(self.config)

    def try_issue(self, engine: int, cycle: int) -> None:
        """Issue the head of an engine's queue, if it can be."""
        self.queues[engine].try_issue(cycle)

    def release(self, engine: int, cycle: int) -> None:
        """An engine's queue has room from the next cycle on."""
        self.front.release(engine, cycle)

    def refresh(self) -> None:
        """Bring the plans of DEPTHWISE and VECTOR, which meet each other, up to what is known."""
        while self.depthwise.replan() or self.vector.replan():
            pass

    def reads_before_vector(self, kind: Kind, bank: int, begin: int) -> list[Claim]:
        """Return when the engines before VECTOR read a bank, from `begin` on, as far as is known.

        kind: "reads" of activations, or "sums", which accumulators hold.
        """
        timeline = self.activation_reads if kind == "reads" else self.accumulator_reads
        return [(timeline, bank), *self.depthwise.claims(kind, bank, begin)]

    def retire(self, number: int, cycle: int, now: int) -> None:
        """Note in cycle `now` that an instruction retires in `cycle`, which may be later."""
        engine = self.engines[number]
        assert engine is not None
        self.retired[number] = cycle
        self.queues[engine].retire(cycle, now)
        if number >= self._forgotten + FORGET_INTERVAL and self.trace is None:
            self._forgotten = number
            self._forget()

    def _forget(self) -> None:
        """Forget what the matrix engine did before the oldest instruction under way was sent."""
        while self.retired[self._oldest] >= 0:
            self._oldest += 1
        cycle = self.taken[self._oldest]
        if cycle >= 0:
            for timeline in (
                self.activation_reads,
                self.accumulator_reads,
                self.accumulator_writes,
            ):
                timeline.forget(cycle)


@no_collections()
def simulate(
    program: Listing, *, latency: int = MEMORY_LATENCY, is_traced: bool = False
) -> TimingResult:
    """Return when each instruction of a program issues and retires, section behind section.

    latency: DRAM cycles, from a read's address to its first beat and from a write's last beat to
    its response; DRAM takes an address and moves a beat a cycle and direction.

    is_traced: the result has the activities of ports and DRAM, too.

    Raises ExecutionError for a program that the accelerator stops with a fault of dispatch.
    """
    try:
        instructions = program.instructions
    except IllegalInstruction as error:
        raise ExecutionError(f"the program has an illegal instruction: {error}") from None
    return joined(
        [
            _simulate(
                instructions[section.first : section.stop],
                program.config,
                latency,
                Trace() if is_traced else None,
            )
            for section in program.sections
        ]
    )


def _simulate(
    instructions: Sequence[Instruction], config: Config, latency: int, trace: Trace | None
) -> TimingResult:
    ledger = Ledger(instructions)
    machine = Machine(ledger, config, latency, trace)
    cycles = machine.run()
    if trace is not None:
        note_ports(machine, trace)
    return TimingResult(
        cycles=cycles,
        engines=tuple(ledger.engines),
        dispatched=ledger.taken,
        issued=ledger.issued,
        retired=tuple(ledger.retired),
        activities=() if trace is None else tuple(trace.activities),
        find_waits=ledger.waits,
        find_refusals=ledger.refused,
        count_buckets=partial(bucket_sums, ledger, cycles),
    )
