"""The load engine: its bursts on the read channel, and the words that come back."""

from collections import deque

from tilewright.hw.spec.cycles import vector_pipeline
from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.bursts import BUFFERED_BEATS, Shape
from tilewright.sim.timing.ports import Run, walk
from tilewright.sim.timing.simulation import Actor, Simulation
from tilewright.sim.timing.transfer import Transfer, TransferModel, room

ENGINE_NAME = Engine.LOAD.name


class _Sent(Actor):
    """A burst whose address was taken in cycle `sent`."""

    def __init__(self, model: "LoadModel", transfer: Transfer, shape: Shape, sent: int) -> None:
        self._model, self._transfer, self._shape, self._sent = model, transfer, shape, sent

    def act(self, cycle: int) -> int | None:
        """As Actor: the read channel's transfers before it are decided."""
        return self._model.settle(self._transfer, self._shape, self._sent, cycle)


class Writing(Actor):
    """A burst whose beats are on their way; the assembler uses the first from `begin` on."""

    def __init__(self, model: "LoadModel", transfer: Transfer, shape: Shape, begin: int) -> None:
        self._model, self.transfer, self.shape, self.begin = model, transfer, shape, begin

    def act(self, cycle: int) -> int | None:
        """As Actor: its words may be decided."""
        return self._model.proceed(self, cycle)


class LoadModel(TransferModel):
    """Addresses, behind those of fetch; beats; words, behind the writes of the vector engine."""

    engine = Engine.LOAD

    def __init__(self, machine: Simulation) -> None:
        super().__init__(machine)
        self._channel = machine.channel
        self._known_ahead = vector_pipeline(machine.config)
        """Cycles from the present one on whose writes of the vector engine are known: the first one
        of an instruction that is accepted now comes later, and so does what a refusal of now
        changes."""
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
        self._writing: Writing | None = None
        self._is_used = False
        """All its beats are."""
        self._occupation = machine.occupations[Engine.LOAD]

    def place(self, shape: Shape, cycle: int) -> int | None:
        """As TransferModel."""
        return room(self._places, self._capacity - len(self._unplaced), cycle)

    def is_refused(self, shape: Shape, cycle: int) -> bool:
        """As TransferModel: fetch offers an address."""
        return self._channel.fetch_cycle == cycle and shape.beats > 0

    def send(self, transfer: Transfer, shape: Shape, cycle: int) -> None:
        """As TransferModel."""
        self._unplaced.append(cycle)
        if self._assembler_free is not None:
            self._place_next(self._assembler_free, cycle)
        self._channel.add(_Sent(self, transfer, shape, cycle), cycle)

    def _place_next(self, free: int, cycle: int) -> None:
        """The next burst goes to the assembler, which is free from cycle `free` on."""
        if self._unplaced:
            self._places.append(max(self._unplaced.popleft() + 1, free))
            self._assembler_free = None
            self.wake(cycle)
        else:
            self._assembler_free = free

    def settle(self, transfer: Transfer, shape: Shape, sent: int, cycle: int) -> int | None:
        """Decide the beats of a burst; the words of those before it are decided first."""
        if self._writing is not None:
            due = self._finish(cycle)
            if due is not None:
                return due
        place = self._places[-1]
        if not shape.beats:
            self._written = max(place + 1, self._written) + 1
            self._place_next(self._written - 1, cycle)
            self._retire(transfer, self._written, cycle)
            return None
        first = self._channel.first_beat(sent)
        last = first + shape.beats - 1
        begin = max(max(first, place), self._written - 1) + 1
        uses, end = self._unrefused(shape, begin)
        decided = max(max(last, uses[0] + 1), uses[1])
        if transfer.is_activation and decided <= cycle:
            uses, end = self._words(transfer, shape, begin)
            decided = max(max(last, uses[0] + 1), uses[1])
        if transfer.is_activation and decided > cycle:
            return decided  # then, mostly, the last words are known as well
        self._channel.occupy(first, decided + 1, ENGINE_NAME, transfer.number)
        self._is_used = False
        due = self._write(transfer, shape, begin, uses, end, cycle)
        if due is not None:
            self._writing = Writing(self, transfer, shape, begin)
            self.machine.at(due, self._writing)
        return None

    def proceed(self, writing: Writing, cycle: int) -> int | None:
        """Decide the words of a burst as soon as it can be done."""
        return self._finish(cycle) if self._writing is writing else None

    def _finish(self, cycle: int) -> int | None:
        """Decide the words of the burst that is written; return when to try again, if not yet."""
        writing = self._writing
        assert writing is not None
        transfer, shape, begin = writing.transfer, writing.shape, writing.begin
        uses, end = self._words(transfer, shape, begin)
        due = self._write(transfer, shape, begin, uses, end, cycle)
        if due is None:
            self._writing = None
        return due

    def _write(
        self,
        transfer: Transfer,
        shape: Shape,
        begin: int,
        uses: list[int],
        end: int,
        cycle: int,
    ) -> int | None:
        """As `_finish`, by what `_words` knows now."""
        if not self._is_used:
            if transfer.is_activation and uses[-1] > cycle + self._known_ahead:
                return uses[-1] - self._known_ahead
            self._is_used = True
            self._place_next(uses[-1], cycle)
        if transfer.is_activation and end > cycle + self._known_ahead:
            return end - self._known_ahead
        self._written = end
        self._uses = uses
        self._occupation.occupy(begin, end + 1)
        refused = end - begin - shape.cycles
        if refused:
            self._occupation.refused[transfer.number] += refused
        self._note(transfer, shape, begin + 1, end + 1, "write")
        if shape.ends:
            self._retire(transfer, end, cycle)
        return None

    def _words(self, transfer: Transfer, shape: Shape, begin: int) -> tuple[list[int], int]:
        """Return when the last beats of a burst are used and when its last word is written, as far
        as is known; the assembler uses the first beat from `begin` on.
        """
        if not transfer.is_activation or not self.machine.vector.may_write(begin):
            return self._unrefused(shape, begin)
        runs: list[Run] = []
        end, spacing = begin, shape.word_beats
        for bank, words in transfer.banks(shape, self.machine.activation_reads):
            claims = self.machine.vector.claims("writes", bank, begin)
            end = walk(claims, end + spacing, words, spacing, runs)
        uses = [
            (_write_of(word, runs, spacing) if word else begin) + slot
            for word, slot, _ in shape.last_uses
        ]
        return self._behind_earlier(uses), end

    def _unrefused(self, shape: Shape, begin: int) -> tuple[list[int], int]:
        """As `_words`, if no word is refused: at the earliest."""
        uses = [begin + unrefused for _, _, unrefused in shape.last_uses]
        if len(uses) <= BUFFERED_BEATS:
            uses = self._behind_earlier(uses)
        return uses, begin + shape.cycles

    def _behind_earlier(self, uses: list[int]) -> list[int]:
        """Return the uses of the last beats where a burst has fewer of them."""
        return (self._uses + uses)[-len(self._uses) :]


def _write_of(word: int, runs: list[Run], spacing: int) -> int:
    """Return when a word, counted from 1, is written; runs: of words without refusals between."""
    for cycle, words in runs:
        if word <= words:
            return cycle + (word - 1) * spacing
        word -= words
    raise AssertionError(f"{word} words too many")
