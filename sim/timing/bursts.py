"""The bursts of LOAD and STORE instructions."""

from collections.abc import Sequence
from functools import lru_cache

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import burst_limit, word_cycles
from tilewright.hw.spec.isa import Shape as InstructionShape
from tilewright.hw.spec.operations.transfer import Transfer

BUFFERED_BEATS = 2
"""Between the bus and a load's assembler."""


class Shape:
    """A burst without its place; without beats it only carries the retirement of an instruction.

    word_beats: beats of a word; 1 where a beat has a word or more. cycles: of all words, if nothing
    is refused. sram_offset: from the instruction's first word to the burst's. starts_run,
    starts_last_run: a run begins with it, and that is the instruction's last one. ends: so does
    the instruction. last_uses: of the last beats of a read, at most BUFFERED_BEATS + 1: the words
    that have to be written before a beat can be used, how many beats of its own word come before
    it, and how many cycles behind the burst's first beat it is used if nothing is refused.
    """

    __slots__ = (
        "beats",
        "cycles",
        "ends",
        "last_uses",
        "sram_offset",
        "starts_last_run",
        "starts_run",
        "word_beats",
        "words",
    )

    def __init__(
        self,
        *,
        beats: int = 0,
        words: int = 0,
        word_beats: int = 1,
        sram_offset: int = 0,
        starts_run: bool = True,
        starts_last_run: bool = True,
        ends: bool = True,
        last_uses: tuple[tuple[int, int, int], ...] = (),
    ) -> None:
        self.beats, self.words, self.word_beats = beats, words, word_beats
        self.cycles, self.sram_offset = words * word_beats, sram_offset
        self.starts_run, self.starts_last_run, self.ends = starts_run, starts_last_run, ends
        self.last_uses = last_uses


EMPTY_SHAPE = Shape()


class ShapeCache:
    """The bursts of instructions; those that differ only in their place are known."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._limit = burst_limit(config)
        self._runs: dict[InstructionShape, tuple[int, list[tuple[int, int]]]] = {}
        """Of instructions: pitch and runs."""
        self._known: dict[tuple[int, InstructionShape], list[Shape]] = {}

    def shapes(self, i: Transfer) -> list[Shape]:
        """Return the bursts of a LOAD or STORE, in order."""
        shape, first = i.shape, i.dram_address % self._limit
        found = self._known.get((first, shape))
        if found is None:
            if shape not in self._runs:
                self._runs[shape] = i.pitch(self._config), i.runs(self._config)
            pitch, runs = self._runs[shape]
            found = _cut(first & -pitch, i.run * pitch, runs, pitch, self._config)
            self._known[first, shape] = found
        return found


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


def _cut(
    origin: int, size: int, runs: Sequence[tuple[int, int]], pitch: int, config: Config
) -> list[Shape]:
    """Return the bursts of a LOAD or STORE.

    origin: DRAM byte of the first run, modulo the burst limit; runs: of `size` bytes each, as
    `Transfer.runs` has them.
    """
    axi_bytes, limit = config.axi_bytes, burst_limit(config)
    beat_words, word_beats = max(1, axi_bytes // pitch), word_cycles(pitch, config)
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
