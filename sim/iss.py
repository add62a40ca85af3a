"""The instruction-set simulator: whole instructions on NumPy arrays, in program order.

A program without races gives the same memories as the RTL. With one fault in the program, cause
and instruction index are the RTL's; what other engines did before they stopped is not modelled.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import IllegalInstruction, decode
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, Engine, Instruction, Operation
from tilewright.hw.spec.loops import DRAM_MODULUS, Space
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.hw.spec.operations.transfer import Load, Store
from tilewright.hw.spec.operations.vector import Vector
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.registers import MAX_INSTRUCTIONS, Fault
from tilewright.sim.depthwise import execute_depthwise
from tilewright.sim.matrix import execute_matrix
from tilewright.sim.state import State
from tilewright.sim.transfer import execute_transfer
from tilewright.sim.vector import execute_vector
from tilewright.support.records import record
from tilewright.support.threads import one_blas_thread

EXECUTE: Mapping[Operation, Callable[[Any, State], Fault]] = MappingProxyType(
    {
        Load: execute_transfer,
        Store: execute_transfer,
        Matrix: execute_matrix,
        Depthwise: execute_depthwise,
        Vector: execute_vector,
    }
)
"""What executes each engine's operations; END is dispatch's own."""


@record(frozen=True, kw_only=True)
class FaultReport:
    """A fault as the registers show it."""

    cause: Fault
    instruction: int
    """Index of the faulting instruction in the program."""
    message: str


@record(frozen=True, kw_only=True, eq=False)
class Write:
    """Words of one memory as they are after an instruction that wrote them."""

    space: Space
    addresses: NDArray[np.int64]
    """SRAM words, or DRAM bytes of each word's first byte; ascending, each once."""
    data: NDArray[np.uint8]
    """(words, word bytes), a copy."""


@record(frozen=True, kw_only=True, eq=False)
class Retirement:
    """One retired instruction, in program order."""

    engine: Engine
    number: int
    """The engine's n-th retirement, from 1."""
    index: int
    """Index of the instruction in the program."""
    instruction: Instruction
    writes: tuple[Write, ...]


@record(frozen=True, kw_only=True, eq=False)
class IssResult:
    """The outcome of a run; `memory` is the simulator's DRAM itself, not a copy."""

    memory: NDArray[np.uint8]
    fault: FaultReport | None
    retired: Mapping[Engine, int]
    dispatched: int
    """Instructions dispatched to engines (END and a faulting word not among them)."""


Observer = Callable[[Retirement], None]


class Iss:
    """Simulates one accelerator with its DRAM.

    Memories keep their contents between runs, as the hardware's do; `state` holds them.
    """

    def __init__(
        self,
        config: Config,
        image: bytes | NDArray[np.uint8] = b"",
        *,
        memory_bytes: int | None = None,
    ) -> None:
        self.config = config
        size = len(image) if memory_bytes is None else memory_bytes
        assert len(image) <= size <= DRAM_MODULUS
        self.state = State(config, size)
        self.state.memory[: len(image)] = np.frombuffer(image, np.uint8)

    @classmethod
    def of_program(cls, program: Program) -> "Iss":
        """Return a simulator whose DRAM holds the program's image."""
        return cls(program.config, program.image, memory_bytes=program.memory_bytes)

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The DRAM, (memory_bytes,) uint8, writable."""
        return self.state.memory

    def run(
        self,
        program_address: int = 0,
        observer: Observer | None = None,
        *,
        instruction_limit: int = MAX_INSTRUCTIONS,
    ) -> IssResult:
        """Execute from the instruction at `program_address` to END or the first fault.

        `observer` is called behind every retirement, in program order; `instruction_limit` is the
        register of that name.
        """
        with one_blas_thread():
            return self._run(program_address, observer, instruction_limit)

    def _run(
        self, program_address: int, observer: Observer | None, instruction_limit: int
    ) -> IssResult:
        retired = dict.fromkeys(Engine, 0)
        index, fault = 0, None
        while True:
            try:
                instruction = self._fetch(program_address, index)
                self._check_waits(instruction, retired)
                engine = instruction.engine
                if engine is None:
                    break
                if index >= instruction_limit:
                    raise _Stop(
                        Fault.INSTRUCTION_LIMIT, f"no END in {instruction_limit} instructions"
                    )
                cause = self._execute(instruction)
            except _Stop as stop:
                fault = FaultReport(cause=stop.cause, instruction=index, message=stop.message)
                break
            retired[engine] += 1
            if cause != Fault.NONE:
                message = f"{instruction.name} {_MEANING[cause]}"
                fault = FaultReport(cause=cause, instruction=index, message=message)
                index += 1
                break
            if observer is not None:
                observer(
                    Retirement(
                        engine=engine,
                        number=retired[engine],
                        index=index,
                        instruction=instruction,
                        writes=self._writes(instruction),
                    )
                )
            index += 1
        return IssResult(memory=self.memory, fault=fault, retired=retired, dispatched=index)

    def _fetch(self, program_address: int, index: int) -> Instruction:
        address = (program_address + index * INSTRUCTION_BYTES) % DRAM_MODULUS
        word = self.memory[address : address + INSTRUCTION_BYTES].tobytes()
        if len(word) != INSTRUCTION_BYTES:
            raise _Stop(Fault.BUS_ERROR, f"fetch from DRAM byte {address:#x}, behind its end")
        try:
            return decode(word, self.config)
        except IllegalInstruction as error:
            raise _Stop(Fault.ILLEGAL_INSTRUCTION, str(error)) from None

    def _execute(self, instruction: Instruction) -> Fault:
        if instruction.is_empty:
            return Fault.NONE
        return EXECUTE[type(instruction)](instruction, self.state)

    def _check_waits(self, instruction: Instruction, dispatched: Mapping[Engine, int]) -> None:
        for wait in instruction.waits:
            if wait.count > dispatched[wait.engine]:
                raise _Stop(
                    Fault.FUTURE_WAIT,
                    f"{instruction.name} waits for {wait.count} retirements of "
                    f"{wait.engine.name}, which was sent {dispatched[wait.engine]}",
                )

    def _writes(self, instruction: Instruction) -> tuple[Write, ...]:
        """Return the words that an executed instruction wrote."""
        writes = []
        for access in accesses(instruction, self.config).writes:
            addresses = access.addresses
            if access.space == Space.DRAM:
                pitch = self.config.activation_pitch
                addresses = addresses[addresses % pitch == 0]
                words = self.state.memory_words(pitch)[:, : self.config.activation_word_bytes]
                data = words[addresses // pitch]
            else:
                data = self.state.sram[access.space][addresses]
            writes.append(Write(space=access.space, addresses=addresses, data=data))
        return tuple(writes)


class _Stop(Exception):  # noqa: N818
    """Ends a run before the instruction executes."""

    def __init__(self, cause: Fault, message: str) -> None:
        self.cause, self.message = cause, message


_MEANING = {
    Fault.SRAM_RANGE: "addresses a word behind the end of an SRAM",
    Fault.BUS_ERROR: "addresses DRAM behind its end",
}
