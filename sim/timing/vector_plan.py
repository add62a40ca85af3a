"""When an instruction of the vector engine reads and writes, as far as is known."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.cycles import (
    GROUP_PAIR_CYCLES,
    VECTOR_WRITE_CYCLES,
    combine_pipeline,
    operand_cycles,
    vector_pipeline,
)
from tilewright.sim.timing.cursor import NEVER
from tilewright.sim.timing.flight import Flight, Reads
from tilewright.sim.timing.ports import (
    BankTimeline,
    Interval,
    Run,
    bank_range,
    cycles_of,
    step_banks,
    walk,
)
from tilewright.sim.timing.replay import FRONT_CYCLES, POSITION_CYCLES, StageReplay
from tilewright.sim.timing.replayed import Aftermath
from tilewright.sim.timing.shared_replay import SharedReplay
from tilewright.sim.timing.simulation import Simulation
from tilewright.sim.timing.vector_ports import (
    Kind,
    Work,
    source_banks,
)

READ_CYCLES = 3
"""From acceptance to the first source read."""
MOVE_CYCLES, ENTER_CYCLES = 1, 2
"""From a source read to its value's move from the port and to its entry in the pipeline."""
LATEST_READS = 8
"""More than an instruction has still to do when the next one's operands are asked for."""


class SourceReads(NamedTuple):
    """When an instruction reads sources from the activation SRAM."""

    first: BankTimeline
    """For the first time."""
    repeats: BankTimeline
    """Again, as values cannot move on."""


