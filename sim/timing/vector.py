"""The vector engine: two instructions in flight, refusals of its read ports."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.cycles import (
    COMBINE_PIPELINE_CYCLES,
    VECTOR_PIPELINE_CYCLES,
    vector_read_cycles,
    vector_setup_cycles,
)
from tilewright.hw.spec.isa import Engine, Instruction, Source
from tilewright.sim.timing.combine import (
    FRONT_CYCLES,
    POSITION_CYCLES,
    CombineReplay,
    Replay,
    SecondStage,
)
from tilewright.sim.timing.ports import BankTimeline, Claim, Run, walk
from tilewright.sim.timing.vector_ports import (
    Segment,
    SegmentCache,
    destination_banks,
    read_timeline,
    write_timeline,
)

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine

READ_CYCLES = 3
"""From the acceptance to the first source read."""
DECISION_CYCLES = 2
"""From a source position's turn to its read; as many positions are between."""
ACCEPT_INTERVAL = 2
"""A successor's header is read from this many cycles after an acceptance on."""
RECENT_FLIGHTS = 256
"""How many instructions back a transfer may meet."""
NOTHING_BEFORE = SecondStage()


@dataclass
class Flight:
    """One accepted instruction."""

    number: int
    instruction: Instruction
    accepted: int
    first_read: int
    """When its first source read can be at the earliest."""
    issue_cycles: int
    """Turns from the first source read to the last."""
    is_empty: bool
    pipeline: int
    """Cycles from the last source read to retirement."""
    previous: "Flight | None"
    plan: tuple[Segment, ...] | None = None
    runs: tuple[Run, ...] = ()
    """Turns without refusals, as far as is known."""
    replay: Replay | None = None
    """In place of them, where the second stage was replayed."""
    stage: SecondStage = NOTHING_BEFORE
    """What it leaves behind in the second stage."""
    version: tuple[int, int] = (-1, -1)
    """Of the matrix and depthwise engines' reads that `runs` takes into account."""
    walker_free: int | None = None
    """When the last position is taken; None until that is certain."""
    retired: int | None = None
    reads: BankTimeline | None = None
    writes: BankTimeline | None = None
    banks: range | None = None
    """Banks of the activation SRAM that it writes, from the first to the last."""


