"""The depthwise unit's stages: streams of words, and word by word where a port refuses.

The rules are those of hw/spec/cycles.py.
"""

from collections.abc import Callable
from dataclasses import field
from operator import sub
from typing import NamedTuple

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import (
    DEPTHWISE_ADDRESS_CYCLES,
    acceptance_gap,
    depthwise_lane_cycles,
    depthwise_look,
    depthwise_offer_cycles,
    depthwise_pipeline,
    depthwise_weights_cycles,
)
from tilewright.sim.timing.depthwise_words import Words
from tilewright.sim.timing.ports import FREE_BANK, BankTimeline
from tilewright.support.records import record

# From a word's turn to its read and on, where nothing is refused.
READ = DEPTHWISE_ADDRESS_CYCLES
ENTER = READ + 1

Lanes = tuple[int, ...]
"""Cycles of the stages from `enter` to `sum` or, if there is one, `queue`."""
Stalls = tuple[tuple[int, int], ...]
"""When no word moves in the lanes: first and last cycles."""


@record(frozen=True, kw_only=True)
class Stages:
    """What depends on the config: from a word's turn to a stage, where nothing is refused."""

    lanes: Lanes
    sum_read: int
    leave: int
    total: int
    write: int
    gap: int
    """Cycles in front of a block's first word."""
    weights: int
    """Cycles from when there is room for a block's weights to their first read."""
    look: int
    """Cycles from an instruction's offer to its acceptance, if it does not wait."""
    offer: int
    """Cycles from an instruction's offer to the first read of its weights, if that does not."""

    @property
    def has_queue(self) -> bool:
        """Tell whether results wait in a queue of two for their read, and land in a register."""
        return self.total != self.leave

    @property
    def idle(self) -> "State":
        """The state before the first word."""
        return State(lanes=(-1,) * len(self.lanes))


