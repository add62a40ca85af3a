"""The second stage of the vector engine where reads of its two sources are refused.

A source read passes two registers and the pipeline of the first stage, whose stages move together,
to the result register. There it meets its operand, which was read ahead into a register of its own,
and both are used for `pace` cycles. A read whose data is not taken at once is repeated.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.sim.timing.ports import BankTimeline

if TYPE_CHECKING:
    from tilewright.sim.timing.vector_ports import Segment

POSITION_CYCLES = 2
"""From a position's turn to its read, which is of the position two before at that turn."""
FRONT_CYCLES = 3
"""From a source read to the first stage of the pipeline."""


@dataclass(frozen=True, kw_only=True)
class SecondStage:
    """What one instruction leaves behind for the next one."""

    used: int = -1
    """When the last pair was used up."""
    operand_moved: int = -1
    """When the last operand went to its register."""
    reads: tuple[int, int] = (-1, -1)
    """The last two source reads."""
    moved: int = -1
    """When the last value read moved on from its port."""
    entered: int = -1
    """When it entered the first stage's pipeline."""
    stalls: tuple[tuple[int, int], ...] = ()
    """Intervals in which the first stage's pipeline stood, as far as a successor meets them."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The turns of one instruction."""

    walker_free: int
    reads: tuple[int, ...]
    """When each source position was read."""
    uses: tuple[int, ...]
    """When each pixel's pair was used up."""
    state: SecondStage


class Cursor:
    """Free cycles of one bank, asked for in rising order."""

    def __init__(self, timeline: BankTimeline, bank: int, cycle: int) -> None:
        self._starts, self._ends = timeline.intervals(bank)
        self._place = bisect_right(self._ends, cycle)

    def free(self, cycle: int) -> int:
        """Return the first cycle from `cycle` on in which the bank is free."""
        starts, ends = self._starts, self._ends
        while self._place < len(ends):
            if ends[self._place] <= cycle:
                self._place += 1
            elif starts[self._place] <= cycle:
                cycle = ends[self._place]
            else:
                break
        return cycle


class CombineReplay:
    """Follows the positions of an instruction, one by one."""

    def __init__(self, *, pace: int, depth: int, window: int, before: SecondStage) -> None:
        self._pace, self._depth, self._window = pace, depth, window
        self._used, self._moved = before.used, before.operand_moved
        self._stalls = list(before.stalls)
        self._stalls_passed = 0
        self._entered = before.entered
        self._before = before
        self._reads: list[int] = []
        self._uses: list[int] = []

    def run(
        self,
        plan: Sequence["Segment"],
        source: BankTimeline,
        operand: BankTimeline,
        *,
        first_position: int,
        first_operand: int,
    ) -> Replay:
        """Return when everything happens; the first position and operand at the earliest."""
        position, window_end = first_position - 1, first_position - self._pace
        reads, moved = self._reads, self._before.moved
        read_before, last_read = self._before.reads
        self._moved = max(self._moved, first_operand)
        for segment in plan:
            sources = Cursor(source, segment.source_bank, first_position)
            operands = Cursor(operand, segment.operand_bank, first_position)
            for _ in range(segment.turns):
                position = max(position + 1, read_before)
                is_end = (len(reads) + 1) % self._window == 0
                if is_end:
                    window_end = position = max(position, window_end + self._pace)
                read = sources.free(max(position + POSITION_CYCLES, last_read + 1, moved))
                moved = sources.free(max(read, self._entered - 1)) + 1
                self._enter(moved + 1)
                reads.append(read)
                read_before, last_read = last_read, read
                if is_end:
                    self._meet(operands)
        return Replay(
            walker_free=position,
            reads=tuple(reads),
            uses=tuple(self._uses),
            state=SecondStage(
                used=self._used,
                operand_moved=self._moved,
                reads=(read_before, last_read),
                moved=moved,
                entered=self._entered,
                stalls=tuple(stall for stall in self._stalls if stall[1] > position),
            ),
        )

    def _enter(self, cycle: int) -> None:
        """A value enters the pipeline, which must not stand."""
        stalls = self._stalls
        while self._stalls_passed < len(stalls) and stalls[self._stalls_passed][1] <= cycle:
            self._stalls_passed += 1
        if self._stalls_passed < len(stalls) and stalls[self._stalls_passed][0] <= cycle:
            cycle = stalls[self._stalls_passed][1]
            self._stalls_passed += 1
        self._entered = cycle

    def _meet(self, operands: Cursor) -> None:
        """The value that entered last reaches the result register and meets its operand."""
        arrival = self._entered + self._depth
        for start, end in self._stalls[self._stalls_passed :]:
            if start < arrival:
                arrival += end - start
        leaves = max(arrival, self._used)
        if leaves > arrival:
            self._stalls.append((arrival, leaves))
        read = operands.free(self._moved)
        self._moved = operands.free(max(read, self._used - 1)) + 1
        self._used = max(self._used, leaves, self._moved) + self._pace
        self._uses.append(self._used)
