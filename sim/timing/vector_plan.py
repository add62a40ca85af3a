"""When an instruction of the vector engine reads and writes, as far as is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.cycles import (
    COMBINE_PIPELINE_CYCLES,
    GROUP_PAIR_CYCLES,
    VECTOR_PIPELINE_CYCLES,
)
from tilewright.hw.spec.isa import Instruction, Source
from tilewright.sim.timing.ports import BankTimeline, Run, walk
from tilewright.sim.timing.replay import (
    FRONT_CYCLES,
    POSITION_CYCLES,
    Aftermath,
    Replay,
    StageReplay,
)
from tilewright.sim.timing.vector_ports import (
    Segment,
    SegmentCache,
    destination_banks,
    pixel_banks,
    source_banks,
)

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine

DECISION_CYCLES = 2
"""From a source position's turn to its read; as many positions are between."""
TO_RESULT = VECTOR_PIPELINE_CYCLES - DECISION_CYCLES
"""From a source read to the cycle behind that in which its value can be used."""
WRITE_CYCLES = COMBINE_PIPELINE_CYCLES + 1
"""From the use of a value and its operand to the write of the result."""
OPERAND_CYCLES = 2
"""From acceptance to the first operand's read."""
PARAMETER_CYCLES = 1
"""From the read of a lane group's first word to that of its parameters."""
NOTHING_BEFORE = Aftermath()

Interval = tuple[int, int]
"""First cycle and end."""


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
    previous: "Flight | None"
    version: tuple[int, int] = (-1, -1)
    """Of the matrix and depthwise engines' reads that the plan takes into account."""
    segments: tuple[Segment, ...] | None = None
    runs: tuple[Run, ...] = ()
    """Turns without refusals, as far as is known."""
    replay: Replay | None = None
    """In place of them, where values wait for one another."""
    is_free: bool = True
    """No read is refused."""
    aftermath: Aftermath = NOTHING_BEFORE
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
    def combines(self) -> bool:
        """It has a second stage."""
        return bool(self.instruction["combine"])

    @property
    def window(self) -> int:
        """Positions of a window."""
        return self.instruction["kernel_height"] * self.instruction["kernel_width"]

    @property
    def kind(self) -> Literal["reads", "sums"]:
        """What the source reads: activations or accumulators."""
        is_sum = self.instruction["source_kind"] == Source.ACCUMULATOR
        return "sums" if is_sum else "reads"


