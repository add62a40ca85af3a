"""The load engine: its bursts on the read channel, and the words that come back."""

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.ports import walk
from tilewright.sim.timing.transfer import Burst, TransferModel

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine


class LoadModel(TransferModel):
    """Addresses, behind those of fetch; beats; words, behind the writes of the vector engine."""

    engine = Engine.LOAD

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._capacity = machine.config.axi_outstanding - 1
        self._places: deque[int | None] = deque()
        """When the latest bursts go to the assembler, None where that is not known yet."""
        self._num_placed = 0
        self._num_settled = 0
        self._previous_end = -1
        """When the last beat of the latest settled burst is used."""

    def earliest(self, burst: Burst, cycle: int) -> int | None:
        """As TransferModel: the burst has a place, and fetch offers no address."""
        if len(self._places) >= self._capacity:
            place = self._places[-self._capacity]
            if place is None:
                return None
            if place >= cycle:
                return place + 1
        is_refused = burst.shape.beats and self.machine.channel.fetch_cycle == cycle
        return cycle + 1 if is_refused else cycle

    def send(self, burst: Burst, cycle: int) -> None:
        """As TransferModel."""
        if len(self._places) >= self._capacity:
            self._places.popleft()
        self._places.append(None)
        self.machine.channel.add(partial(self._settle, burst, cycle), cycle)

    def _settle(self, burst: Burst, sent: int, cycle: int) -> int | None:
        """Decide beats and words of a burst; those before it are decided."""
        place = max(sent + 1, self._previous_end)
        if self._num_placed == self._num_settled:
            self._num_placed += 1
            self._places[self._places.index(None)] = place
            self.wake(cycle)
        end = place + 1
        if burst.shape.beats:
            channel = self.machine.channel
            first = channel.first_beat(sent)
            begin = max(first, self._previous_end, place) + 1
            end = self._last_write(burst, begin, cycle) - 1
            if burst.is_activation and end > cycle:
                return end
            second_last, third_last = _beats_used(burst, end, self._previous_end)
            last = max(first + burst.shape.beats - 1, third_last + 1)
            channel.occupy(max(last, second_last) + 1)
            occupation = self.machine.occupations[Engine.LOAD]
            occupation.busy.append((begin, end + 2))
            occupation.refused += end + 1 - (begin + burst.shape.word_beats * burst.shape.words)
        self._previous_end = end
        self._num_settled += 1
        if burst.shape.ends:
            self.machine.retire(burst.number, end + 1, cycle)
        return None

    def _last_write(self, burst: Burst, begin: int, cycle: int) -> int:
        """Return when the last word is written, as far as is known in `cycle`."""
        spacing = burst.shape.word_beats
        unrefused = begin + spacing * burst.shape.words
        if not burst.is_activation:
            return unrefused
        vector = self.machine.vector
        written = begin
        for bank, words in burst.banks(self.machine.activation_reads):
            claims = vector.claims("writes", bank, begin)
            written = walk(claims, written + spacing, words, spacing)
        return written


def _beats_used(burst: Burst, end: int, before: int) -> tuple[int, int]:
    """Return when the last beat but one and the one before that are used.

    end, before: when the last beat of this burst, and of the one before it, are used.
    """
    if burst.shape.beats == 1:
        return before, before - 1
    if burst.shape.beat_words == 1:
        return end - 1, (end - 2 if burst.shape.beats > 2 else before)
    last_words = (
        burst.shape.words - burst.shape.first_words
    ) % burst.shape.beat_words or burst.shape.beat_words
    last_used = end - last_words
    return last_used, (last_used - burst.shape.beat_words if burst.shape.beats > 2 else before)
