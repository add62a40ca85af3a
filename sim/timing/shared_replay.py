"""The vector engine where source reads and operand reads of one instruction share a bank.

Source reads come first, up to a dozen values ahead of the operand. What is ahead is known when a
value finds the pipeline standing for want of that operand, or itself has to be read again: so
operands are found then, not before.
"""

from collections import deque
from typing import Any

from tilewright.sim.timing.cursor import NEVER, Cursor
from tilewright.sim.timing.ports import FREE_BANK
from tilewright.sim.timing.replay import Pixel, StageReplay


class SharedReplay(StageReplay):
    """Finds an operand when the source reads up to its cycle are known.

    A source word is read again for a value that waits, unless the second stage has no operand.
    """

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
        """Those whose values have not reached the result register."""
        self._waiting: deque[tuple[Pixel, int]] = deque()
        """Those that have, and wait for their operands, and since when; two at most."""
        self._is_fetched = False
        """The next operand is found, of a value that is not in the pipeline."""
        self._starved = (0, 0)
        """The latest cycles in which the second stage had no operand and asked for one."""

    def _read(self, sources: Cursor, bank: int, *, is_end: bool) -> None:
        read = self._take_turn(sources, is_end=is_end)
        self._requests.append((bank, read, NEVER))
        self._enter_last()
        self._move(sources, read)
        self._requests[-1] = (bank, read, self._moved)
        self._is_entering = True

    def _move(self, sources: Cursor, read: int) -> None:
        cycle = sources.free(max(read, self._entered - 1))
        while cycle > read and self._requests[-1][0] != FREE_BANK:
            while cycle > self._operand_used and (self._waiting or self._pending):
                self._use_next()
            if cycle > self._operand_used and not self._is_fetched:
                assert self._pixel.operands is not None
                self._fetch(self._pixel, self._pixel.operands)
                self._is_fetched = True
            start, end = self._starved
            if not start <= cycle < end:
                break
            cycle = sources.free(end)
        self._moved = cycle + 1
        self._moves.append(self._moved)

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

    def _fetch(self, pixel: Pixel, operands: Cursor) -> None:
        if self._is_fetched:
            self._is_fetched = False
            return
        asked, used = self._operand_moved, self._operand_used
        super()._fetch(pixel, operands)
        self._starved = max(asked, used + 1), self._operand_moved + 1

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
