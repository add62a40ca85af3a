"""The depthwise engine: its words give way to the matrix engine's reads and writes."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.sim.timing.activity import ACCUMULATOR, ACTIVATION, Trace
from tilewright.sim.timing.alarm import Alarm
from tilewright.sim.timing.depthwise_pipeline import (
    Pipeline,
    Ports,
    Record,
    Request,
    Requests,
    State,
    Stream,
    stages_of,
)
from tilewright.sim.timing.depthwise_words import WordCache, Words
from tilewright.sim.timing.ports import BankTimeline, Claim
from tilewright.sim.timing.simulation import Actor, DepthwiseState, Simulation
from tilewright.sim.timing.vector_ports import Kind

RECENT_FLIGHTS = 256
"""How many instructions back another engine may meet."""


@dataclass
class Flight:
    """One accepted instruction."""

    number: int
    words: Words
    offer: int
    accepted: int
    state: State
    """Of the stages behind its last word, as far as is known."""
    record: Record
    latency: int
    """From a word's turn to its write."""
    alarm: Alarm
    """Set to when the next thing is certain."""
    is_over: bool = False
    """Its last word's turn has come."""
    retired: int | None = None
    timelines: dict[str, BankTimeline] = field(default_factory=dict)
    """Its requests, where they were asked for."""

    @property
    def settles(self) -> int:
        """When its last word's turn comes or, behind that, nothing moves its requests any more."""
        return self.state.result.write - self.latency if self.is_over else self.state.turn


class _Check(Actor):
    """Looks again at an instruction under way."""

    def __init__(self, model: "DepthwiseModel", flight: Flight) -> None:
        self._model, self._flight = model, flight

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        self._model.check(self._flight, cycle)
        return None


class DepthwiseModel(DepthwiseState):
    """What it does is final when its cycle has come: the matrix engine plans further ahead."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self.is_used = Engine.DEPTHWISE in machine.engines
        """The program has such instructions."""
        self._cache = WordCache(machine.config)
        self._stages = stages_of(machine.config)
        self._flights: deque[Flight] = deque()
        """Those that have not retired."""
        self._latest: deque[Flight] = deque(maxlen=RECENT_FLIGHTS)
        self._last: Flight | None = None
        self._settled = self._stages.idle
        """Behind the last one that has retired."""
        self._known = (-1, -1)
        """Versions of the matrix and vector engines' reads that the plan takes into account."""
        self.version = 0
        """Of the plan."""

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: in the turn of the last word before it or, with the gap, behind that."""
        known = offer + self._stages.look
        if self._last is None:
            return known
        free = self._last.state.turn + self._stages.gap
        return max(known, free) if self._last.is_over else None

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel."""
        instruction = self._machine.instructions[number]
        assert isinstance(instruction, Depthwise)
        flight = Flight(
            number=number,
            words=self._cache.words(instruction),
            offer=self._machine.offered[number],
            accepted=cycle,
            state=self._settled,
            record=Record(),
            latency=self._stages.write,
            alarm=Alarm(self._machine),
        )
        self._flights.append(flight)
        self._latest.append(flight)
        self._last = flight
        self._plan(flight, self._flights[-2].state if len(self._flights) > 1 else self._settled)
        self.check(flight, cycle)

    def _plan(self, flight: Flight, before: State) -> None:
        machine = self._machine
        ports = Ports(
            reads=machine.activation_reads,
            sums=machine.accumulator_reads,
            writes=machine.accumulator_writes,
            weights=machine.vector.parameter_reads(max(flight.offer, before.latch_free)),
        )
        pipeline = Pipeline(flight.words, ports, before, self._stages)
        pipeline.run(
            offer=flight.offer,
            accepted=flight.accepted,
            weight_words=machine.config.depthwise_words,
        )
        if pipeline.record != flight.record or pipeline.state != flight.state:
            flight.state, flight.record = pipeline.state, pipeline.record
            flight.timelines = {}
            self.version += 1

    def replan(self) -> bool:
        """Plan what has not retired anew if there is news; tell whether anything changed."""
        machine = self._machine
        known = (machine.matrix.version, machine.vector.parameter_version)
        if known == self._known:
            return False
        self._known = known
        before, state = self.version, self._settled
        for flight in self._flights:
            self._plan(flight, state)
            flight.alarm.advance(flight.settles)
            state = flight.state
        return self.version != before

    def check(self, flight: Flight, cycle: int) -> None:
        """Settle what has come about by now; look again when the rest should have."""
        self._machine.refresh()
        if not flight.is_over and flight.state.turn <= cycle:
            flight.is_over = True
            self._machine.try_issue(Engine.DEPTHWISE, cycle)
        if flight.settles > cycle:
            flight.alarm.set(flight.settles, _Check(self, flight))
            return
        assert self._flights[0] is flight
        self._flights.popleft()
        self._settled = flight.state
        flight.retired = flight.state.result.write
        self._note_refusals(flight)
        if self._machine.trace is not None:
            self._note_ports(flight, self._machine.trace)
        self._machine.retire(flight.number, flight.retired, cycle)

    def _note_refusals(self, flight: Flight) -> None:
        """Note when others had the banks that an instruction asked for."""
        machine, record = self._machine, flight.record
        refusals = machine.occupations[Engine.DEPTHWISE].refusals[flight.number] = []
        for requests, timeline in (
            (record.reads, machine.activation_reads),
            (record.sums, machine.accumulator_reads),
            (record.writes, machine.accumulator_writes),
        ):
            for each in requests:
                if isinstance(each, Request):
                    refusals += timeline.within(*each)
        refusals += [(each.start, each.end - 1) for each in record.weights]

    def _note_ports(self, flight: Flight, trace: Trace) -> None:
        """Note in the trace when an instruction asks for its ports."""
        name, number = Engine.DEPTHWISE.name, flight.number
        trace.note_banks(ACTIVATION, "read", name, number, self._timeline(flight, "reads"))
        if flight.words.accumulates:
            trace.note_banks(ACCUMULATOR, "read", name, number, self._timeline(flight, "sums"))
        banks, like = flight.words.writes, self._machine.accumulator_writes.like()
        writes = timeline_of(flight.record.writes, banks, like)
        trace.note_banks(ACCUMULATOR, "write", name, number, writes)

    def claims(self, kind: Kind, bank: int, begin: int) -> list[Claim]:
        """Return when it reads that bank of activations or accumulators, from `begin` on."""
        found: list[Claim] = []
        if not self.is_used:
            return found
        self._machine.refresh()
        for flight in reversed(self._latest):
            if flight.retired is not None and flight.retired < begin:
                break
            if kind == "reads" or flight.words.accumulates:
                found.append((self._timeline(flight, kind), bank))
        return found

    def _timeline(self, flight: Flight, kind: Kind) -> BankTimeline:
        if kind not in flight.timelines:
            banks = flight.words.reads if kind == "reads" else flight.words.writes
            machine = self._machine
            taken = machine.activation_reads if kind == "reads" else machine.accumulator_reads
            flight.timelines[kind] = timeline_of(getattr(flight.record, kind), banks, taken.like())
        return flight.timelines[kind]


def timeline_of(
    requests: Requests, banks: NDArray[np.int64], timeline: BankTimeline
) -> BankTimeline:
    """Note an instruction's requests and return the timeline; banks: those of its words."""
    for each in requests:
        if isinstance(each, Stream):
            turns = banks[each.first : each.first + each.words]
            cycles = each.cycle + np.arange(each.words)
            timeline.occupy_union(turns, cycles, cycles + 1)
        else:
            timeline.occupy_bank(*each)
    return timeline
