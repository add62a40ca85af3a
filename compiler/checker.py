"""Prove that a program is free of races and out-of-range accesses.

One vector clock an instruction: how many instructions of each engine are known to have retired
before it issues (through its waits, and through those of earlier instructions of its engine).
Every word it reads must have been written by an instruction it knows to have retired; every word
it writes must have been read and written only by such (docs/architecture.md, "Order"). Word sets
are exact (`hw.spec.access`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import Access, Space, accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.errors import ProgramError
from tilewright.hw.spec.isa import MAX_RETIREMENTS, Engine, Instruction

ByteRange = tuple[int, int]
Clock = NDArray[np.int32]


class CheckError(ProgramError):
    """A program breaks a rule that keeps its result independent of timing."""


def check_program(
    instructions: Sequence[Instruction], config: Config, *, writable: Sequence[ByteRange]
) -> None:
    """Raise CheckError, naming the instruction, unless the program is race free and in range.

    `writable` are the DRAM byte ranges that stores may touch; nothing else (the program, the
    constants) may be written.
    """
    checker = _Checker(config, writable)
    for index, instruction in enumerate(instructions):
        if instruction.engine is not None:
            checker.step(index, instruction)


class _Tracks:
    """Per engine and word: the number of the last instruction that touched it."""

    def __init__(self, words: int) -> None:
        self.written = np.zeros((len(Engine), words), np.int32)
        self.read = np.zeros((len(Engine), words), np.int32)


class _Checker:
    def __init__(self, config: Config, writable: Sequence[ByteRange]) -> None:
        self.config = config
        self.writable = list(writable)
        self.granule = min(config.activation_pitch, config.weight_pitch, config.parameter_pitch)
        self.tracks = {
            Space.ACTIVATION: _Tracks(config.activation_words),
            Space.WEIGHT: _Tracks(config.weight_words),
            Space.ACCUMULATOR: _Tracks(config.accumulator_words),
            Space.PARAMETER: _Tracks(config.parameter_words),
            Space.DRAM: _Tracks(max((end for _, end in writable), default=0) // self.granule + 1),
        }
        self.issued = {engine: np.zeros(len(Engine), np.int32) for engine in Engine}
        self.clocks: dict[Engine, list[Clock]] = {engine: [] for engine in Engine}

    def step(self, index: int, instruction: Instruction) -> None:
        engine = instruction.engine
        assert engine is not None
        clock = self._clock(index, engine, instruction)
        touched = accesses(instruction, self.config)
        if touched.out_of_range:
            raise CheckError(f"instruction {index} ({instruction.operation}) leaves an SRAM")
        for access in touched.reads:
            self._check_read(index, engine, access, clock)
        for access in touched.writes:
            self._check_write(index, engine, access, clock)
        self.issued[engine] = clock
        self.clocks[engine].append(clock)
        number = len(self.clocks[engine])
        if number > MAX_RETIREMENTS:
            raise CheckError(
                f"a program may send at most {MAX_RETIREMENTS} instructions to an engine; "
                f"instruction {index} is one more for {engine.name}: use a larger array"
            )
        for access in touched.reads:
            for start, stop in self._slices(access):
                self.tracks[access.space].read[engine, start:stop] = number
        for access in touched.writes:
            for start, stop in self._slices(access):
                self.tracks[access.space].written[engine, start:stop] = number

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

    def _slices(self, access: Access) -> list[tuple[int, int]]:
        starts, ends = access.starts, access.ends
        if access.space == Space.DRAM:
            limit = self.tracks[Space.DRAM].written.shape[1]
            starts = np.minimum(starts // self.granule, limit)
            ends = np.minimum(-(-ends // self.granule), limit)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    def _check_read(self, index: int, engine: Engine, access: Access, clock: Clock) -> None:
        tracks = self.tracks[access.space]
        ordered = engine == Engine.MATRIX and access.space == Space.ACCUMULATOR
        for start, stop in self._slices(access):
            if start >= stop:
                continue
            written = tracks.written[:, start:stop]
            if access.space != Space.DRAM and not written.max(axis=0).all():
                raise CheckError(
                    f"instruction {index} ({engine.name}) reads {access.space.name} words "
                    f"{start} to {stop - 1}, not all of which were written"
                )
            last = written.max(axis=1)
            if ordered:
                last[engine] = 0
            self._compare(index, engine, access.space, start, last, clock)

    def _check_write(self, index: int, engine: Engine, access: Access, clock: Clock) -> None:
        if access.space == Space.DRAM:
            for low, high in zip(access.starts.tolist(), access.ends.tolist(), strict=True):
                if not any(first <= low and high <= end for first, end in self.writable):
                    raise CheckError(
                        f"instruction {index} stores to DRAM bytes {low} to {high - 1}, "
                        f"which hold the program or constants"
                    )
        tracks = self.tracks[access.space]
        for start, stop in self._slices(access):
            if start >= stop:
                continue
            last = np.maximum(
                tracks.written[:, start:stop].max(axis=1), tracks.read[:, start:stop].max(axis=1)
            )
            last[engine] = 0
            self._compare(index, engine, access.space, start, last, clock)

    def _compare(
        self, index: int, engine: Engine, space: Space, start: int, last: Clock, clock: Clock
    ) -> None:
        late = np.flatnonzero(last > clock)
        if late.size:
            other = Engine(int(late[0]))
            raise CheckError(
                f"instruction {index} ({engine.name}) touches {space.name} from word {start} on, "
                f"which {other.name} instruction {int(last[other])} uses, but waits only for "
                f"{other.name} {int(clock[other])}"
            )
