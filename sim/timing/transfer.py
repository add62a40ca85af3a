"""What loads and stores share: runs, bursts, and the addresses that go out for them."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import burst_limit, transfer_pitch, transfer_runs
from tilewright.hw.spec.isa import Engine, Target
from tilewright.sim.timing.ports import BankTimeline

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine


BUFFERED_BEATS = 2
"""Between the bus and a load's assembler."""
_RUN_FIELDS = itemgetter(
    "run",
    *(f"{name}{axis}" for axis in range(3) for name in ("count", "dram_stride", "sram_stride")),
)


class Shape(NamedTuple):
    """A burst without its place; without beats it only carries the retirement of an instruction."""

    beats: int
    words: int
    word_beats: int
    """Beats of a word; 1 where a beat has a word or more."""
    sram_offset: int
    """From the instruction's first word to the burst's."""
    starts_run: bool
    starts_last_run: bool
    ends: bool
    """The instruction ends with it."""
    last_uses: tuple[tuple[int, int, int], ...]
    """Of the last beats of a read, at most BUFFERED_BEATS + 1: the words that have to be written
    before a beat can be used, how many beats of its own word come before it, and how many cycles
    behind the burst's first beat it is used if nothing is refused."""

    @property
    def cycles(self) -> int:
        """Of all words, if nothing is refused."""
        return self.words * self.word_beats


EMPTY_SHAPE = Shape(
    beats=0,
    words=0,
    word_beats=1,
    sram_offset=0,
    starts_run=True,
    starts_last_run=True,
    ends=True,
    last_uses=(),
)


class Burst(NamedTuple):
    """One burst of an instruction."""

    shape: Shape
    number: int
    """Of its instruction."""
    sram_address: int
    is_activation: bool

    def banks(self, timeline: BankTimeline) -> Iterator[tuple[int, int]]:
        """Yield bank and number of words, in order."""
        return timeline.banks(self.sram_address, self.shape.words)


class TransferModel(ABC):
    """Runs follow one another at one a cycle, and so do a run's bursts."""

    engine: Engine

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self._bursts: deque[Burst] = deque()
        self._runs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        self._shapes: dict[tuple[int, tuple[int, ...]], list[Shape]] = {}
        self._is_scheduled = False
        self._is_blocked = False
        self._ready: int | None = 0
        self._run_taken = -1
        self._address = -1
        """When the last burst's address was taken."""
        self._accepted = -1
        self._due = 0
        """When the next burst's address is offered at the earliest."""

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: when the last run before it goes to the burst splitter."""
        return None if self._ready is None else max(offer, self._ready)

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel."""
        self._ready = None
        self._accepted = cycle
        self._bursts.extend(self._bursts_of(number))
        if not self._is_scheduled:
            self._schedule(cycle)

    def _bursts_of(self, number: int) -> Iterator[Burst]:
        """Yield an instruction's bursts; those that differ only in their place are known."""
        fields, config = self.machine.instructions[number].fields, self.machine.config
        target = fields.get("target", Target.ACTIVATION)
        run_key = (target, *_RUN_FIELDS(fields))
        key = (fields["dram_address"] % burst_limit(config), run_key)
        if key not in self._shapes:
            pitch = transfer_pitch(fields, config)
            if run_key not in self._runs:
                self._runs[run_key] = transfer_runs(fields, pitch)
            place = key[0] & -pitch, fields["run"] * pitch
            self._shapes[key] = shapes_of(*place, self._runs[run_key], pitch, config)
        address, is_activation = fields["sram_address"], target == Target.ACTIVATION
        for shape in self._shapes[key]:
            yield Burst(shape, number, address + shape.sram_offset, is_activation)

    def _schedule(self, cycle: int) -> None:
        """Offer the next burst's address as soon as it can be."""
        self._is_scheduled = bool(self._bursts)
        if not self._bursts:
            return
        burst = self._bursts[0]
        self._due = self._address + 1
        if burst.shape.starts_run:
            self._run_taken = max(self._run_taken + 1, self._accepted + 1, self._address)
            self._due = self._run_taken + 1
        self._try_send(cycle)
        if burst.shape.starts_last_run:
            self._ready = self._run_taken
            self.machine.occupations[self.engine].ready[burst.number] = self._ready
            self.machine.try_issue(self.engine, cycle)

    def _try_send(self, cycle: int) -> None:
        burst = self._bursts[0]
        due = self.earliest(burst, max(cycle, self._due))
        self._is_blocked = due is None
        if due is None:
            return
        if due > cycle:
            self.machine.at(due, self._try_send)
            return
        self._bursts.popleft()
        self._address = cycle
        self.send(burst, cycle)
        self._schedule(cycle)

    def wake(self, cycle: int) -> None:
        """Try again what `earliest` could not tell."""
        if self._is_blocked:
            self._is_blocked = False
            self.machine.at(cycle, self._try_send)

    @abstractmethod
    def earliest(self, burst: Burst, cycle: int) -> int | None:
        """Return when the burst's address can be taken, from `cycle` on; None: not known yet."""

    @abstractmethod
    def send(self, burst: Burst, cycle: int) -> None:
        """Its address is taken."""


@lru_cache(maxsize=1 << 12)
def _last_uses(
    beats: int, words: int, first_words: int, beat_words: int, word_beats: int
) -> tuple[tuple[int, int, int], ...]:
    """Return `last_uses` of a shape; a beat is used for a word when the one before is written."""
    last = range(max(0, beats - BUFFERED_BEATS - 1), beats)
    if word_beats > 1:
        return tuple((*divmod(beat, word_beats), beat) for beat in last)
    written = (min(first_words + beat * beat_words, words) - 1 for beat in last)
    return tuple((word, 0, word) for word in written)


def shapes_of(
    origin: int, size: int, runs: Sequence[tuple[int, int]], pitch: int, config: Config
) -> list[Shape]:
    """Return the bursts of a LOAD or STORE.

    origin: DRAM byte of the first run, modulo the burst limit; runs: of `size` bytes each, as
    `transfer_runs` has them.
    """
    axi_bytes, limit = config.axi_bytes, burst_limit(config)
    beat_words, word_beats = max(1, axi_bytes // pitch), max(1, pitch // axi_bytes)
    shapes = []
    for place, (offset, sram_offset) in enumerate(runs):
        address = first = origin + offset
        run_end = address + size
        is_last = place == len(runs) - 1
        while first < run_end:
            end = min(run_end, first // limit * limit + limit)
            words = (end - first) // pitch
            starts_run = first == address
            beats = (end - 1) // axi_bytes - first // axi_bytes + 1
            first_words = min(words, beat_words - first % axi_bytes // pitch)
            shapes.append(
                Shape(
                    beats=beats,
                    words=words,
                    word_beats=word_beats,
                    last_uses=_last_uses(beats, words, first_words, beat_words, word_beats),
                    sram_offset=sram_offset + (first - address) // pitch,
                    starts_run=starts_run,
                    starts_last_run=starts_run and is_last,
                    ends=end == run_end and is_last,
                )
            )
            first = end
    return shapes or [EMPTY_SHAPE]
