"""The depthwise unit's stages: streams of words, and word by word where a port refuses.

The rules are those of hw/spec/cycles.py.
"""

from dataclasses import field
from typing import NamedTuple

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import (
    DEPTHWISE_ADDRESS_CYCLES,
    acceptance_gap,
    depthwise_offer_cycles,
    depthwise_pipeline,
    depthwise_weights_cycles,
    depthwise_word_cycles,
)
from tilewright.sim.timing.depthwise_words import Words
from tilewright.sim.timing.ports import FREE_BANK, BankTimeline
from tilewright.support.records import record

# From a word's turn to its read and on, where nothing is refused.
READ = DEPTHWISE_ADDRESS_CYCLES
ENTER = READ + 1


@record(frozen=True, kw_only=True)
class Stages:
    """What depends on the config: from a word's turn to a stage, where nothing is refused."""

    word: int
    """With the weights of its kernel row; the same as ENTER where that is no stage of its own."""
    product: int
    sum: int
    leave: int
    write: int
    gap: int
    """Cycles in front of a block's first word."""
    weights: int
    """Cycles from when there is room for a block's weights to their first read."""
    offer: int
    """Cycles from an instruction's offer to that."""

    @property
    def has_buffer(self) -> bool:
        """Tell whether two words can wait between their read and the stage `word`."""
        return self.word != ENTER


def stages_of(config: Config) -> Stages:
    """Return the stages of a config."""
    word = READ + depthwise_word_cycles(config)
    return Stages(
        word=word,
        product=word + 1,
        sum=word + 2,
        leave=word + 3,
        write=depthwise_pipeline(config),
        gap=acceptance_gap(config),
        weights=depthwise_weights_cycles(config),
        offer=depthwise_offer_cycles(config),
    )


class Stream(NamedTuple):
    """Consecutive words, one a cycle, each granted at once."""

    first: int
    words: int
    cycle: int
    """Of the first."""


class Request(NamedTuple):
    """A request, up to its grant or beyond: data that cannot be taken was granted in vain."""

    bank: int
    start: int
    end: int
    """The cycle behind the last."""


Requests = list[Stream | Request]
"""What an instruction asks of one port; of each bank in the order of time."""


@record(frozen=True, kw_only=True)
class Ports:
    """What those of higher priority take of each memory."""

    reads: BankTimeline
    """Of activations."""
    sums: BankTimeline
    """Reads of accumulators."""
    writes: BankTimeline
    """Of accumulators."""
    weights: BankTimeline
    """Reads of parameters, in one bank."""


@record(frozen=True, kw_only=True)
class Record:
    """What an instruction asks of each port."""

    reads: Requests = field(default_factory=list)
    sums: Requests = field(default_factory=list)
    writes: Requests = field(default_factory=list)
    weights: list[Request] = field(default_factory=list)


class Held(NamedTuple):
    """A read that waits for the place behind its port: its data lasts a cycle, so it repeats."""

    bank: int = FREE_BANK
    repeats: tuple[tuple[int, int], ...] = ()
    """When it asks again; the read behind it asks in the cycles between."""


NOTHING_HELD = Held()


@record(frozen=True, kw_only=True)
class State:
    """When the latest word was in each stage; -1 before the first."""

    turn: int = -1
    read_earliest: int = -1
    """The read of the word two before."""
    read_before: int = -1
    """The read of the word before."""
    read: int = -1
    enter: int = -1
    word_before: int = -1
    """The word before, in its stage."""
    word: int = -1
    product: int = -1
    sum: int = -1
    leave: int = -1
    """Of the latest result, as `write`."""
    write: int = -1
    latch_free: int = 0
    """From when on the next block's weights can be read."""
    held_read: Held = NOTHING_HELD
    held_sum: Held = NOTHING_HELD

    def is_unhindered(self, stages: Stages) -> bool:
        """Tell whether the next word passes every stage without a wait if no port refuses."""
        return self.turn >= max(
            self.read - READ,
            self.enter - ENTER,
            self.word - stages.word,
            self.product - stages.product,
            self.sum - stages.sum,
            self.leave - stages.leave,
            self.write - stages.write,
        )


