"""The load engine: its bursts on the read channel, and the words that come back."""

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.ports import Run, walk
from tilewright.sim.timing.transfer import Burst, Shape, TransferModel

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine

BUFFERED_BEATS = 2
"""Between the bus and the assembler."""


class Writes(NamedTuple):
    """When the words of a burst are written, as far as is known."""

    begin: int
    """When the assembler uses the first beat at the earliest."""
    runs: tuple[Run, ...]
    spacing: int

    def of(self, word: int) -> int:
        """Return when that word, counted from 1, is written; `begin` for 0."""
        for cycle, words in self.runs:
            if 0 < word <= words:
                return cycle + (word - 1) * self.spacing
            word -= words
        return self.begin

    def uses(self, shape: Shape) -> list[int]:
        """Return when the assembler uses the last beats, at most BUFFERED_BEATS + 1 of them.

        It uses a beat for a word when the word before it is written.
        """
        first = max(0, shape.beats - BUFFERED_BEATS - 1)
        if shape.word_beats > 1:
            places = (divmod(beat, shape.word_beats) for beat in range(first, shape.beats))
            return [self.of(word) + slot for word, slot in places]
        ends = (shape.first_words + beat * shape.beat_words for beat in range(first, shape.beats))
        return [self.of(min(end, shape.words) - 1) for end in ends]


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
        due = self._write(cycle)
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
        uses = self._uses + self._writes(burst, begin).uses(shape)
        last = max(first + shape.beats - 1, uses[-1 - BUFFERED_BEATS] + 1)
        decided = max(last, uses[-BUFFERED_BEATS])
        if burst.is_activation and decided > cycle:
            return decided
        channel.occupy(decided + 1)
        self._writing, self._is_used = (burst, begin), False
        self._continue(burst, cycle)
        return None

    def _continue(self, burst: Burst, cycle: int) -> None:
        """Decide the words of a burst as soon as it can be done."""
        if self._writing is not None and self._writing[0] is burst:
            due = self._write(cycle)
            if due is not None:
                self.machine.at(due, partial(self._continue, burst))

    def _write(self, cycle: int) -> int | None:
        """Decide the words of the burst that is written; return when to try again, if not yet."""
        if self._writing is None:
            return None
        burst, begin = self._writing
        writes = self._writes(burst, begin)
        uses, end = writes.uses(burst.shape), writes.of(burst.shape.words)
        if burst.is_activation and uses[-1] > cycle:
            return uses[-1]
        if not self._is_used:
            self._is_used = True
            self._free_assembler(uses[-1], cycle)
        if burst.is_activation and end > cycle:
            return end
        self._writing, self._written = None, end
        self._uses = (self._uses + uses)[-len(self._uses) :]
        occupation = self.machine.occupations[Engine.LOAD]
        occupation.busy.append((begin, end + 1))
        occupation.refused += end - (begin + burst.shape.word_beats * burst.shape.words)
        if burst.shape.ends:
            self.machine.retire(burst.number, end, cycle)
        return None

    def _writes(self, burst: Burst, begin: int) -> Writes:
        spacing = burst.shape.word_beats
        runs: list[Run] = []
        if not burst.is_activation:
            return Writes(begin, ((begin + spacing, burst.shape.words),), spacing)
        written = begin
        for bank, words in burst.banks(self.machine.activation_reads):
            claims = self.machine.vector.claims("writes", bank, begin)
            written = walk(claims, written + spacing, words, spacing, runs)
        return Writes(begin, tuple(runs), spacing)
