"""What every retirement must leave in the SRAMs: the simulator's side of a lockstep comparison."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.program import Program
from tilewright.sim.cosim.parameters import Expectation
from tilewright.sim.iss import Iss, IssResult, Retirement, Write


class Recorder:
    """An observer of `Iss.run` that collects the SRAM words each instruction wrote.

    At an engine's n-th retirement the hardware's SRAMs must hold exactly these bytes: in a
    program without races nobody else writes them before.
    """

    def __init__(self) -> None:
        self.expectations: list[Expectation] = []

    def __call__(self, retirement: Retirement) -> None:
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


def _runs(write: Write) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (first word, bytes) of each maximal run of consecutive words."""
    breaks = np.flatnonzero(np.diff(write.addresses) != 1) + 1
    first = 0
    for end in (*breaks.tolist(), len(write.addresses)):
        yield int(write.addresses[first]), write.data[first:end]
        first = end


def record(program: Program) -> tuple[IssResult, tuple[Expectation, ...]]:
    """Run a program on the simulator; return its result and the expectations of every SRAM."""
    recorder = Recorder()
    result = Iss.of_program(program).run(program.program_address, recorder)
    return result, tuple(recorder.expectations)
