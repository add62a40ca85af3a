"""The store engine: words of activation SRAM to write bursts and their responses."""

from collections import deque

from tilewright.hw.spec.cycles import (
    EMPTY_STORE_LATENCY,
    STORE_READ_AHEAD_BURSTS,
    store_read_cycles,
    store_taking_cycles,
)
from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.activity import DRAM
from tilewright.sim.timing.bursts import Shape
from tilewright.sim.timing.bus import InOrder
from tilewright.sim.timing.ports import walk
from tilewright.sim.timing.simulation import Actor, Simulation
from tilewright.sim.timing.transfer import Transfer, TransferModel, room


class _Sent(Actor):
    """A burst whose address was taken in cycle `sent`."""

    def __init__(self, model: "StoreModel", transfer: Transfer, shape: Shape, sent: int) -> None:
        self._model, self._transfer, self._shape, self._sent = model, transfer, shape, sent

    def act(self, cycle: int) -> int | None:
        """As Actor: those before it are decided."""
        return self._model.settle(self._transfer, self._shape, self._sent, cycle)


class StoreModel(TransferModel):
    """Addresses run a few bursts ahead of the words; a place is free with the response."""

    engine = Engine.STORE

    def __init__(self, machine: Simulation) -> None:
        super().__init__(machine)
        self._capacity = machine.config.axi_outstanding
        self._occupation = machine.occupations[Engine.STORE]
        self._data = InOrder(machine)
        self._unsettled = 0
        self._unread = 0
        """Bursts in front of the reader."""
        self._taken: int | None = None
        """When the first unsettled burst went to the reader."""
        self._responses: deque[int] = deque(maxlen=self._capacity)
        self._readings: deque[int] = deque(maxlen=STORE_READ_AHEAD_BURSTS)
        """When the latest bursts went to the reader."""
        self._taking = store_taking_cycles(machine.config)
        self._to_beat = store_read_cycles(machine.config)
        self._buffered = self._to_beat + 1
        """Words between the grant and the beats."""
        self._place_free = -1
        """When the place of the last burst that went to the reader falls free; so may the next."""
        self._granted = -1
        self._beat = -1
        self._response = -1

    def place(self, shape: Shape, cycle: int) -> int | None:
        """As TransferModel: room for its response and in front of the reader."""
        due: int | None = cycle
        if shape.beats:
            due = room(self._readings, STORE_READ_AHEAD_BURSTS - self._unread, cycle)
        return None if due is None else room(self._responses, self._capacity - self._unsettled, due)

    def send(self, transfer: Transfer, shape: Shape, cycle: int) -> None:
        """As TransferModel."""
        self._unsettled += 1
        self._unread += shape.beats > 0
        self._data.add(_Sent(self, transfer, shape, cycle), cycle)

    def settle(self, transfer: Transfer, shape: Shape, sent: int, cycle: int) -> int | None:
        """Decide words, beats and response of a burst; those before it are decided."""
        if not shape.beats:
            self._response = max(sent + EMPTY_STORE_LATENCY - 2, self._response + 1)
        else:
            if self._taken is None:
                taken = max(sent + 1, self._granted, self._place_free + 1)
                self._taken = taken
                self._place_free = taken + self._taking - 1
                self._readings.append(self._place_free)
                self._unread -= 1
                self.wake(cycle)
            taken = self._taken
            if taken + shape.words > cycle:
                return taken + shape.words
            granted, beat = self._move_words(transfer, shape, taken)
            if granted > cycle:
                return granted
            self._granted, self._beat, self._taken = granted, beat, None
            occupation = self._occupation
            occupation.occupy(taken + 1, granted + 1)
            occupation.occupy(beat - shape.beats + 1, beat + 1)
            self._note(transfer, shape, taken + 1, granted + 1, "read")
            if self.machine.trace is not None:
                beats = [(beat - shape.beats + 1, beat + 1)]
                self.machine.trace.note(DRAM, "write", self.engine.name, transfer.number, beats)
            if shape.word_beats == 1:
                refused = granted - taken - shape.words
                if refused:
                    occupation.refused[transfer.number] += refused
            self._response = max(beat + self.machine.latency, self._response + 1)
        self._unsettled -= 1
        self._responses.append(self._response)
        if shape.ends:
            self._retire(transfer, self._response, cycle)
        self.wake(cycle)
        return None

    def _move_words(self, transfer: Transfer, shape: Shape, taken: int) -> tuple[int, int]:
        """Return when the last word is granted and when the last beat leaves."""
        machine = self.machine
        granted = taken
        for bank, words in transfer.banks(shape, machine.activation_reads):
            claims = machine.reads_before_vector("reads", bank, taken)
            claims += machine.vector.claims("reads", bank, taken)
            granted = walk(claims, granted + 1, words, 1)
        if shape.word_beats == 1:
            return granted, granted + self._to_beat
        beat = max(taken + self._to_beat, self._beat) + shape.beats
        beat = max(beat, granted + self._to_beat + shape.word_beats - 1)
        return max(granted, beat - self._to_beat - self._buffered * shape.word_beats + 1), beat
