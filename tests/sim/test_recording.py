"""Recorded expectations: every SRAM write, in runs, for the right retirement."""

import numpy as np

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.random_program import random_program
from tilewright.sim.iss import Iss
from tilewright.sim.recording import record


def test_replaying_the_expectations_gives_the_final_srams() -> None:
    config = Config(rows=12, cols=20, lanes=4, operand_lanes=2)
    program = random_program(config, 21, num_instructions=30)
    result, expectations = record(program)
    assert result.fault is None
    iss = Iss.of_program(program)
    replayed = {space.name.lower(): sram.copy() for space, sram in iss.state.sram.items()}
    assert set(replayed) == {"activation", "weight", "accumulator", "parameter"}
    for expected in expectations:
        sram = replayed[expected.sram]
        words = np.frombuffer(expected.data, np.uint8).reshape(-1, sram.shape[1])
        sram[expected.word : expected.word + len(words)] = words
    iss.run(program.program_address)
    for space in Space:
        if space != Space.DRAM:
            np.testing.assert_array_equal(replayed[space.name.lower()], iss.state.sram[space])


def test_counts_stay_within_the_retirements() -> None:
    program = random_program(Config.load("nano"), 22)
    result, expectations = record(program)
    for engine in Engine:
        counts = [e.count for e in expectations if e.engine == engine.name.lower()]
        assert counts == sorted(counts)
        assert not counts or 1 <= counts[0] <= counts[-1] <= result.retired[engine]