class Planner:
    """Plans instructions by what is known of the engines whose reads come first."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._config = machine.config
        self._pace = machine.config.lanes // machine.config.operand_lanes
        self._segments = SegmentCache(machine.config)

    def replan(self, flight: Flight) -> None:
        """Plan an instruction that is not empty anew; those before it are planned."""
        flight.reads = flight.writes = flight.replay = None
        first, last = flight.first_read, flight.first_read + flight.issue_cycles - 1
        flight.is_free = self._is_free(flight.kind, first, last + 1)
        if flight.kind == "sums" and flight.combines:
            flight.is_free = flight.is_free and self._is_free("reads", first, last + 1)
        is_uneven = 1 < flight.window < self._pace
        if not self._is_unhindered(flight) or (
            flight.combines and (is_uneven or not flight.is_free)
        ):
            self._replay(flight)
        else:
            self._plan(flight)
        flight.parameter_reads = self._parameter_reads(flight)

    def _plan(self, flight: Flight) -> None:
        """Plan an instruction whose reads follow one another, unless one is refused."""
        first, last = flight.first_read, flight.first_read + flight.issue_cycles - 1
        flight.runs = ((first, _turns(flight)),)
        if not flight.is_free:
            flight.runs = self._walk(flight)
            last = max(last, sum(flight.runs[-1]) - 1)
        pace = self._pace if flight.combines else 1
        used = last - 1 + TO_RESULT + pace
        before = self._before(flight)
        flight.aftermath = Aftermath(
            used=used,
            operand_moved=used - pace if flight.combines else before.operand_moved,
            operand_used=used if flight.combines else before.operand_used,
            reads=(last - 1, last),
            moved=last + 1,
            entered=last + DECISION_CYCLES,
        )

    def _is_unhindered(self, flight: Flight) -> bool:
        """Tell whether its values find every stage free that the instruction before uses."""
        before, first = self._before(flight), flight.first_read
        arrival = first - 1 + TO_RESULT
        return (
            before.used <= arrival
            and self._gate(flight) <= arrival
            and all(end <= first + DECISION_CYCLES for _, end in before.stalls)
        )

    def _before(self, flight: Flight) -> Aftermath:
        return NOTHING_BEFORE if flight.previous is None else flight.previous.aftermath

    def _gate(self, flight: Flight) -> int:
        """Return when its first result can be used at the earliest."""
        previous = flight.previous
        if flight.combines or previous is None or not previous.combines:
            return -1
        return previous.aftermath.used + WRITE_CYCLES

    def _walk(self, flight: Flight) -> tuple[Run, ...]:
        """Return the reads of an instruction without second stage, some of them refused."""
        runs: list[Run] = []
        cycle = flight.first_read - 1
        for segment in self._segments_of(flight):
            claims = self._machine.reads_before_vector(
                flight.kind, segment.source_bank, flight.first_read
            )
            cycle = walk(claims, cycle + 1, segment.turns, 1, runs)
        return tuple(runs)

    def ends(self, flight: Flight) -> tuple[int, int]:
        """Return when the last position is taken and when it is read."""
        last = flight.first_read + flight.issue_cycles - 1
        if flight.replay is not None:
            return flight.replay.walker_free, max(int(flight.replay.reads[-1]), last)
        start, turns = flight.runs[-1]
        last = max(start + (turns - 1) * self._spacing(flight), last)
        return last - DECISION_CYCLES, last

    def _spacing(self, flight: Flight) -> int:
        """Cycles from turn to turn, where they are equal."""
        return self._pace if flight.combines and flight.window == 1 else 1

    def _is_free(self, kind: Literal["reads", "sums"], start: int, end: int) -> bool:
        """Tell whether nobody takes a bank of that kind in the cycles [start, end)."""
        machine = self._machine
        timeline = machine.activation_reads if kind == "reads" else machine.accumulator_reads
        return timeline.is_free(start, end) and machine.depthwise.is_idle(kind, start)

    def _replay(self, flight: Flight) -> None:
        """Follow its positions one by one."""
        machine, first = self._machine, flight.first_read
        flight.replay = StageReplay(
            pace=self._pace if flight.combines else 1,
            depth=TO_RESULT - FRONT_CYCLES,
            window=flight.window,
            before=self._before(flight),
            gate=self._gate(flight),
        ).run(
            self._segments_of(flight),
            lambda bank: machine.reads_before_vector(flight.kind, bank, first),
            (lambda bank: machine.reads_before_vector("reads", bank, first))
            if flight.combines
            else None,
            first_position=first - POSITION_CYCLES,
            first_operand=flight.accepted + OPERAND_CYCLES,
        )
        flight.aftermath = flight.replay.aftermath

    def _segments_of(self, flight: Flight) -> tuple[Segment, ...]:
        if flight.segments is None:
            flight.segments = self._segments.segments(flight.instruction)
        return flight.segments

    def _parameter_reads(self, flight: Flight) -> tuple[Interval, ...]:
        """Return when it reads parameters, one word for each lane group or for all of them."""
        i, delay = flight.instruction, PARAMETER_CYCLES
        start = flight.runs[0][0] if flight.replay is None else int(flight.replay.reads[0])
        if i["uniform"] or i["groups"] == 1:
            return ((start + delay, start + delay + 1),)
        turns = i["out_height"] * i["out_width"] * flight.window
        if turns < GROUP_PAIR_CYCLES and not (flight.combines and self._pace >= GROUP_PAIR_CYCLES):
            return ((start + delay, self.ends(flight)[1] + delay + 1),)
        reads = self._turn_cycles(flight)[::turns] + delay
        return tuple((read, read + 1) for read in reads.tolist())

    def reading(self, flight: Flight) -> BankTimeline | None:
        """Return its reads of the activation SRAM; None if it has none."""
        if flight.kind == "sums" and not flight.combines:
            return None
        if flight.reads is None:
            flight.reads = self._machine.activation_reads.like()
            banks, starts, ends = zip(*self._read_parts(flight), strict=True)
            flight.reads.occupy_union(*map(np.concatenate, (banks, starts, ends)))
        return flight.reads

    def _read_parts(self, flight: Flight) -> Iterator[tuple[NDArray[np.int64], ...]]:
        """Yield banks, starts and ends of its reads of activations.

        A port reads its word in every cycle until its value moves on.
        """
        replay = flight.replay
        if flight.kind == "reads":
            starts = self._turn_cycles(flight)
            ends = starts + 1 if replay is None else replay.moves
            yield source_banks(self._segments_of(flight)), starts, ends
        if flight.combines:
            ends = replay.operand_moves if replay else self._use_cycles(flight) - self._pace
            first = max(self._before(flight).operand_moved, flight.accepted + OPERAND_CYCLES)
            banks = pixel_banks(flight.instruction, self._config, "operand")
            yield banks, np.append(first, ends[:-1]), ends

    def writing(self, flight: Flight, bank: int) -> BankTimeline | None:
        """Return its writes of the activation SRAM; None if that bank has none."""
        i = flight.instruction
        if flight.banks is None:
            flight.banks = destination_banks(i, self._config)
        if bank not in flight.banks:
            return None
        if flight.writes is None:
            flight.writes = self._machine.activation_reads.like()
            ends = self._use_cycles(flight) + 1 + (WRITE_CYCLES if flight.combines else 0)
            starts = ends - (self._pace if flight.combines else 1)
            banks = pixel_banks(i, self._config, "destination")
            flight.writes.occupy_union(banks, starts, ends)
        return flight.writes

    def _turn_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return the cycle of every turn."""
        if flight.replay is not None:
            return flight.replay.reads
        spacing = self._spacing(flight)
        return np.concatenate([cycle + spacing * np.arange(turns) for cycle, turns in flight.runs])

    def _use_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return when every pixel's value is used up."""
        if flight.replay is not None:
            return flight.replay.uses
        last_reads = self._turn_cycles(flight)[flight.window - 1 :: flight.window]
        return last_reads - 1 + TO_RESULT + (self._pace if flight.combines else 1)


def _turns(flight: Flight) -> int:
    """Source reads and placeholders of an instruction."""
    i = flight.instruction
    return i["groups"] * i["out_height"] * i["out_width"] * flight.window
