"""The vector engine: two instructions in flight, header and table fetched ahead."""

from bisect import bisect_right
from collections import deque
from typing import Final, Literal

from tilewright.hw.spec.cycles import EMPTY_VECTOR_LATENCY, acceptance_gap, vector_look
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.alarm import Alarm
from tilewright.sim.timing.flight import Flight
from tilewright.sim.timing.ports import BankTimeline, Claim, Interval
from tilewright.sim.timing.simulation import Actor, Simulation, VectorState
from tilewright.sim.timing.vector_plan import READ_CYCLES, Planner
from tilewright.sim.timing.vector_ports import Work, WorkCache
from tilewright.sim.timing.vector_trace import note_ports

ACCEPT_INTERVAL = 2
"""A successor's header is read from this many cycles after an acceptance on."""
VECTOR: Final = int(Engine.VECTOR)
RECENT_FLIGHTS = 256
"""How many instructions back a transfer may meet."""


class _Check(Actor):
    """Looks again at an instruction under way."""

    def __init__(self, model: "VectorModel", flight: Flight) -> None:
        self._model, self._flight = model, flight

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        self._model.check(self._flight, cycle)
        return None


class VectorModel(VectorState):
    """Reads are final when their cycle has come: the matrix engine, which wins, plans ahead."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._pace = machine.config.lanes // machine.config.operand_lanes
        self._look, self._gap = vector_look(machine.config), acceptance_gap(machine.config)
        self._planner = Planner(machine)
        cache = WorkCache(machine.config)
        self._works = {
            number: cache.work(instruction)
            for number, instruction in enumerate(machine.instructions)
            if isinstance(instruction, Vector)
        }
        self._occupation = machine.occupations[VECTOR]
        self._prefetches: deque[tuple[int, int, int]] = deque(maxlen=RECENT_FLIGHTS)
        """Instruction, first cycle and end of the latest reads of headers and tables."""
        self.parameter_version = 0
        """Of what is known of its reads of parameters."""
        self._last: Flight | None = None
        self._latest: deque[Flight] = deque(maxlen=RECENT_FLIGHTS)

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: a free slot, header and table read, the positions before all taken."""
        work, last = self._works[number], self._last
        prepared = offer + self._look
        if last is not None:
            prepared = max(prepared, last.accepted + ACCEPT_INTERVAL)
            if last.previous is not None:
                if last.previous.retired is None:
                    return None
                prepared = max(prepared, last.previous.retired + 1)
        if not work.prefetch_cycles:
            return prepared
        if last is not None and last.walker_free is None and not self._machine.depthwise.is_used:
            return None  # and nobody asks for its reads until then
        end = self._prefetch(number, prepared, work.prefetch_cycles)
        if last is not None:
            return None if last.walker_free is None else max(end, last.walker_free + self._gap)
        return end

    def _prefetch(self, number: int, start: int, cycles: int) -> int:
        """Read header and table from that cycle on and return the cycle behind the last read.

        Group parameters of the instruction before come first.
        """
        end = start + cycles
        if self._last is not None and not self._last.is_empty:
            self._refresh(self._last)
            starts, ends = self._last.parameter_reads
            for place in range(bisect_right(ends, start), len(ends)):
                first = starts[place]
                if first >= end:
                    break
                end += ends[place] - max(first, start)
        if not self._prefetches or self._prefetches[-1] != (number, start, end):
            if self._prefetches and self._prefetches[-1][0] == number:
                self._prefetches.pop()
            self._prefetches.append((number, start, end))
            self.parameter_version += 1
        return end

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel."""
        work = self._works.pop(number)
        instruction = self._machine.instructions[number]
        assert isinstance(instruction, Vector)
        flight = Flight(
            number=number,
            instruction=instruction,
            work=work,
            accepted=cycle,
            first_read=cycle + READ_CYCLES + self._pause(work, cycle),
            previous=self._last,
            alarm=Alarm(self._machine),
        )
        if flight.is_empty:
            flight.walker_free = cycle
        else:
            if self._last is not None and not self._last.is_empty:
                self._last.next = flight
            self._latest.append(flight)
        self._last = flight
        self.check(flight, cycle)

    def _pause(self, work: Work, accepted: int) -> int:
        """Return how long the pace of the second stage delays the first window behind another."""
        last = self._last
        if not work.combines or last is None or last.walker_free is None:
            return 0
        if last.is_empty or not last.work.combines:
            return 0
        return max(0, last.walker_free + self._pace - accepted - work.lead - work.window)

    def check(self, flight: Flight, cycle: int) -> None:
        """Settle what has come about by now; look again when the rest should have."""
        before = flight.previous
        if flight.is_empty:
            if before is not None and before.retired is None:
                return  # its retirement comes back to this one
            earliest = -1 if before is None or before.retired is None else before.retired + 1
            self._retire(
                flight, max(cycle, flight.accepted + EMPTY_VECTOR_LATENCY, earliest), cycle
            )
            return
        self._refresh(flight)
        if flight.walker_free is None and flight.walker_due <= cycle:
            flight.walker_free = flight.walker_due
            self._machine.try_issue(VECTOR, cycle)
        if flight.settles > cycle or (before is not None and before.retired is None):
            flight.alarm.set(max(flight.settles, cycle + 1), _Check(self, flight))
            return
        retired = flight.aftermath.used + self._planner.cycles_to_write(flight.work)
        self._note_refusals(flight)
        self._retire(flight, retired, cycle)

    def _note_refusals(self, flight: Flight) -> None:
        occupation = self._occupation
        if flight.replay is not None:
            occupation.refusals[flight.number] = flight.replay.refusals
            occupation.own_refusals += flight.replay.own_refusals
            return
        gaps, behind = [], flight.first_read
        for start, turns in flight.runs:
            if behind < start:
                gaps.append((behind, start))
            behind = start + turns
        if gaps:
            occupation.refusals[flight.number] = gaps

    def _retire(self, flight: Flight, retired: int, cycle: int) -> None:
        flight.retired = retired
        machine = self._machine
        if machine.trace is not None and not flight.is_empty:
            banks = machine.accumulator_reads
            note_ports(machine.trace, self._planner, flight, machine.config, banks)
        if flight.previous is not None:
            flight.previous.forget_previous()
        self._machine.retire(flight.number, retired, cycle)
        last = self._last
        if last is not flight and last is not None and last.is_empty and last.retired is None:
            self.check(last, cycle)
        self._machine.try_issue(VECTOR, cycle)

    def _refresh(self, flight: Flight) -> None:
        """Bring the plan of an instruction that is not empty up to what is known."""
        if self._machine.depthwise.is_used:
            self._machine.refresh()
        else:
            self._replan(flight.next or flight)

    def _replan(self, flight: Flight) -> bool:
        """Plan an instruction anew if there is news; tell whether its reads of parameters moved."""
        version = self._machine.matrix.version + self._machine.depthwise.version
        if flight.retired is not None or flight.version == version:
            return False
        if flight.previous is not None and not flight.previous.is_empty:
            self._replan(flight.previous)
        flight.version = version
        previous = flight.previous or flight
        before = flight.parameter_reads, previous.parameter_reads
        self._planner.replan(flight)
        flight.alarm.advance(flight.settles)
        if (flight.parameter_reads, previous.parameter_reads) == before:
            return False
        self.parameter_version += 1
        return True

    def replan(self) -> bool:
        """Plan what has not retired anew if there is news; tell whether parameter reads moved."""
        last, before = self._last, self.parameter_version
        if last is not None and not last.is_empty:
            self._replan(last)
        elif last is not None and last.previous is not None and not last.previous.is_empty:
            self._replan(last.previous)
        return self.parameter_version != before

    def parameter_reads(self, begin: int) -> BankTimeline:
        """Return when it reads parameters, from `begin` on, as far as is known; in one bank."""
        found: list[Interval] = []
        for _, start, end in reversed(self._prefetches):
            if end <= begin:
                break
            found.append((start, end))
        for flight in reversed(self._latest):
            if flight.retired is not None and flight.retired < begin:
                break
            starts, ends = flight.parameter_reads
            place = bisect_right(ends, begin)
            found += zip(starts[place:], ends[place:], strict=True)
        timeline = BankTimeline(1, 1)
        for start, end in sorted(found):
            timeline.occupy_bank(0, start, end)
        return timeline

    def may_write(self, begin: int) -> bool:
        """Tell whether it writes the activation SRAM from `begin` on, as far as is known."""
        latest = self._latest[-1].retired if self._latest else begin - 1
        return latest is None or latest >= begin

    def claims(self, kind: Literal["reads", "writes"], bank: int, begin: int) -> list[Claim]:
        """Return when it reads or writes that bank of the activation SRAM, from `begin` on."""
        found: list[Claim] = []
        for flight in reversed(self._latest):
            if flight.retired is not None and flight.retired < begin:
                break
            if flight.retired is None:
                self._refresh(flight)
            timeline = (
                self._planner.reading(flight, bank)
                if kind == "reads"
                else self._planner.writing(flight, bank)
            )
            if timeline is not None:
                found.append((timeline, bank))
        return found