class Planner:
    """Plans instructions by what is known of the engines whose reads come first."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._config = machine.config
        self._pace = machine.config.lanes // machine.config.operand_lanes
        self._to_operand = operand_cycles(machine.config)
        pipeline = vector_pipeline(machine.config)
        self._to_result = pipeline - VECTOR_WRITE_CYCLES - POSITION_CYCLES
        """From a source read to the cycle behind that in which its value can be used."""
        self._combined = combine_pipeline(machine.config) + 1
        """From the use of a value and its operand to the result."""

    def replan(self, flight: Flight) -> None:
        """Plan an instruction that is not empty anew; those before it are planned.

        The one before is planned again where the source reads of this one come before those of
        its operands, or the operands of this one before its sources that are read again. What
        happens in a cycle follows from the cycles before, so this ends.
        """
        self._plan_one(flight)
        before = flight.previous
        if before is None or before.retired is not None:
            return
        while flight in self._rivals(before) or self._deferrals(before):
            aftermath = before.aftermath
            self._plan_one(before)
            if before.aftermath == aftermath:
                break
            self._plan_one(flight)

    def _rivals(self, flight: Flight) -> list[Flight]:
        """Return the instructions whose source reads can come before those of its operands."""
        if not flight.work.combines:
            return []
        before, behind = flight.previous, flight.next
        last, first = flight.aftermath.operand_moved, flight.accepted + self._to_operand
        near = [flight]
        if before is not None and before.aftermath.moved > first:
            near.append(before)
        if behind is not None and behind.is_planned and behind.accepted + READ_CYCLES < last:
            near.append(behind)
        return [each for each in near if each.reads_operand_bank_of(flight)]

    def _deferrals(self, flight: Flight) -> list[Interval]:
        """Return when the next instruction asks for its first operand, where that can matter.

        Its sources are not read again meanwhile; few are still to be read then.
        """
        behind, replay = flight.next, flight.replay
        if behind is None or not behind.is_planned or not behind.work.combines or replay is None:
            return []
        first, moved = self._first_operand(behind)
        if behind.replay is not None:
            moved = int(behind.replay.operand_moves[0])
        start = max(first, flight.aftermath.operand_used + 1)
        reads, moves = replay.reads[-LATEST_READS:], replay.moves[-LATEST_READS:]
        is_met = (moves > reads + 1) & (moves > start)
        end = moved + (behind.work.turns - behind.work.lead > behind.work.window)
        return [(start, end)] if flight.work.kind == "reads" and is_met.any() else []

    def _plan_one(self, flight: Flight) -> None:
        work = flight.work
        flight.reads = flight.writes = None
        is_unhindered = self._is_unhindered(flight)
        rivals = self._rivals(flight)
        is_free = is_unhindered and not rivals and self._is_free(flight)
        is_uneven = 1 < work.window < self._pace or work.lead > 0
        if not is_unhindered or (work.combines and (is_uneven or not is_free)):
            self._replay(flight, rivals)
        else:
            self._plan(flight, is_free=is_free)
        flight.parameter_reads = self._parameter_reads(flight)

    def _plan(self, flight: Flight, *, is_free: bool) -> None:
        """Plan an instruction whose reads follow one another, unless one is refused."""
        work, before = flight.work, flight.before
        last = flight.first_read + work.read_cycles - 1
        # Reads before the last can be earlier than that; what follows is bound by walker_due.
        reads, walker_due = (last - 2, last - 1, last), last - POSITION_CYCLES
        if is_free:
            flight.runs = ((flight.first_read, work.turns),)
        else:
            flight.runs = self._walk(flight)
            fourth, *latest = _last_turns(flight.runs, before.reads)
            reads = (latest[0], latest[1], latest[2])
            last = max(last, reads[2])
            walker_due = max(flight.first_read + work.turns - 1 - POSITION_CYCLES, fourth + 1)
        flight.replay = None
        flight.walker_due, flight.last_read = walker_due, last
        used = last + self._to_result
        operand_moved, operand_used = before.operand_moved, before.operand_used
        used_before = used - 1
        if work.combines:
            used += self._pace - 1
            operand_used = used
            if work.turns > work.window:
                operand_moved = used_before = used - max(self._pace, work.window)
            else:
                operand_moved, used_before = self._first_operand(flight)[1], before.used
        flight.aftermath = Aftermath(
            used=used,
            used_before=used_before,
            operand_moved=operand_moved,
            operand_used=operand_used,
            reads=reads,
            window_end=last - POSITION_CYCLES if work.combines else -NEVER,
            moved=last + MOVE_CYCLES,
            entered=last + ENTER_CYCLES,
            group_entered=last + ENTER_CYCLES if work.lead else -1,
        )

    def _is_unhindered(self, flight: Flight) -> bool:
        """Tell whether its values find every stage free that the instruction before uses."""
        before, first = flight.before, flight.first_read
        arrival = first - 1 + self._to_result
        return (
            before.used <= arrival
            and before.reads[-1] < first
            and self._gate(flight) <= arrival
            and all(end <= first + ENTER_CYCLES for _, end in before.stalls)
            and before.group_entered + GROUP_PAIR_CYCLES < first + ENTER_CYCLES + flight.work.lead
            and not self._has_pairs(flight)
        )

    def _has_pairs(self, flight: Flight) -> bool:
        """Tell whether lane groups wait for the scale registers, which are for two of them."""
        work = flight.work
        return 0 < work.group_turns < GROUP_PAIR_CYCLES and not (
            work.combines and self._pace >= GROUP_PAIR_CYCLES
        )

    def _gate(self, flight: Flight) -> int:
        """Return when its first result can be used at the earliest."""
        previous = flight.previous
        if flight.work.combines or previous is None or not previous.work.combines:
            return -1
        return previous.aftermath.used + self._combined

    def _is_free(self, flight: Flight) -> bool:
        """Tell whether nobody takes a bank that it reads while it does, if no value waits."""
        work, first = flight.work, flight.first_read
        end = first + work.read_cycles
        if self._is_taken(work.kind, work.source_banks, first, end):
            return False
        first = flight.accepted + self._to_operand
        return not (
            work.combines
            and self._is_taken("reads", work.operand_banks, first, end + self._to_result)
        )

    def _is_taken(self, kind: Kind, banks: tuple[int, ...], start: int, end: int) -> bool:
        """Tell whether one of those banks is taken in the cycles [start, end)."""
        return any(
            timeline.is_taken(bank, start, end)
            for each in banks
            for timeline, bank in self._machine.reads_before_vector(kind, each, start)
        )

    def _first_operand(self, flight: Flight) -> tuple[int, int]:
        """Return when its first operand is read and, if nothing is refused, moves on."""
        before = flight.before
        first = max(before.operand_moved, flight.accepted + self._to_operand)
        return first, max(first, before.operand_used - 1) + 1

    def _walk(self, flight: Flight) -> tuple[Run, ...]:
        """Return the reads of an instruction without second stage, some of them refused."""
        runs: list[Run] = []
        work, cycle = flight.work, flight.first_read - 1
        for segment in work.segments:
            claims = self._machine.reads_before_vector(
                work.kind, segment.source_bank, flight.first_read
            )
            cycle = walk(claims, cycle + 1, segment.turns, 1, runs)
        return tuple(runs)

    def _replay(self, flight: Flight, rivals: list[Flight]) -> None:
        """Follow its positions one by one."""
        machine, work, first = self._machine, flight.work, flight.accepted + READ_CYCLES
        others = [self._source_reads(each) for each in rivals if each is not flight]
        kind = SharedReplay if flight in rivals else StageReplay
        flight.replay = replay = kind(
            pace=self._pace if work.combines else 1,
            depth=self._to_result - FRONT_CYCLES,
            window=work.window,
            before=flight.before,
            gate=self._gate(flight),
            has_pairs=work.group_turns == 1,
            is_deferred=work.kind == "reads",
            deferrals=self._deferrals(flight),
        ).run(
            work.segments,
            lambda bank: machine.reads_before_vector(work.kind, bank, first),
            partial(machine.reads_before_vector, "reads", begin=first) if work.combines else None,
            first_position=first - POSITION_CYCLES,
            first_operand=flight.accepted + self._to_operand,
            rivals=lambda bank: [(each.first, bank) for each in others],
            repeats=lambda bank: [(each.repeats, bank) for each in others],
        )
        flight.aftermath = replay.aftermath
        if work.lead:
            flight.aftermath.group_entered = flight.aftermath.entered
        flight.walker_due = replay.walker_free
        flight.last_read = max(int(replay.reads[-1]), flight.first_read + work.read_cycles - 1)

    def _source_reads(self, flight: Flight) -> SourceReads:
        """Return when it reads sources from the activation SRAM."""
        first, repeats = (self._machine.activation_reads.like() for _ in range(2))
        banks, cycles = source_banks(flight.work.segments), self.turn_cycles(flight)
        first.occupy_union(banks, cycles, cycles + 1)
        if flight.replay is not None:
            lasts = flight.replay.moves > cycles + 1
            repeats.occupy_union(banks[lasts], cycles[lasts] + 1, flight.replay.moves[lasts])
        return SourceReads(first, repeats)

    def _parameter_reads(self, flight: Flight) -> Reads:
        """Return when it reads parameters, one word for each lane group or for all of them.

        From a group's first value's move to its entry; the word in front of it with the last turn
        in front of that value.
        """
        work, replay = flight.work, flight.replay
        turns = work.group_turns or work.turns
        if replay is None and len(flight.runs) == 1 and not work.lead:
            first, step = flight.runs[0][0] + MOVE_CYCLES, turns * self._spacing(flight)
            behind = first - (-work.turns // turns) * step
            return range(first, behind, step), range(first + 1, behind + 1, step)
        firsts = np.arange(work.lead, work.turns, turns)
        if work.lead:
            firsts = np.stack((firsts - 1, firsts), axis=1).reshape(-1)
        if replay is not None:
            starts, ends = replay.moves[firsts], replay.enters[firsts]
        elif work.group_turns or work.lead:
            starts = cycles_of(firsts, flight.runs, self._spacing(flight)) + MOVE_CYCLES
            ends = starts + 1
        else:
            start = flight.runs[0][0] + MOVE_CYCLES
            return (start,), (start + 1,)
        return tuple(starts.tolist()), tuple(ends.tolist())

    def reading(self, flight: Flight, bank: int) -> BankTimeline | None:
        """Return its reads of the activation SRAM; None if that bank has none."""
        work = flight.work
        is_operand = work.combines and bank in work.operand_banks
        if not is_operand and (work.kind == "sums" or bank not in work.source_banks):
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
        work, replay = flight.work, flight.replay
        if work.kind == "reads":
            starts = self.turn_cycles(flight)
            ends = starts + 1 if replay is None else replay.moves
            yield source_banks(work.segments), starts, ends
        if work.combines:
            first, moved = self._first_operand(flight)
            if replay is not None:
                ends = replay.operand_moves
            else:
                ends = np.append(moved, self._use_cycles(flight)[:-1])
            banks = step_banks(flight.instruction.operand_walk(self._config), self._config)
            yield banks, np.append(first, ends[:-1]), ends

    def writing(self, flight: Flight, bank: int) -> BankTimeline | None:
        """Return its writes of the activation SRAM; None if that bank has none."""
        work = flight.work
        config, walk = self._config, flight.instruction.destination_walk
        if flight.banks is None:
            flight.banks = bank_range(walk(config), config)
        if bank not in flight.banks:
            return None
        if flight.writes is None:
            flight.writes = self._machine.activation_reads.like()
            ends = self._use_cycles(flight) + 1 + self.cycles_to_write(work)
            starts = ends - (self._pace if work.combines else 1)
            flight.writes.occupy_union(step_banks(walk(config), config), starts, ends)
        return flight.writes

    def cycles_to_write(self, work: Work) -> int:
        """Return the cycles from the use of a value to the write of what comes of it."""
        return VECTOR_WRITE_CYCLES + (self._combined if work.combines else 0)

    def turn_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return the cycle of every turn."""
        if flight.replay is not None:
            return flight.replay.reads
        return cycles_of(np.arange(flight.work.turns), flight.runs, self._spacing(flight))

    def _spacing(self, flight: Flight) -> int:
        """Return the cycles from turn to turn."""
        return self._pace if flight.work.combines and flight.work.window == 1 else 1

    def _window_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return the cycle of every turn that belongs to a window."""
        cycles, segments = self.turn_cycles(flight), flight.work.segments
        if not flight.work.lead:
            return cycles
        is_window = [not segment.is_lead for segment in segments]
        turns = [segment.turns for segment in segments]
        windows: NDArray[np.int64] = cycles[np.repeat(is_window, turns)]
        return windows

    def _use_cycles(self, flight: Flight) -> NDArray[np.int64]:
        """Return when every pixel's value is used up."""
        if flight.replay is not None:
            return flight.replay.uses
        window = flight.work.window
        last_reads = self._window_cycles(flight)[window - 1 :: window]
        return last_reads - 1 + self._to_result + (self._pace if flight.work.combines else 1)


def _last_turns(runs: Sequence[Run], before: Sequence[int]) -> list[int]:
    """Return the last four turns of runs, the latest ones before them if they have not so many."""
    last = [start + k for start, turns in runs[-4:] for k in range(max(0, turns - 4), turns)]
    return [*before, *last][-4:]
