"""When the banks of an SRAM are taken by ports of higher priority."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import SRAM_MODULUS, Walk, addresses, bank_words, num_words, span

FREE_BANK = -1
"""In place of a bank: a turn that needs no port, for example a window position in the padding."""

MAX_KEPT = 1 << 10
"""Intervals of a bank that are kept though they are over."""

Run = tuple[int, int]
"""Cycle of the first of so many turns, equally spaced."""

Interval = tuple[int, int]
"""Cycles [start, end)."""

Taken = tuple[int, list[int], list[int]]
"""A bank, starts and ends of the cycles in which it is taken."""


def step_banks(walk: Walk, config: Config) -> NDArray[np.int64]:
    """Return the bank of every step of a walk, in order; FREE_BANK where it takes no port."""
    whole = walk.whole_words
    words, inside = addresses(whole)
    taken = inside & (words < num_words(walk.space, config))
    banks = np.where(taken, words // bank_words(walk.space, config), FREE_BANK)
    for axis, loop in enumerate(walk.loops):
        if whole is not walk and (loop.first or loop.every > 1):
            banks = banks.take((loop.first + np.arange(loop.count)) // loop.every, axis)
    return np.asarray(banks.reshape(-1))


def bank_range(walk: Walk, config: Config) -> range:
    """Return the banks between those of the lowest and the highest word of a walk."""
    words = span(walk)
    if words is None or words[1] >= num_words(walk.space, config):
        return range(num_words(walk.space, config) // bank_words(walk.space, config))
    first, last = (word // bank_words(walk.space, config) for word in words)
    return range(first, last + 1)


class BankFinder:
    """Finds the bank of all steps of a walk, wherever that begins."""

    def __init__(self, walk: Walk, config: Config) -> None:
        words = span(walk)
        self._is_inside = words is not None
        """No step takes no port."""
        self._first, self._last = (0, 0) if words is None else words
        self._first -= walk.base
        self._last -= walk.base
        self._words = num_words(walk.space, config)
        self._bank_words = bank_words(walk.space, config)

    def bank(self, base: int) -> int | None:
        """Return the bank; None if a step takes no port or another bank.

        base: the walk's first word.
        """
        last = base + self._last
        if not self._is_inside or last >= self._words:
            return None
        bank = (base + self._first) // self._bank_words
        return bank if bank == last // self._bank_words else None


class BankTimeline:
    """The cycles in which each bank's port is taken, as disjoint intervals in the order of time.

    Of an SRAM of `words` words in `banks` banks.
    """

    def __init__(self, words: int, banks: int) -> None:
        self.bank_words = words // banks
        self._starts: list[list[int]] = [[] for _ in range(banks)]
        self._ends: list[list[int]] = [[] for _ in range(banks)]

    def bank_of(self, first: int, last: int) -> int | None:
        """Return the bank of both words and of all between; None if they are not in one.

        The addresses count on beyond the modulus.
        """
        wrapped = first // SRAM_MODULUS * SRAM_MODULUS
        bank = (first - wrapped) // self.bank_words
        return bank if (last - wrapped) // self.bank_words == bank else None

    def banks(self, address: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield bank and number of words, in order, of `count` consecutive words."""
        bank = self.bank_of(address, address + count - 1)
        if bank is not None:
            yield bank, count
            return
        while count > 0:
            address %= SRAM_MODULUS
            bank = address // self.bank_words
            words = min(count, (bank + 1) * self.bank_words - address, SRAM_MODULUS - address)
            yield bank, words
            address, count = address + words, count - words

    def occupy(self, address: int, count: int, start: int) -> None:
        """Take `count` consecutive words, one a cycle from `start` on; later than all before."""
        for bank, words in self.banks(address, count):
            self.occupy_bank(bank, start, start + words)
            start += words

    def occupy_bank(self, bank: int, start: int, end: int) -> None:
        """Take a bank in the cycles [start, end); nothing, where there is no such bank."""
        if bank >= len(self._ends):
            return
        ends = self._ends[bank]
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            self._starts[bank].append(start)
            ends.append(end)

    def occupy_all(self, bank: int, starts: list[int], ends: list[int]) -> None:
        """Take a bank in intervals that are disjoint, not adjacent and in the order of time."""
        if bank >= len(self._ends):
            return
        taken = 0
        before = self._ends[bank]
        while before and taken < len(starts) and starts[taken] <= before[-1]:
            before[-1] = max(before[-1], ends[taken])
            taken += 1
        self._starts[bank] += starts[taken:]
        before += ends[taken:]

    def occupy_union(
        self, banks: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        """Take each bank in the cycles [start, end), which may overlap; FREE_BANK is none."""
        for bank in np.unique(banks).tolist():
            if bank == FREE_BANK:
                continue
            of_bank = np.flatnonzero(banks == bank)
            order = of_bank[np.argsort(starts[of_bank], kind="stable")]
            begins, behind = starts[order], np.maximum.accumulate(ends[order])
            is_first = np.append(True, begins[1:] > behind[:-1])
            is_last = np.append(is_first[1:], True)
            self.occupy_all(bank, begins[is_first].tolist(), behind[is_last].tolist())

    def forget(self, cycle: int) -> None:
        """Forget, where that is much, in which cycles before that one a bank is taken."""
        for starts, ends in zip(self._starts, self._ends, strict=True):
            if len(ends) > MAX_KEPT and ends[MAX_KEPT] <= cycle:
                place = bisect_right(ends, cycle)
                del starts[:place], ends[:place]

    def taken(self) -> list[Taken]:
        """Return the banks that are taken in any cycle."""
        banks = enumerate(zip(self._starts, self._ends, strict=True))
        return [(bank, starts, ends) for bank, (starts, ends) in banks if starts]

    def occupy_as(self, pattern: Sequence[Taken], start: int) -> None:
        """Take what the pattern takes, its cycle 0 in `start`."""
        for bank, starts, ends in pattern:
            if len(starts) == 1:
                self.occupy_bank(bank, start + starts[0], start + ends[0])
            else:
                self.occupy_all(
                    bank, [start + cycle for cycle in starts], [start + cycle for cycle in ends]
                )

    def like(self) -> "BankTimeline":
        """Return an empty timeline of the same banks."""
        return BankTimeline(self.bank_words * len(self._ends), len(self._ends))

    def blocked(self, bank: int, cycle: int) -> tuple[int, int] | None:
        """Return the first interval that ends behind `cycle`, None if there is none."""
        if not 0 <= bank < len(self._ends):
            return None
        place = bisect_right(self._ends[bank], cycle)
        if place == len(self._ends[bank]):
            return None
        return self._starts[bank][place], self._ends[bank][place]

    def free(self, bank: int, cycle: int) -> int:
        """Return the first cycle from `cycle` on in which a bank is free."""
        interval = self.blocked(bank, cycle)
        while interval is not None and interval[0] <= cycle:
            cycle = interval[1]
            interval = self.blocked(bank, cycle)
        return cycle

    def first_taken(self, turns: NDArray[np.int64], banks: Iterable[int], cycle: int) -> int:
        """Return the number of the first turn whose bank is taken, or how many turns there are.

        turns: the bank that each needs, one turn a cycle from `cycle` on; banks: those in it, or
        more of them.
        """
        found = len(turns)
        for bank in banks:
            starts, ends = self.intervals(bank)
            place = bisect_right(ends, cycle)
            while place < len(starts) and starts[place] < cycle + found:
                begin, end = max(starts[place] - cycle, 0), ends[place] - cycle
                met = np.flatnonzero(turns[begin : min(end, found)] == bank)
                if met.size:
                    found = begin + int(met[0])
                    break
                place += 1
        return found

    def intervals(self, bank: int) -> tuple[list[int], list[int]]:
        """Return starts and ends of the cycles in which a bank is taken."""
        if not 0 <= bank < len(self._ends):
            return [], []
        return self._starts[bank], self._ends[bank]

    def within(self, bank: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield when a bank is taken in the cycles [start, end), as intervals."""
        starts, ends = self.intervals(bank)
        place = bisect_right(ends, start)
        while place < len(starts) and starts[place] < end:
            yield max(starts[place], start), min(ends[place], end)
            place += 1

    def is_taken(self, bank: int, start: int, end: int) -> bool:
        """Tell whether a bank is taken in any of the cycles [start, end)."""
        interval = self.blocked(bank, start)
        return interval is not None and interval[0] < end

    def is_free(self, start: int, end: int) -> bool:
        """Tell whether no bank is taken in the cycles [start, end)."""
        return not any(self.is_taken(bank, start, end) for bank in range(len(self._ends)))


Claim = tuple[BankTimeline, int]
"""A bank that a turn needs."""


def is_any_taken(claims: Sequence[Claim], cycle: int) -> bool:
    """Tell whether any bank is taken in a cycle."""
    return any(timeline.is_taken(bank, cycle, cycle + 1) for timeline, bank in claims)


def union(claims: Sequence[Claim], cycle: int) -> tuple[list[int], list[int]]:
    """Return starts and ends of the cycles in which any bank is taken, those behind `cycle`."""
    found: list[tuple[int, int]] = []
    for timeline, bank in claims:
        starts, ends = timeline.intervals(bank)
        place = bisect_right(ends, cycle)
        found += zip(starts[place:], ends[place:], strict=True)
    merged = BankTimeline(1, 1)
    for start, end in sorted(found):
        merged.occupy_bank(0, start, end)
    return merged.intervals(0)


def covered(intervals: Iterable[Interval]) -> int:
    """Return how many cycles lie in any of the intervals."""
    total, behind = 0, 0
    for start, end in sorted(intervals):
        total += max(end - max(start, behind), 0)
        behind = max(behind, end)
    return total


def walk(
    claims: Sequence[Claim], first: int, turns: int, spacing: int, runs: list[Run] | None = None
) -> int:
    """Return the cycle of the last of `turns` turns, at least `spacing` cycles apart.

    The first one is in cycle `first` at the earliest; each takes a cycle in which every claimed
    bank is free. Appends the runs of turns without refusals to `runs`.
    """
    cycle = first
    while True:
        limit = None
        for timeline, bank in claims:
            interval = timeline.blocked(bank, cycle)
            if interval is None:
                continue
            if interval[0] <= cycle:
                cycle, limit = interval[1], -1
                break
            limit = interval[0] if limit is None else min(limit, interval[0])
        if limit == -1:
            continue
        fitting = turns if limit is None else min(turns, -(-(limit - cycle) // spacing))
        if runs is not None:
            runs.append((cycle, fitting))
        turns -= fitting
        cycle += fitting * spacing
        if not turns:
            return cycle - spacing


def cycles_of(turns: NDArray[np.int64], runs: Sequence[Run], spacing: int) -> NDArray[np.int64]:
    """Return the cycles of turns, given by number in rising order, that runs are made of.

    spacing: cycles from turn to turn of a run.
    """
    if len(runs) == 1:
        return runs[0][0] + spacing * turns
    starts, counts = np.array(runs).T
    behind = np.cumsum(counts)
    run = behind.searchsorted(turns, side="right")
    cycles: NDArray[np.int64] = starts[run] + spacing * (turns - (behind - counts)[run])
    return cycles
