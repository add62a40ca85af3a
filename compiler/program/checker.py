"""Prove that a program is free of races and out-of-range accesses, also within an instruction.

One vector clock an instruction: how many instructions of each engine are known to have retired
before it issues (through its waits, and through those of earlier instructions of its engine).
Every word it reads must have been written by an instruction it knows to have retired; every word
it writes must have been read and written only by such (docs/architecture.md, "Order"). Word sets
are exact (`hw.spec.access`). Within an instruction no word may be written before it is read
(`hw.spec.hazard`), no transfer may write a word twice, and stores reach the writable DRAM only.
Where instructions may still meet at a bank's port is listed (`meetings`).
"""

from collections import Counter
from collections.abc import Sequence

from tilewright.compiler.program.meetings import Meetings
from tilewright.compiler.program.uses import Counts, Place, Uses, is_behind, latest
from tilewright.hw.spec.access import Access, Accesses, accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.hazard import overwrites_own_source, writes_twice
from tilewright.hw.spec.isa import MAX_RETIREMENTS, Engine, Instruction
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.operations.transfer import Transfer
from tilewright.support.errors import ProgramError

ByteRange = tuple[int, int]

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
    check_counts(instructions)
    checker = _Checker(config, writable)
    for index, instruction in enumerate(instructions):
        if instruction.engine is not None:
            checker.step(index, instruction)
    return Meetings(instructions=instructions, config=config, clocks=checker.clocks)


def check_counts(instructions: Sequence[Instruction]) -> None:
    """Raise CheckError where an engine is sent more instructions than it counts."""
    sent: Counter[Engine | None] = Counter()
    for operation, count in Counter(type(each) for each in instructions).items():
        sent[operation.engine] += count
    for engine in Engine:
        if sent[engine] > MAX_RETIREMENTS:
            raise CheckError(
                f"a program may send at most {MAX_RETIREMENTS} instructions to an engine, "
                f"this one has {sent[engine]} for {engine.name}: use a larger array"
            )


class _Checker:
    def __init__(self, config: Config, writable: Sequence[ByteRange]) -> None:
        self.config = config
        self.writable = list(writable)
        self.uses = Uses(
            config,
            dram_bytes=max((end for _, end in writable), default=0),
            granule=min(config.activation_pitch, config.weight_pitch, config.parameter_pitch),
        )
        nothing: Counts = [0] * len(Engine)
        self.issued = dict.fromkeys(Engine, nothing)
        self.clocks: dict[Engine, list[Counts]] = {engine: [] for engine in Engine}

    def step(self, index: int, instruction: Instruction) -> None:
        engine = instruction.engine
        assert engine is not None
        clock = self._clock(index, engine, instruction)
        touched = accesses(instruction, self.config)
        if touched.out_of_range:
            raise CheckError(f"instruction {index} ({instruction.name}) leaves an SRAM")
        self._check_alignment(index, instruction)
        self._check_own_order(index, instruction, touched)
        reads, writes = self.uses.places(touched.reads), self.uses.places(touched.writes)
        for place in reads:
            self._check_written(index, engine, place)
            self._compare(index, engine, place, self.uses.before_read(engine, place), clock)
        for access in touched.writes:
            self._check_writable(index, access)
        for place in writes:
            self._compare(index, engine, place, self.uses.before_write(engine, place), clock)
        self.issued[engine] = clock
        self.clocks[engine].append(clock)
        self.uses.note(engine, len(self.clocks[engine]), reads, writes)

    def _clock(self, index: int, engine: Engine, instruction: Instruction) -> Counts:
        clock = self.issued[engine]
        for wait in instruction.waits:
            if wait.count == 0:
                continue
            if wait.count > len(self.clocks[wait.engine]):
                raise CheckError(
                    f"instruction {index} waits for {wait.engine.name} {wait.count}, "
                    f"but only {len(self.clocks[wait.engine])} come before it"
                )
            clock = latest(clock, self.clocks[wait.engine][wait.count - 1]).copy()
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
        if overwrites_own_source(touched, instruction, self.config):
            written = next(a for a in touched.writes if any(map(a.overlaps, touched.reads)))
            start, end = written.bounds
            raise CheckError(
                f"instruction {index} ({instruction.name}) must read each word before it "
                f"writes it, but of {written.space.name} words {start} to {end - 1} "
                "it reads some after it wrote them; write to words "
                f"that it does not read{_LEGAL_OVERLAP[instruction.name]}"
            )
        if writes_twice(touched):
            (written,) = touched.writes
            start, end = written.bounds
            unit = "bytes" if written.space == Space.DRAM else "words"
            raise CheckError(
                f"instruction {index} ({instruction.name}) must write each word once, but "
                f"its runs overlap in {written.space.name} {unit} {start} to {end - 1}; "
                "use strides of a run at least"
            )

    def _check_written(self, index: int, engine: Engine, place: Place) -> None:
        space = place.space
        word = None if space == Space.DRAM else self.uses.unwritten(place)
        if word is not None:
            raise CheckError(
                f"instruction {index} ({engine.name}) reads {space.name} word {word}, "
                "which was not written"
            )

    def _check_writable(self, index: int, access: Access) -> None:
        if access.space != Space.DRAM:
            return
        for low, high in zip(access.starts.tolist(), access.ends.tolist(), strict=True):
            if not any(first <= low and high <= end for first, end in self.writable):
                raise CheckError(
                    f"instruction {index} stores to DRAM bytes {low} to {high - 1}, "
                    f"which hold the program or constants"
                )

    def _compare(
        self, index: int, engine: Engine, place: Place, last: Counts, clock: Counts
    ) -> None:
        if is_behind(last, clock):
            return
        late = next(engine for engine in Engine if last[engine] > clock[engine])
        raise CheckError(
            f"instruction {index} ({engine.name}) touches {place.space.name} words from "
            f"{place.first} on, which {late.name} instruction {last[late]} uses, "
            f"but waits only for {late.name} {clock[late]}"
        )