class VectorModel:
    """Reads are final when their cycle has come: the matrix engine, which wins, plans ahead."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._config = machine.config
        self._pace = machine.config.lanes // machine.config.operand_lanes
        self._segments = SegmentCache(machine.config)
        self._last: Flight | None = None
        self._latest: deque[Flight] = deque(maxlen=RECENT_FLIGHTS)

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: a free slot, header and table read, the positions before all taken."""
        i = self._machine.instructions[number]
        last = self._last
        prepared = offer
        if last is not None:
            prepared = max(prepared, last.accepted + ACCEPT_INTERVAL)
            if last.previous is not None:
                if last.previous.retired is None:
                    return None
                prepared = max(prepared, last.previous.retired + 1)
        cycles = vector_setup_cycles(i.fields, self._config)
        if not cycles:
            return prepared
        if last is not None:
            if last.walker_free is None:
                return None
            return max(prepared + cycles, last.walker_free)
        return prepared + cycles

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel."""
        i = self._machine.instructions[number]
        is_empty = not vector_setup_cycles(i.fields, self._config)
        pipeline = VECTOR_PIPELINE_CYCLES - DECISION_CYCLES
        if i["combine"]:
            pipeline += COMBINE_PIPELINE_CYCLES + self._pace
        previous = self._last
        flight = Flight(
            number=number,
            instruction=i,
            accepted=cycle,
            first_read=cycle + READ_CYCLES + self._pause(i, cycle),
            issue_cycles=0 if is_empty else vector_read_cycles(i.fields, self._config),
            is_empty=is_empty,
            pipeline=pipeline,
            previous=previous,
        )
        self._last = flight
        if is_empty:
            flight.walker_free = cycle
        else:
            self._latest.append(flight)
        self._check(flight, cycle)

    def _pause(self, i: Instruction, accepted: int) -> int:
        """Return how long the pace of the second stage delays the first window behind another."""
        last = self._last
        if not i["combine"] or last is None or last.walker_free is None:
            return 0
        if last.is_empty or not last.instruction["combine"]:
            return 0
        window = i["kernel_height"] * i["kernel_width"]
        return max(0, last.walker_free + self._pace - accepted - window)

    def _check(self, flight: Flight, cycle: int) -> None:
        """Settle what has come about by now; look again when the rest should have."""
        before = flight.previous
        if flight.is_empty:
            if before is not None and before.retired is None:
                return  # its retirement comes back to this one
            earliest = -1 if before is None or before.retired is None else before.retired + 1
            self._retire(flight, max(cycle, flight.accepted + 2, earliest), cycle)
            return
        free, last_read = self._reads(flight)
        if flight.walker_free is None:
            if free <= cycle:
                flight.walker_free = free
                self._machine.try_issue(Engine.VECTOR, cycle)
            else:
                self._machine.at(free, lambda now: self._check(flight, now))
                return
        settled = max(last_read, flight.stage.used)
        if settled > cycle or (before is not None and before.retired is None):
            self._machine.at(max(settled, cycle + 1), lambda now: self._check(flight, now))
            return
        retired = last_read + flight.pipeline
        if flight.instruction["combine"]:
            retired = flight.stage.used + COMBINE_PIPELINE_CYCLES + 1
        elif before is not None and before.retired is not None:
            window = flight.instruction["kernel_height"] * flight.instruction["kernel_width"]
            retired = max(retired, before.retired + 1 + flight.issue_cycles - window)
        unrefused = flight.first_read + flight.issue_cycles - 1
        self._machine.occupations[Engine.VECTOR].refused += last_read - unrefused
        self._retire(flight, retired, cycle)

    def _retire(self, flight: Flight, retired: int, cycle: int) -> None:
        flight.retired = retired
        if flight.previous is not None:
            flight.previous.previous = None
        self._machine.retire(flight.number, retired, cycle)
        last = self._last
        if last is not flight and last is not None and last.is_empty and last.retired is None:
            self._check(last, cycle)
        self._machine.try_issue(Engine.VECTOR, cycle)

    def _reads(self, flight: Flight) -> tuple[int, int]:
        """Return when the last position is taken and when it is read, as far as is known now."""
        version = (self._machine.matrix.version, self._machine.depthwise.version())
        if flight.version != version:
            flight.version = version
            self._replan(flight)
        last = flight.first_read + flight.issue_cycles - 1
        if flight.replay is not None:
            return flight.replay.walker_free, max(int(flight.replay.reads[-1]), last)
        start, turns = flight.runs[-1]
        last = max(start + (turns - 1) * self._spacing(flight), last)
        return last - DECISION_CYCLES, last

    def _spacing(self, flight: Flight) -> int:
        i = flight.instruction
        if not i["combine"]:
            return 1
        return max(1, -(-self._pace // (i["kernel_height"] * i["kernel_width"])))

    def _replan(self, flight: Flight) -> None:
        """Set `runs` by what is known of the matrix engine's reads."""
        flight.reads = flight.writes = None
        first = flight.first_read
        last = first + flight.issue_cycles - 1
        i = flight.instruction
        machine = self._machine
        from_accumulator = i["source_kind"] == Source.ACCUMULATOR
        kind: Literal["reads", "sums"] = "sums" if from_accumulator else "reads"
        is_free = self._is_free(kind, first, last + 1)
        if from_accumulator and i["combine"]:
            is_free = is_free and self._is_free("reads", first, last + 1)
        if i["combine"]:
            self._replan_combine(flight, is_free=is_free)
            return
        if is_free:
            flight.runs = ((first, _turns(i)),)
            return
        runs: list[Run] = []
        cycle = first - 1
        for segment in self._plan(flight):
            claims = machine.reads_before_vector(kind, segment.source_bank, first)
            cycle = walk(claims, cycle + 1, segment.turns, 1, runs)
        flight.runs = tuple(runs)

    def _is_free(self, kind: Literal["reads", "sums"], start: int, end: int) -> bool:
        """Tell whether nobody takes a bank of that kind in the cycles [start, end)."""
        machine = self._machine
        timeline = machine.activation_reads if kind == "reads" else machine.accumulator_reads
        return timeline.is_free(start, end) and machine.depthwise.is_idle(kind, start)

    def _replan_combine(self, flight: Flight, *, is_free: bool) -> None:
        """The same with a second stage; without refusals its pace is that of the positions."""
        before = NOTHING_BEFORE
        if flight.previous is not None and flight.previous.instruction["combine"]:
            if flight.previous.retired is None:
                self._reads(flight.previous)
            before = flight.previous.stage
        i, machine = flight.instruction, self._machine
        first = flight.first_read
        to_result = VECTOR_PIPELINE_CYCLES - DECISION_CYCLES
        flight.replay = None
        if is_free and before.used < first + to_result:
            last_used = first + flight.issue_cycles - 2 + to_result + self._pace
            flight.runs = ((first, _turns(i)),)
            last = first + flight.issue_cycles - 1
            flight.stage = SecondStage(
                used=last_used,
                operand_moved=last_used - self._pace,
                reads=(last - 1, last),
                moved=last + 1,
                entered=last + DECISION_CYCLES,
            )
            return
        kind: Literal["reads", "sums"] = (
            "sums" if i["source_kind"] == Source.ACCUMULATOR else "reads"
        )
        replay = CombineReplay(
            pace=self._pace,
            depth=to_result - FRONT_CYCLES,
            window=i["kernel_height"] * i["kernel_width"],
            before=before,
        ).run(
            self._plan(flight),
            lambda bank: machine.reads_before_vector(kind, bank, first),
            lambda bank: machine.reads_before_vector("reads", bank, first),
            first_position=first - POSITION_CYCLES,
            first_operand=flight.accepted + 2,
        )
        flight.replay, flight.stage = replay, replay.state

    def _plan(self, flight: Flight) -> tuple[Segment, ...]:
        if flight.plan is None:
            flight.plan = self._segments.segments(flight.instruction)
        return flight.plan

    def claims(self, kind: Literal["reads", "writes"], bank: int, begin: int) -> list[Claim]:
        """Return when it reads or writes that bank of the activation SRAM, from `begin` on."""
        found: list[Claim] = []
        for flight in reversed(self._latest):
            if flight.retired is not None and flight.retired < begin:
                break
            if flight.retired is None:
                self._reads(flight)
            timeline = self._reading(flight) if kind == "reads" else self._writing(flight, bank)
            if timeline is not None:
                found.append((timeline, bank))
        return found

    def _reading(self, flight: Flight) -> BankTimeline | None:
        i = flight.instruction
        from_accumulator = i["source_kind"] == Source.ACCUMULATOR
        if from_accumulator and not i["combine"]:
            return None
        if flight.reads is None:
            flight.reads = read_timeline(
                BankTimeline(self._config.activation_words, self._config.activation_banks),
                self._plan(flight),
                self._turn_cycles(flight),
                from_accumulator=from_accumulator,
            )
        return flight.reads

    def _writing(self, flight: Flight, bank: int) -> BankTimeline | None:
        i = flight.instruction
        if flight.banks is None:
            flight.banks = destination_banks(i, self._config)
        if bank not in flight.banks:
            return None
        if flight.writes is None:
            flight.writes = write_timeline(
                BankTimeline(self._config.activation_words, self._config.activation_banks),
                i,
                self._config,
                self._write_cycles(flight),
            )
        return flight.writes

    def _turn_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return the cycle of every turn."""
        if flight.replay is not None:
            return flight.replay.reads
        spacing = self._spacing(flight)
        return np.concatenate([cycle + spacing * np.arange(turns) for cycle, turns in flight.runs])

    def _write_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return the cycle of the last write of every pixel."""
        if flight.replay is not None:
            return flight.replay.uses + (COMBINE_PIPELINE_CYCLES + 1)
        i = flight.instruction
        window = i["kernel_height"] * i["kernel_width"]
        return self._turn_cycles(flight)[window - 1 :: window] + flight.pipeline


def _turns(i: Instruction) -> int:
    """Source reads and placeholders of an instruction."""
    window = i["kernel_height"] * i["kernel_width"]
    return i["groups"] * i["out_height"] * i["out_width"] * window
