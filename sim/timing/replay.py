"""The vector engine where a value waits for the one before it, or an operand's read is refused.

A source read passes two registers and the pipeline of the first stage, whose stages move together,
to the result register, in front of which there is one more place, so that the pipeline stands when
a third result comes. With a second stage it meets its operand in that register, which was read
ahead into a register of its own, and both are used for `pace` cycles. Without one it is used in a
cycle, but not before the results of an earlier instruction's second stage are written. A read whose
data is not taken at once is repeated, but for cycles in which the second stage has no operand and
asks for one. A lane group's first value enters the pipeline when that of the group but one before
has passed its first stages, which have two scale registers: where groups are of one value, that is
the value but one before. A group whose negative sums have scales of their own has both registers.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tilewright.hw.spec.cycles import GROUP_PAIR_CYCLES
from tilewright.sim.timing.cursor import NEVER, Cursor
from tilewright.sim.timing.ports import FREE_BANK, Claim, Interval, is_any_taken
from tilewright.sim.timing.replayed import Aftermath, Cycles, Pixel, Replay

if TYPE_CHECKING:
    from tilewright.sim.timing.vector_ports import Segment

POSITION_CYCLES = 2
"""From a position's turn to its read, which is behind that of the position three before."""
FRONT_CYCLES = 3
"""From a source read to the first stage of the pipeline."""


