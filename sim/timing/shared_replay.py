"""The vector engine where source reads and operand reads of one instruction share a bank.

Source reads come first, up to a dozen values ahead of the operand. What is ahead is known when a
value finds the pipeline standing for want of that operand, or itself has to be read again: so
operands are found then, not before.
"""

from collections import deque
from typing import Any

from tilewright.sim.timing.cursor import NEVER, Cursor
from tilewright.sim.timing.replay import StageReplay
from tilewright.sim.timing.replayed import Pixel


class SharedReplay(StageReplay):
    """Finds an operand when the source reads up to its cycle are known."""

    _can_repeat = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._requests: deque[tuple[int, int, int]] = deque()
        """Bank, first cycle and end of the latest source reads."""
        self._is_entering = False
        """The last value read has not entered the pipeline."""
        self._ending: Pixel | None = None
        """It is the last one of that pixel's window."""
        self._pending: deque[Pixel] = deque()
        """Those whose values have not reached the results."""
        self._waiting: deque[tuple[Pixel, int]] = deque()
        """Those that have, and wait for their operands, and since when; two at most."""

    def _read(self, sources: Cursor, bank: int, *, is_end: bool) -> None:
        read = self._take_turn(sources, is_end=is_end)
        self._requests.append((bank, read, NEVER))
        self._enter_last()
        self._move(sources, read, bank)
        self._requests[-1] = (bank, read, self._moved)
        self._is_entering = True

    def _find_operands(self, cycle: int) -> None:
        while cycle > self._operand_used and (self._waiting or self._pending):
            self._use_next()
        super()._find_operands(cycle)

    def _meet(self, pixel: Pixel) -> None:
        self._ending = pixel

    def _enter_last(self) -> None:
        """The last value read enters the pipeline."""
        if not self._is_entering:
            return
        self._is_entering = False
        cycle, found = -1, self._moved + 1
        while cycle < found:
            cycle = found
            self._settle(cycle)
            found = max(cycle, self._scale_free())
        self._enter(cycle)
        if self._ending is not None:
            self._pending.append(self._ending._replace(entered=self._entered))
            self._ending = None

    def _settle(self, cycle: int) -> None:
        """Find when the pipeline stands, up to a cycle."""
        while self._pending and self._arrival(self._pending[0].entered) <= cycle:
            self._arrive_next()

    def _arrive_next(self) -> None:
        """The next value reaches the results, where there are two places."""
        if len(self._waiting) == 2:
            self._use_next()
        pixel = self._pending.popleft()
        used_before = self._used if self._waiting else self._used_before
        self._waiting.append((pixel, self._arrive(pixel.entered, used_before)))
        self._forget(min(self._position, pixel.entered))

    def _use_next(self) -> None:
        """Find the operand of the next value that is used."""
        if not self._waiting:
            self._arrive_next()
        self._use(*self._waiting.popleft())

    def _is_refused(self, pixel: Pixel, cycle: int) -> bool:
        while self._requests and self._requests[0][2] <= cycle:
            self._requests.popleft()
        is_used = cycle <= self._operand_used
        return super()._is_refused(pixel, cycle) or any(
            first == cycle or (is_used and first < cycle)
            for bank, first, _ in self._requests
            if bank == pixel.bank
        )

    def _forget(self, cycle: int) -> None:
        """Forget when the pipeline stood before a cycle."""
        while self._stalls_passed and self._stalls[0][1] <= cycle:
            del self._stalls[0]
            self._stalls_passed -= 1

    def _finish(self) -> None:
        self._enter_last()
        while self._waiting or self._pending:
            self._use_next()