def stages_of(config: Config) -> Stages:
    """Return the stages of a config."""
    end = READ + depthwise_lane_cycles(config)
    write = depthwise_pipeline(config)
    sum_read = end + 2 * config.path_registers
    return Stages(
        lanes=tuple(range(ENTER, sum_read + 1 - config.path_registers)),
        sum_read=sum_read,
        leave=sum_read + 1,
        total=write - 1,
        write=write,
        gap=acceptance_gap(config),
        weights=depthwise_weights_cycles(config),
        look=depthwise_look(config),
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


class Result(NamedTuple):
    """When the latest result was in each stage behind the lanes; -1 before the first."""

    sum_read: int = -1
    leave: int = -1
    total: int = -1
    write: int = -1
    held: Held = NOTHING_HELD
    """Its read of the accumulators."""


NO_RESULT = Result()


@record(frozen=True, kw_only=True)
class State:
    """When the latest word was in each stage; -1 before the first."""

    turn: int = -1
    read_earliest: int = -1
    """The read of the word two before."""
    read_before: int = -1
    """The read of the word before."""
    read: int = -1
    lanes: Lanes
    stalls: Stalls = ()
    """As far as they matter."""
    latch_free: int = 0
    """From when on the next block's weights can be read."""
    held_read: Held = NOTHING_HELD
    result: Result = NO_RESULT

    def is_unhindered(self, stages: Stages) -> bool:
        """Tell whether the next word passes every stage without a wait if no port refuses."""
        result = self.result
        lanes: int = max(map(sub, self.lanes, stages.lanes))
        return self.turn >= max(
            self.read - READ,
            lanes,
            result.sum_read - stages.sum_read,
            result.leave - stages.leave,
            result.total - stages.total,
            result.write - stages.write,
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
            count = ports.sums.first_taken(writes, words.write_banks, turn + stages.sum_read)
            writes = writes[:count]
        return ports.writes.first_taken(writes, words.write_banks, turn + stages.write)

    def _stream(self, first: int, count: int) -> None:
        """Take words that wait nowhere."""
        self._release_reads()
        state, record, stages = self.state, self.record, self._stages
        record.reads.append(Stream(first, count, state.turn + 1 + READ))
        record.writes.append(Stream(first, count, state.turn + 1 + stages.write))
        if self._words.accumulates:
            record.sums.append(Stream(first, count, state.turn + 1 + stages.sum_read))
        turn = state.turn + count
        result = state.result._replace(held=NOTHING_HELD)
        if self._words.results[first + count - 1]:
            result = Result(
                sum_read=turn + stages.sum_read,
                leave=turn + stages.leave,
                total=turn + stages.total,
                write=turn + stages.write,
            )
        self.state = State(
            turn=turn,
            read_earliest=turn + READ - 2,
            read_before=turn + READ - 1,
            read=turn + READ,
            lanes=tuple(turn + stage for stage in stages.lanes),
            latch_free=state.latch_free,
            result=result,
        )

    def _step(self, number: int, turn: int, *, starts_block: bool) -> None:
        """Take one word."""
        before, words = self.state, self._words
        bank = int(words.reads[number])
        asked = max(turn + READ, before.read + 1)
        read = self._ports.reads.free(bank, max(asked, before.lanes[0]))
        _note(self.record.reads, before.held_read, bank, asked, read + 1)
        enter, held_read = _take(self._ports.reads, bank, read, self._enters)
        lanes, stalls, result = self._pass_lanes(enter), before.stalls, before.result
        if words.results[number]:
            lanes, stalls, result = self._complete(lanes, int(words.writes[number]))
        self.state = State(
            turn=turn,
            read_earliest=before.read_before,
            read_before=before.read,
            read=read,
            lanes=lanes,
            stalls=stalls,
            latch_free=enter + 1 if starts_block else before.latch_free,
            held_read=held_read,
            result=result,
        )

    def _enters(self, cycle: int) -> int:
        """Return when the lanes take a word, from that cycle on."""
        return self._moves(cycle) if self._stages.has_queue else max(cycle, self.state.lanes[1])

    def _moves(self, cycle: int) -> int:
        """Return the first cycle, from that one on, in which the lanes do not stall."""
        for first, last in self.state.stalls:
            if first <= cycle <= last:
                cycle = last + 1
        return cycle

    def _pass_lanes(self, enter: int) -> Lanes:
        """Return when a word is in each stage of the lanes."""
        if not self._stages.has_queue:
            product = max(enter + 1, self.state.lanes[2])
            return enter, product, max(product + 1, self.state.result.leave)
        cycles = [enter]
        while len(cycles) < len(self._stages.lanes):
            cycles.append(self._moves(cycles[-1] + 1))
        return tuple(cycles)

    def _complete(self, lanes: Lanes, bank: int) -> tuple[Lanes, Stalls, Result]:
        """Take the sum in the lanes, which is a result, to the accumulators.

        Return lanes and stalls with that, and the result's stages.
        """
        before, stalls, ports = self.state.result, self.state.stalls, self._ports
        sum_bank = bank if self._words.accumulates else FREE_BANK
        if self._stages.has_queue:
            queue, free = lanes[-1], before.total
            asked = max(queue, before.sum_read) + 1
            ready = max(asked, before.leave)
            stalls = tuple(stall for stall in stalls if stall[1] > lanes[0])
            if before.sum_read > queue:
                stalls = (*stalls, (queue + 1, before.sum_read))
        else:
            asked, ready, free = lanes[-2] + 1, lanes[-1], before.write
        sum_read = ports.sums.free(sum_bank, ready)
        _note(self.record.sums, before.held, sum_bank, asked, sum_read + 1)
        leave, held = _take(ports.sums, sum_bank, sum_read, lambda cycle: max(cycle, free))
        if self._stages.has_queue:
            total = max(leave + 1, before.write)
        else:
            lanes, total = (*lanes[:-1], sum_read), leave
        write = ports.writes.free(bank, total + 1)
        if bank != FREE_BANK:
            self.record.writes.append(Request(bank, total + 1, write + 1))
        return lanes, stalls, Result(sum_read, leave, total, write, held)

    def _release_reads(self) -> None:
        """Note when the latest reads are repeated; nothing else asks meanwhile."""
        _note(self.record.reads, self.state.held_read, FREE_BANK, 0, 0)
        _note(self.record.sums, self.state.result.held, FREE_BANK, 0, 0)


def _take(
    timeline: BankTimeline, bank: int, granted: int, taken: Callable[[int], int]
) -> tuple[int, Held]:
    """Return when the data of a read granted in a cycle is taken, and how it is held till then.

    taken: returns when the place behind takes it, from a cycle on.
    """
    repeats = []
    while bank != FREE_BANK and taken(granted + 1) != granted + 1:
        start = granted + 2
        granted = timeline.free(bank, start)
        repeats.append((start, granted + 1))
    return taken(granted + 1), Held(bank, tuple(repeats))


def _note(requests: Requests, held: Held, bank: int, asked: int, end: int) -> None:
    """Note the requests of a read in the cycles [asked, end), and those of the one it waits for."""
    for start, repeat_end in held.repeats:
        if bank != FREE_BANK and asked < start:
            requests.append(Request(bank, asked, start))
        requests.append(Request(held.bank, start, repeat_end))
        asked = max(asked, repeat_end)
    if bank != FREE_BANK and asked < end:
        requests.append(Request(bank, asked, end))
