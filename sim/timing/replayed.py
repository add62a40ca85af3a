"""What a replay of a VECTOR instruction finds, and leaves behind for the next one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.sim.timing.cursor import NEVER, Cursor
from tilewright.sim.timing.ports import Claim, Interval
from tilewright.support.records import record


class Aftermath:
    """What one instruction leaves behind for the next one.

    used: when the last value in the result register was used up; used_before: the one before it.
    operand_moved, operand_used: when the last operand went to its register and was used up.
    reads: the last three source reads. window_end: the turn of the last window's last position,
    where that keeps the second stage's pace. moved, entered: when the last value read moved on from
    its port and entered the first stage's pipeline. group_entered: when the last value did that the
    next instruction's lane group shares a scale register with, where that can matter: of the group
    but one before it, or of one that has both. stalls: when the first stage's pipeline stood, as
    far as a successor meets that; starved: when the second stage had no operand and asked for one,
    likewise.
    """

    __slots__ = (
        "entered",
        "group_entered",
        "moved",
        "operand_moved",
        "operand_used",
        "reads",
        "stalls",
        "starved",
        "used",
        "used_before",
        "window_end",
    )

    def __init__(
        self,
        *,
        used: int = -1,
        used_before: int = -1,
        operand_moved: int = -1,
        operand_used: int = -1,
        reads: tuple[int, int, int] = (-1, -1, -1),
        window_end: int = -NEVER,
        moved: int = -1,
        entered: int = -1,
        group_entered: int = -1,
        stalls: tuple[Interval, ...] = (),
        starved: tuple[Interval, ...] = (),
    ) -> None:
        self.used, self.used_before = used, used_before
        self.operand_moved, self.operand_used = operand_moved, operand_used
        self.reads, self.window_end = reads, window_end
        self.moved, self.entered, self.group_entered = moved, entered, group_entered
        self.stalls, self.starved = stalls, starved

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aftermath) and self._values() == other._values()

    def _values(self) -> tuple[object, ...]:
        pipeline = (self.moved, self.entered, self.group_entered, self.stalls)
        operand = (self.operand_moved, self.operand_used, self.starved)
        return self.used, self.used_before, self.reads, self.window_end, pipeline, operand


@record(frozen=True, kw_only=True, eq=False)
class Replay:
    """The turns of one instruction."""

    walker_free: int
    reads: NDArray[np.int64]
    """When each source position was read."""
    moves: NDArray[np.int64]
    """When its value moved on from the port; it is read again until then."""
    enters: NDArray[np.int64]
    """When its value entered the pipeline."""
    uses: NDArray[np.int64]
    """When each pixel's value was used up."""
    operand_moves: NDArray[np.int64]
    """When each pixel's operand went to its register; it is read again until then."""
    aftermath: Aftermath
    refusals: list[Interval]
    """When others had a bank that it asked for."""
    own_refusals: list[Interval]
    """When its source reads had the bank of an operand."""


class Cycles:
    """A growing list of cycles, part of it in steps."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int64]] = []
        self._latest: list[int] = []

    def append(self, cycle: int) -> None:
        """Add one."""
        self._latest.append(cycle)

    def repeat(self, size: int, times: int, step: int) -> None:
        """Add the last `size` ones so many times, each time `step` later."""
        last = np.array(self._latest[-size:], np.int64)
        steps = step * np.arange(1, times + 1)
        self._parts.append(np.array(self._latest, np.int64))
        self._parts.append((steps[:, None] + last).reshape(-1))
        self._latest = []

    def all(self) -> NDArray[np.int64]:
        return np.concatenate([*self._parts, np.array(self._latest, np.int64)])


class Pixel(NamedTuple):
    """What the last value of a window meets."""

    entered: int
    """When that entered the pipeline."""
    bank: int
    """Of its operand."""
    operands: Cursor | None
    """That bank; None without second stage."""
    repeats: Sequence[Claim]
    """Who else takes it as long as the operand before is in use."""