class StageReplay:
    """Follows the positions of an instruction, one by one until they repeat.

    pace: cycles of a value in the result register; gate: the earliest first of them; has_pairs:
    each value is of a lane group of its own; is_deferred: sources are activations, which are not
    read again while an operand is asked for; deferrals: while the next instruction asks for one.
    """

    _can_repeat = True

    def __init__(
        self,
        *,
        pace: int,
        depth: int,
        window: int,
        before: Aftermath,
        gate: int = -1,
        has_pairs: bool = False,
        is_deferred: bool = True,
        deferrals: Sequence[Interval] = (),
    ) -> None:
        self._pace, self._depth, self._window, self._gate = pace, depth, window, gate
        self._has_pairs, self._is_deferred = has_pairs, is_deferred
        self._used, self._used_before = before.used, before.used_before
        self._operand_moved, self._operand_used = before.operand_moved, before.operand_used
        self._last_reads = before.reads
        self._moved, self._entered = before.moved, before.entered
        self._group_entered = before.group_entered
        self._stalls = list(before.stalls)
        self._stalls_passed = 0
        self._starved, self._deferrals = deque(before.starved), deferrals
        self._is_fetched = False
        """The next operand is found, of a value that is not in the pipeline."""
        self._position, self._window_end = 0, before.window_end
        self._to_window_end = window
        self._operands_left = 0
        self._pixel = Pixel(-1, -1, None, ())
        """Of the positions that have their turns."""
        self._reads, self._moves, self._enters = Cycles(), Cycles(), Cycles()
        self._uses, self._operand_moves = Cycles(), Cycles()
        self._cursors: list[Cursor] = []
        self._own_refusals: list[Interval] = []

    def run(
        self,
        plan: Sequence["Segment"],
        source: Callable[[int], Sequence[Claim]],
        operand: Callable[[int], Sequence[Claim]] | None,
        *,
        first_position: int,
        first_operand: int,
        rivals: Callable[[int], Sequence[Claim]] = lambda _: (),
        repeats: Callable[[int], Sequence[Claim]] = lambda _: (),
    ) -> Replay:
        """Return when everything happens; the first position and operand at the earliest.

        source, operand: who comes before a read of that bank; no operand without second stage.
        rivals: source reads that come before an operand's; repeats: those that do as long as the
        operand before is in use.
        """
        self._position = first_position - 1
        self._operands_left = sum(s.turns for s in plan if not s.is_lead) // self._window
        if operand is not None:
            self._operand_moved = max(self._operand_moved, first_operand)
        for segment in plan:
            sources = Cursor(source(segment.source_bank), first_position)
            self._cursors.append(sources)
            operands: Cursor | None = None
            repeated: Sequence[Claim] = ()
            if operand is not None:
                bank = segment.operand_bank
                operands = Cursor(operand(bank), first_position, rivals(bank))
                repeated = repeats(bank)
                self._cursors.append(operands)
            if segment.is_lead:
                self._pass_lead(sources, segment)
                continue
            self._pixel = Pixel(-1, segment.operand_bank, operands, repeated)
            self._pass_turns(sources, segment)
        self._finish()
        return self._result()

    def _pass_turns(self, sources: Cursor, segment: "Segment") -> None:
        """The turns of a segment, one by one until two windows leave the same state."""
        operands, repeated = self._pixel.operands, self._pixel.repeats
        can_repeat = self._can_repeat and not repeated
        left, before = segment.turns, None
        while left:
            left, self._to_window_end = left - 1, self._to_window_end - 1
            self._read(sources, segment.source_bank, is_end=not self._to_window_end)
            if self._to_window_end:
                continue
            self._to_window_end = self._window
            self._meet(self._pixel._replace(entered=self._entered))
            if left >= self._window and can_repeat:
                state = self._state(sources, operands)
                if before is not None and state[1:] == before[1:]:
                    left -= self._repeat(sources, operands, state[0] - before[0], left)
                    state = None
                before = state

    def _read(self, sources: Cursor, bank: int, *, is_end: bool) -> None:
        """The next position's turn and its read; its value goes on to the pipeline."""
        read = self._take_turn(sources, is_end=is_end)
        self._move(sources, read, bank)
        self._enter(max(self._moved + 1, self._scale_free()))

    def _pass_lead(self, sources: Cursor, segment: "Segment") -> None:
        """Turns in front of a lane group: both scale registers come free meanwhile."""
        for _ in range(segment.turns):
            self._group_entered = -1
            self._read(sources, segment.source_bank, is_end=False)
        self._group_entered = -1

    def _take_turn(self, sources: Cursor, *, is_end: bool) -> int:
        """Take the next position's turn and return the cycle of its read."""
        oldest, before, last = self._last_reads
        position = max(self._position, oldest) + 1
        if is_end:
            self._window_end = position = max(position, self._window_end + self._pace)
        self._position = position
        read = sources.free(max(position + POSITION_CYCLES, last + 1, self._moved))
        self._reads.append(read)
        self._last_reads = before, last, read
        return read

    def _move(self, sources: Cursor, read: int, bank: int) -> None:
        """The value read moves on from the port as the one before enters the pipeline."""
        cycle = sources.free(max(read, self._entered - 1))
        while read < cycle < (end := self._deferred_until(cycle, bank)):
            cycle = sources.free(end)
        self._moved = cycle + 1
        self._moves.append(self._moved)

    def _deferred_until(self, cycle: int, bank: int) -> int:
        """Return when a source may be read again that would be in a cycle; asked in rising order.

        What takes no port (FREE_BANK) needs no data.
        """
        if not self._is_deferred or bank == FREE_BANK:
            return cycle
        self._find_operands(cycle)
        for start, end in (*self._starved, *self._deferrals):
            if start <= cycle < end:
                return end
        return cycle

    def _find_operands(self, cycle: int) -> None:
        """Find the operands that are asked for before a cycle: the next value's, too."""
        operands = self._pixel.operands
        if operands is not None and cycle > self._operand_used and not self._is_fetched:
            self._fetch(self._pixel, operands)
            self._is_fetched = True

    def _scale_free(self) -> int:
        """Return when the scale register of the next value's lane group is free."""
        if self._group_entered < 0:
            return -1
        free = self._group_entered + GROUP_PAIR_CYCLES + 1
        for start, end in self._stalls:
            if self._group_entered < start < free:
                free += end - start
        return free

    def _enter(self, cycle: int) -> None:
        """A value enters the pipeline, which must not stand."""
        self._group_entered = self._entered if self._has_pairs else -1
        stalls = self._stalls
        while self._stalls_passed < len(stalls) and stalls[self._stalls_passed][1] <= cycle:
            self._stalls_passed += 1
        if self._stalls_passed < len(stalls) and stalls[self._stalls_passed][0] <= cycle:
            cycle = stalls[self._stalls_passed][1]
            self._stalls_passed += 1
        self._entered = cycle
        self._enters.append(cycle)

    def _meet(self, pixel: Pixel) -> None:
        """The value that entered last reaches the result register, meets its operand, is used."""
        self._use(pixel, self._arrive(pixel.entered, self._used_before))

    def _arrival(self, entered: int) -> int:
        """Return when a value reaches the results, if there is a place."""
        arrival = entered + self._depth
        for start, end in self._stalls:
            if entered < start < arrival:
                arrival += end - start
        return arrival

    def _arrive(self, entered: int, used_before: int) -> int:
        """Return when a value reaches the results; the pipeline stands until there is a place.

        used_before: when the value but one before it is used up.
        """
        arrival = self._arrival(entered)
        leaves = max(arrival, used_before + 1)
        if leaves > arrival:
            self._stalls.append((arrival, leaves))
        return leaves

    def _use(self, pixel: Pixel, leaves: int) -> None:
        """A value reaches the result register, meets its operand and is used."""
        leaves = max(leaves, self._used)
        if pixel.operands:
            self._fetch(pixel, pixel.operands)
            leaves = max(leaves, self._operand_moved)
        self._used_before, self._used = self._used, max(leaves, self._gate) + self._pace
        if pixel.operands:
            self._operand_used = self._used
        self._uses.append(self._used)

    def _fetch(self, pixel: Pixel, operands: Cursor) -> None:
        """Read the next operand, which is that pixel's."""
        if self._is_fetched:
            self._is_fetched = False
            return
        starves = max(self._operand_moved, self._operand_used + 1)
        read = operands.free(max(self._operand_moved, self._operand_used - 1))
        while self._is_refused(pixel, read):
            self._own_refusals.append((read, read + 1))
            read = operands.free(read + 1)
        self._operand_moved = read + 1
        self._operand_moves.append(self._operand_moved)
        self._forget_starved()
        self._operands_left -= 1
        ends = self._operand_moved + (self._operands_left > 0)
        if starves < ends:
            self._starved.append((starves, ends))

    def _forget_starved(self) -> None:
        """Forget what no read still to come meets."""
        while self._starved and self._starved[0][1] <= self._moved:
            self._starved.popleft()

    def _is_refused(self, pixel: Pixel, cycle: int) -> bool:
        """Tell whether a repeated source read comes before an operand's."""
        return cycle <= self._operand_used and is_any_taken(pixel.repeats, cycle)

    def _finish(self) -> None:
        """All positions have had their turns."""

    def _state(self, sources: Cursor, operands: Cursor | None) -> tuple[int, ...]:
        """Return the last position, then all that the next window depends on relative to it."""
        position = self._position
        while self._stalls_passed and self._stalls[0][1] <= position:
            del self._stalls[0]
            self._stalls_passed -= 1
        self._forget_starved()
        return (
            position,
            len(sources.refusals),
            len(operands.refusals) if operands else 0,
            self._operand_moved - position if operands else 0,
            *(read - position for read in self._last_reads),
            self._moved - position,
            self._entered - position,
            self._group_entered - position if self._has_pairs else 0,
            self._used - position,
            self._used_before - position,
            self._stalls_passed,
            *(cycle - position for each in (*self._stalls, *self._starved) for cycle in each),
        )

    def _repeat(self, sources: Cursor, operands: Cursor | None, step: int, left: int) -> int:
        """Repeat the last window, `step` cycles later each time; return the turns that takes.

        It repeats until the `left` turns or all operands but one are over, or a read meets a taken
        cycle.
        """
        times = min(left // self._window, sources.steps(self._moved - 1, step))
        if operands:
            steps = operands.steps(self._operand_moved - 1, step)
            times = min(times, steps, self._operands_left - 1)
        if times <= 0:
            return 0
        self._reads.repeat(self._window, times, step)
        self._moves.repeat(self._window, times, step)
        self._enters.repeat(self._window, times, step)
        self._uses.repeat(1, times, step)
        if operands:
            self._operand_moves.repeat(1, times, step)
        shift = times * step
        self._position += shift
        self._window_end += shift
        oldest, before, last = self._last_reads
        self._last_reads = oldest + shift, before + shift, last + shift
        self._moved += shift
        self._entered += shift
        if self._has_pairs:
            self._group_entered += shift
        if operands:
            self._operands_left -= times
            self._operand_moved += shift
            self._operand_used += shift
        self._used += shift
        self._used_before += shift
        self._stalls = [(start + shift, end + shift) for start, end in self._stalls]
        self._starved = deque((start + shift, end + shift) for start, end in self._starved)
        return times * self._window

    def _result(self) -> Replay:
        position = self._position
        refusals, own = (
            [each for cursor in self._cursors for each in cursor.refusals_by(own=is_own)]
            for is_own in (False, True)
        )
        return Replay(
            walker_free=position,
            reads=self._reads.all(),
            moves=self._moves.all(),
            enters=self._enters.all(),
            uses=self._uses.all(),
            operand_moves=self._operand_moves.all(),
            aftermath=Aftermath(
                used=self._used,
                used_before=self._used_before,
                operand_moved=self._operand_moved,
                operand_used=self._operand_used,
                reads=self._last_reads,
                window_end=self._window_end if self._pace > 1 else -NEVER,
                moved=self._moved,
                entered=self._entered,
                group_entered=self._group_entered,
                stalls=tuple(stall for stall in self._stalls if stall[1] > position),
                starved=tuple(each for each in self._starved if each[1] > self._last_reads[-1]),
            ),
            refusals=refusals,
            own_refusals=own + self._own_refusals,
        )
