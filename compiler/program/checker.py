"""Prove that a program is free of races and out-of-range accesses, also within an instruction.

One vector clock an instruction: how many instructions of each engine are known to have retired
before it issues (through its waits, and through those of earlier instructions of its engine).
Every word it reads must have been written by an instruction it knows to have retired; every word
it writes must have been read and written only by such (docs/architecture.md, "Order"). Word sets
are exact (`hw.spec.access`). Within an instruction no word may be written before it is read
(`hw.spec.hazard`), no transfer may write a word twice, and stores reach the writable DRAM only.
Where instructions may still meet at a bank's port is listed (`meetings`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.program.meetings import Meetings
from tilewright.hw.spec.access import Access, Accesses, accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.hazard import overwrites_own_source, writes_twice
from tilewright.hw.spec.isa import MAX_RETIREMENTS, Engine, Instruction
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.operations.transfer import Transfer
from tilewright.support.errors import ProgramError

ByteRange = tuple[int, int]
Clock = NDArray[np.int32]
Words = slice | NDArray[np.int64]
"""Words of one memory: a run, or every address."""


_LEGAL_OVERLAP = {
    "VECTOR": ", or each in the step that reads it",
    "DEPTHWISE": ", with a destination_stride of out_height * out_width at least",
}
"""What an instruction that writes what it reads may do."""


class CheckError(ProgramError):
    """A program breaks a rule that keeps its result independent of timing."""


def check_program(
    instructions: Sequence[Instruction], config: Config, *, writable: Sequence[ByteRange]
) -> Meetings:
    """Return where instructions may meet at a bank's port; the program is race free and in range.

    `writable` are the DRAM byte ranges that stores may touch; nothing else (the program, the
    constants) may be written. Raises CheckError, naming the instruction, where that does not hold.
    """
    checker = _Checker(config, writable)
    for index, instruction in enumerate(instructions):
        if instruction.engine is not None:
            checker.step(index, instruction)
    return Meetings(instructions=instructions, config=config, clocks=checker.clocks)


class _Tracks:
    """Per engine and word: the number of the last instruction that touched it."""

    def __init__(self, words: int) -> None:
        self.written = np.zeros((len(Engine), words), np.int32)
        self.touched = np.zeros((len(Engine), words), np.int32)
        self.is_known = np.zeros(words, np.bool_)
        """Words that some instruction has written."""


class _Checker:
    def __init__(self, config: Config, writable: Sequence[ByteRange]) -> None:
        self.config = config
        self.writable = list(writable)
        self.granule = min(config.activation_pitch, config.weight_pitch, config.parameter_pitch)
        self.dram_words = max((end for _, end in writable), default=0) // self.granule + 1
        self.tracks = {
            Space.ACTIVATION: _Tracks(config.activation_words),
            Space.WEIGHT: _Tracks(config.weight_words),
            Space.ACCUMULATOR: _Tracks(config.accumulator_words),
            Space.PARAMETER: _Tracks(config.parameter_words),
            Space.DRAM: _Tracks(self.dram_words),
        }
        self.issued = {engine: np.zeros(len(Engine), np.int32) for engine in Engine}
        self.clocks: dict[Engine, list[Clock]] = {engine: [] for engine in Engine}

    def step(self, index: int, instruction: Instruction) -> None:
        engine = instruction.engine
        assert engine is not None
        clock = self._clock(index, engine, instruction)
        touched = accesses(instruction, self.config)
        if touched.out_of_range:
            raise CheckError(f"instruction {index} ({instruction.name}) leaves an SRAM")
        self._check_alignment(index, instruction)
        self._check_own_order(index, instruction, touched)
        reads = [(access.space, self._words(access)) for access in touched.reads]
        writes = [(access.space, self._words(access)) for access in touched.writes]
        for space, words in reads:
            self._check_read(index, engine, space, words, clock)
        for access in touched.writes:
            self._check_writable(index, access)
        for space, words in writes:
            self._check_write(index, engine, space, words, clock)
        self.issued[engine] = clock
        self.clocks[engine].append(clock)
        number = len(self.clocks[engine])
        if number > MAX_RETIREMENTS:
            raise CheckError(
                f"a program may send at most {MAX_RETIREMENTS} instructions to an engine; "
                f"instruction {index} is one more for {engine.name}: use a larger array"
            )
        for space, words in reads:
            self.tracks[space].touched[engine, words] = number
        for space, words in writes:
            self.tracks[space].written[engine, words] = number
            self.tracks[space].touched[engine, words] = number
            self.tracks[space].is_known[words] = True

    def _clock(self, index: int, engine: Engine, instruction: Instruction) -> Clock:
        clock = self.issued[engine].copy()
        for wait in instruction.waits:
            if wait.count == 0:
                continue
            if wait.count > len(self.clocks[wait.engine]):
                raise CheckError(
                    f"instruction {index} waits for {wait.engine.name} {wait.count}, "
                    f"but only {len(self.clocks[wait.engine])} come before it"
                )
            np.maximum(clock, self.clocks[wait.engine][wait.count - 1], out=clock)
            clock[wait.engine] = max(clock[wait.engine], wait.count)
        return clock

    def _check_alignment(self, index: int, instruction: Instruction) -> None:
        if not isinstance(instruction, Transfer):
            return
        pitch = instruction.pitch(self.config)
        for name in ("dram_address", "dram_stride0", "dram_stride1", "dram_stride2"):
            value = getattr(instruction, name)
            if value % pitch:
                raise CheckError(
                    f"instruction {index} ({instruction.name}): {name} must be a multiple of "
                    f"{pitch} bytes, got {value}"
                )

    def _check_own_order(self, index: int, instruction: Instruction, touched: Accesses) -> None:
        """The order of an instruction's own reads and writes must not decide its result."""
        if overwrites_own_source(touched, self.config):
            written = next(a for a in touched.writes if any(map(a.overlaps, touched.reads)))
            raise CheckError(
                f"instruction {index} ({instruction.name}) must read each word before it "
                f"writes it, but of {written.space.name} words {int(written.starts[0])} to "
                f"{int(written.ends[-1]) - 1} it reads some after it wrote them; write to words "
                f"that it does not read{_LEGAL_OVERLAP[instruction.name]}"
            )
        if writes_twice(touched):
            (written,) = touched.writes
            unit = "bytes" if written.space == Space.DRAM else "words"
            raise CheckError(
                f"instruction {index} ({instruction.name}) must write each word once, but "
                f"its runs overlap in {written.space.name} {unit} {int(written.starts[0])} to "
                f"{int(written.ends[-1]) - 1}; use strides of a run at least"
            )

    def _words(self, access: Access) -> Words:
        """The words of an access; of DRAM those that stores can reach, in granules."""
        if access.space == Space.DRAM:
            starts = np.minimum(access.starts // self.granule, self.dram_words)
            ends = np.minimum(-(-access.ends // self.granule), self.dram_words)
            access = Access(space=access.space, starts=starts, ends=ends)
        if access.starts.size == 1:
            return slice(int(access.starts[0]), int(access.ends[0]))
        return access.addresses

    def _check_read(
        self, index: int, engine: Engine, space: Space, words: Words, clock: Clock
    ) -> None:
        tracks = self.tracks[space]
        if space != Space.DRAM and not tracks.is_known[words].all():
            first = _addresses(words)[~tracks.is_known[words]][0]
            raise CheckError(
                f"instruction {index} ({engine.name}) reads {space.name} word {first}, "
                "which was not written"
            )
        last = tracks.written[:, words].max(axis=1, initial=0)
        if engine == Engine.MATRIX and space == Space.ACCUMULATOR:
            last[engine] = 0
        self._compare(index, engine, space, words, last, clock)

    def _check_writable(self, index: int, access: Access) -> None:
        if access.space != Space.DRAM:
            return
        for low, high in zip(access.starts.tolist(), access.ends.tolist(), strict=True):
            if not any(first <= low and high <= end for first, end in self.writable):
                raise CheckError(
                    f"instruction {index} stores to DRAM bytes {low} to {high - 1}, "
                    f"which hold the program or constants"
                )

    def _check_write(
        self, index: int, engine: Engine, space: Space, words: Words, clock: Clock
    ) -> None:
        last = self.tracks[space].touched[:, words].max(axis=1, initial=0)
        last[engine] = 0
        self._compare(index, engine, space, words, last, clock)

    def _compare(
        self, index: int, engine: Engine, space: Space, words: Words, last: Clock, clock: Clock
    ) -> None:
        if not (last > clock).any():
            return
        late = Engine(int(np.flatnonzero(last > clock)[0]))
        raise CheckError(
            f"instruction {index} ({engine.name}) touches {space.name} words from "
            f"{_addresses(words)[0]} on, which {late.name} instruction {int(last[late])} uses, "
            f"but waits only for {late.name} {int(clock[late])}"
        )


def _addresses(words: Words) -> NDArray[np.int64]:
    return np.arange(words.start, words.stop) if isinstance(words, slice) else words