class Pipeline:
    """Takes the words of one instruction; `state` is what it leaves behind."""

    def __init__(self, words: Words, ports: Ports, before: State, stages: Stages) -> None:
        self._words, self._ports, self._stages = words, ports, stages
        self.state, self.record = before, Record()

    def run(self, *, offer: int, accepted: int, weight_words: int) -> None:
        """Take all words. `offer`, `accepted`: cycles of the instruction's."""
        words, stages, number, block_end = self._words, self._stages, 0, 0
        while number < words.count:
            state = self.state
            turn = max(state.turn + 1, state.read_earliest + 1, accepted + 1)
            if number < block_end and state.is_unhindered(stages):
                streamed = self._unrefused(number, block_end)
                if streamed:
                    self._stream(number, streamed)
                    number += streamed
                    continue
            starts_block = bool(words.block_words) and number == block_end
            if starts_block:
                first = max(state.latch_free + stages.weights, offer + stages.offer)
                read = self._read_weights(first, weight_words)
                turn = max(turn, state.turn + 1 + stages.gap, read)
                block_end += words.block_words
            self._step(number, turn, starts_block=starts_block)
            number += 1
        self._release_reads()

    def _read_weights(self, cycle: int, count: int) -> int:
        """Read a block's weights from that cycle on and return the cycle behind the last read."""
        for _ in range(count):
            granted = self._ports.weights.free(0, cycle)
            self.record.weights.append(Request(0, cycle, granted + 1))
            cycle = granted + 1
        return cycle

    def _unrefused(self, first: int, end: int) -> int:
        """Return how many words from `first` on, up to `end`, no port refuses."""
        words, ports, stages = self._words, self._ports, self._stages
        turn = self.state.turn + 1
        count = ports.reads.first_taken(words.reads[first:end], words.read_banks, turn + READ)
        writes = words.writes[first : first + count]
        if words.accumulates:
            count = ports.sums.first_taken(writes, words.write_banks, turn + stages.sum)
            writes = writes[:count]
        return ports.writes.first_taken(writes, words.write_banks, turn + stages.write)

    def _stream(self, first: int, count: int) -> None:
        """Take words that wait nowhere."""
        self._release_reads()
        state, record, stages = self.state, self.record, self._stages
        record.reads.append(Stream(first, count, state.turn + 1 + READ))
        record.writes.append(Stream(first, count, state.turn + 1 + stages.write))
        if self._words.accumulates:
            record.sums.append(Stream(first, count, state.turn + 1 + stages.sum))
        turn = state.turn + count
        has_result = self._words.results[first + count - 1]
        self.state = State(
            turn=turn,
            read_earliest=turn + READ - 2,
            read_before=turn + READ - 1,
            read=turn + READ,
            enter=turn + ENTER,
            word_before=turn + stages.word - 1,
            word=turn + stages.word,
            product=turn + stages.product,
            sum=turn + stages.sum,
            leave=turn + stages.leave if has_result else state.leave,
            write=turn + stages.write if has_result else state.write,
            latch_free=state.latch_free,
        )

    def _step(self, number: int, turn: int, *, starts_block: bool) -> None:
        """Take one word."""
        before, words = self.state, self._words
        bank = int(words.reads[number])
        asked = max(turn + READ, before.read + 1)
        read = self._ports.reads.free(bank, max(asked, before.enter))
        _note(self.record.reads, before.held_read, bank, asked, read + 1)
        place_free = self._place_free(starts_block)
        enter, held_read = _take(self._ports.reads, bank, read, place_free)
        word = self._leave_buffer(enter) if self._stages.has_buffer else enter
        product = max(word + 1, before.sum)
        total = max(product + 1, before.leave)
        leave, write, held_sum = before.leave, before.write, before.held_sum
        if words.results[number]:
            bank = int(words.writes[number])
            sum_bank = bank if words.accumulates else FREE_BANK
            total = self._ports.sums.free(sum_bank, total)
            _note(self.record.sums, held_sum, sum_bank, product + 1, total + 1)
            leave, held_sum = _take(self._ports.sums, sum_bank, total, before.write)
            write = self._ports.writes.free(bank, leave + 1)
            if bank != FREE_BANK:
                self.record.writes.append(Request(bank, leave + 1, write + 1))
        self.state = State(
            turn=turn,
            read_earliest=before.read_before,
            read_before=before.read,
            read=read,
            enter=enter,
            word_before=before.word,
            word=word,
            product=product,
            sum=total,
            leave=leave,
            write=write,
            latch_free=enter + 1 if starts_block else before.latch_free,
            held_read=held_read,
            held_sum=held_sum,
        )

    def _place_free(self, starts_block: bool) -> int:
        """Return when a word can leave the place behind its read."""
        if not self._stages.has_buffer:
            return self.state.product
        return (self.state.word if starts_block else self.state.word_before) + 1

    def _leave_buffer(self, enter: int) -> int:
        """Return when a word comes out of the buffer that it entered."""
        before = self.state
        return before.product if enter < before.product else max(enter + 1, before.sum)

    def _release_reads(self) -> None:
        """Note when the latest reads are repeated; nothing else asks meanwhile."""
        _note(self.record.reads, self.state.held_read, FREE_BANK, 0, 0)
        _note(self.record.sums, self.state.held_sum, FREE_BANK, 0, 0)


def _take(timeline: BankTimeline, bank: int, granted: int, place_free: int) -> tuple[int, Held]:
    """Return when the data of a read granted in a cycle is taken, and how it is held till then."""
    repeats = []
    while bank != FREE_BANK and granted + 1 < place_free:
        start = granted + 2
        granted = timeline.free(bank, start)
        repeats.append((start, granted + 1))
    return max(granted + 1, place_free), Held(bank, tuple(repeats))


def _note(requests: Requests, held: Held, bank: int, asked: int, end: int) -> None:
    """Note the requests of a read in the cycles [asked, end), and those of the one it waits for."""
    for start, repeat_end in held.repeats:
        if bank != FREE_BANK and asked < start:
            requests.append(Request(bank, asked, start))
        requests.append(Request(held.bank, start, repeat_end))
        asked = max(asked, repeat_end)
    if bank != FREE_BANK and asked < end:
        requests.append(Request(bank, asked, end))
