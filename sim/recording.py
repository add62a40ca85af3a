"""What every retirement must leave in the SRAMs: the simulator's side of a lockstep comparison."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import transfer_retirement
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.operations.transfer import Load
from tilewright.hw.spec.program import Program
from tilewright.sim.cosim.parameters import Expectation
from tilewright.sim.iss import Iss, IssResult, Retirement, Write


class Recorder:
    """An observer of `Iss.run` that collects the SRAM words each instruction wrote.

    At an engine's n-th retirement the hardware's SRAMs must hold exactly these bytes: in a
    program without races nobody else writes them before. With path_registers a LOAD retires a cycle
    late: the next one may have written its first word, of which nothing is expected then.
    """

    def __init__(self, config: Config) -> None:
        self.expectations: list[Expectation] = []
        self._config = config
        self._last_load = slice(0)
        """What is expected of it."""

    def __call__(self, retirement: Retirement) -> None:
        instruction = retirement.instruction
        if isinstance(instruction, Load) and transfer_retirement(self._config):
            self._leave_out(instruction.space, instruction.sram_address)
        first = len(self.expectations)
        for write in retirement.writes:
            if write.space == Space.DRAM:
                continue
            for word, data in _runs(write):
                self.expectations.append(
                    Expectation(
                        engine=retirement.engine.name.lower(),
                        count=retirement.number,
                        sram=write.space.name.lower(),
                        word=word,
                        data=data.tobytes(),
                    )
                )
        if retirement.engine == Engine.LOAD:
            self._last_load = slice(first, len(self.expectations))

    def _leave_out(self, space: Space, word: int) -> None:
        """Expect nothing of a word when the last LOAD retires."""
        name = space.name.lower()
        size = getattr(self._config, f"{name}_word_bytes")
        kept: list[Expectation] = []
        for expected in self.expectations[self._last_load]:
            place = (word - expected.word) * size
            if expected.sram != name or not 0 <= place < len(expected.data):
                kept.append(expected)
                continue
            before, behind = expected.data[:place], expected.data[place + size :]
            if before:
                kept.append(replace(expected, data=before))
            if behind:
                kept.append(replace(expected, data=behind, word=word + 1))
        self.expectations[self._last_load] = kept


def _runs(write: Write) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (first word, bytes) of each maximal run of consecutive words."""
    breaks = np.flatnonzero(np.diff(write.addresses) != 1) + 1
    first = 0
    for end in (*breaks.tolist(), len(write.addresses)):
        yield int(write.addresses[first]), write.data[first:end]
        first = end


def record(program: Program) -> tuple[IssResult, tuple[Expectation, ...]]:
    """Run a program on the simulator; return its result and the expectations of every SRAM."""
    recorder = Recorder(program.config)
    result = Iss.of_program(program).run(program.program_address, recorder)
    return result, tuple(recorder.expectations)
