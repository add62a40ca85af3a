"""The load engine: its bursts on the read channel, and the words that come back."""

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tilewright.hw.spec.cycles import VECTOR_PIPELINE_CYCLES
from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.ports import Run, walk
from tilewright.sim.timing.transfer import BUFFERED_BEATS, Burst, TransferModel

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine


KNOWN_AHEAD = VECTOR_PIPELINE_CYCLES
"""Cycles from the present one on whose writes of the vector engine are known: the first one of an
instruction that is accepted now comes later, and so does what a refusal of now changes."""


class Words(NamedTuple):
    """When the words of a burst are written, as far as is known."""

    burst: Burst
    begin: int
    """When the assembler uses the first beat at the earliest."""
    uses: list[int]
    """When it uses the last beats."""
    end: int
    """When the last word is written."""


class LoadModel(TransferModel):
    """Addresses, behind those of fetch; beats; words, behind the writes of the vector engine."""

    engine = Engine.LOAD

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._capacity = machine.config.axi_outstanding - 1
        self._places: deque[int] = deque(maxlen=self._capacity)
        """When the latest bursts went to the assembler."""
        self._unplaced: deque[int] = deque()
        """When the addresses of those were sent that have yet to."""
        self._assembler_free: int | None = -1
        """When the assembler can take the next burst; None where that is not known yet."""
        self._uses = [-1] * (BUFFERED_BEATS + 1)
        """Of the latest beats."""
        self._written = -1
        """When the last word was written."""
        self._writing: tuple[Burst, int] | None = None
        """A burst whose beats are on their way, and its `begin`."""
        self._is_used = False
        """All its beats are."""
        self._occupation = machine.occupations[Engine.LOAD]

    def earliest(self, burst: Burst, cycle: int) -> int | None:
        """As TransferModel: the burst has a place, and fetch offers no address."""
        needed = self._capacity - len(self._unplaced)
        if needed <= 0:
            return None
        if len(self._places) >= needed and self._places[-needed] >= cycle:
            return self._places[-needed] + 1
        is_refused = burst.shape.beats and self.machine.channel.fetch_cycle == cycle
        return cycle + 1 if is_refused else cycle

    def send(self, burst: Burst, cycle: int) -> None:
        """As TransferModel."""
        self._unplaced.append(cycle)
        self._place_next(cycle)
        self.machine.channel.add(partial(self._settle, burst, cycle), cycle)

    def _place_next(self, cycle: int) -> None:
        """The next burst goes to the assembler, if it is known when that is free."""
        if self._unplaced and self._assembler_free is not None:
            self._places.append(max(self._unplaced.popleft() + 1, self._assembler_free))
            self._assembler_free = None
            self.wake(cycle)

    def _free_assembler(self, free: int, cycle: int) -> None:
        self._assembler_free = free
        self._place_next(cycle)

    def _settle(self, burst: Burst, sent: int, cycle: int) -> int | None:
        """Decide the beats of a burst; the words of those before it are decided first."""
        due = self._finish(cycle)
        if due is not None:
            return due
        place = self._places[-1]
        shape, channel = burst.shape, self.machine.channel
        if not shape.beats:
            self._written = max(place + 1, self._written) + 1
            self._free_assembler(self._written - 1, cycle)
            self.machine.retire(burst.number, self._written, cycle)
            return None
        first = channel.first_beat(sent)
        begin = max(first + 1, place + 1, self._written)
        words = self._words(burst, begin)
        uses = self._uses + words.uses
        last = max(first + shape.beats - 1, uses[-1 - BUFFERED_BEATS] + 1)
        decided = max(last, uses[-BUFFERED_BEATS])
        if burst.is_activation and decided > cycle:
            return decided  # then, mostly, the last words are known as well
        channel.occupy(decided + 1)
        self._is_used = False
        due = self._write(words, cycle)
        if due is not None:
            self._writing = burst, begin
            self.machine.at(due, partial(self._continue, burst))
        return None

    def _continue(self, burst: Burst, cycle: int) -> None:
        """Decide the words of a burst as soon as it can be done."""
        if self._writing is not None and self._writing[0] is burst:
            due = self._finish(cycle)
            if due is not None:
                self.machine.at(due, partial(self._continue, burst))

    def _finish(self, cycle: int) -> int | None:
        """Decide the words of the burst that is written; return when to try again, if not yet."""
        if self._writing is None:
            return None
        due = self._write(self._words(*self._writing), cycle)
        if due is None:
            self._writing = None
        return due

    def _write(self, words: Words, cycle: int) -> int | None:
        """As `_finish`, by what is known now of the words."""
        burst = words.burst
        if not self._is_used:
            if burst.is_activation and words.uses[-1] > cycle + KNOWN_AHEAD:
                return words.uses[-1] - KNOWN_AHEAD
            self._is_used = True
            self._free_assembler(words.uses[-1], cycle)
        if burst.is_activation and words.end > cycle + KNOWN_AHEAD:
            return words.end - KNOWN_AHEAD
        self._written = words.end
        self._uses = (self._uses + words.uses)[-len(self._uses) :]
        self._occupation.busy.append((words.begin, words.end + 1))
        self._occupation.refused += words.end - words.begin - burst.shape.cycles
        if burst.shape.ends:
            self.machine.retire(burst.number, words.end, cycle)
        return None

    def _words(self, burst: Burst, begin: int) -> Words:
        """Return when the words of a burst are written, as far as is known."""
        shape = burst.shape
        if not burst.is_activation or not self.machine.vector.may_write(begin):
            uses = [begin + unrefused for _, _, unrefused in shape.last_uses]
            return Words(burst, begin, uses, begin + shape.cycles)
        runs: list[Run] = []
        written, spacing = begin, shape.word_beats
        for bank, words in burst.banks(self.machine.activation_reads):
            claims = self.machine.vector.claims("writes", bank, begin)
            written = walk(claims, written + spacing, words, spacing, runs)
        uses = [
            (_write_of(word, runs, spacing) if word else begin) + slot
            for word, slot, _ in shape.last_uses
        ]
        return Words(burst, begin, uses, written)


def _write_of(word: int, runs: list[Run], spacing: int) -> int:
    """Return when a word, counted from 1, is written; runs: of words without refusals between."""
    for cycle, words in runs:
        if word <= words:
            return cycle + (word - 1) * spacing
        word -= words
    raise AssertionError(f"{word} words too many")
