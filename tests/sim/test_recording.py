"""Recorded expectations: every SRAM write, in runs, for the right retirement."""

import numpy as np

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.operations.transfer import Load
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.random_program import random_program
from tilewright.sim.iss import Iss, Retirement
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


def test_a_load_that_retires_late_leaves_out_the_first_word_of_the_next_one() -> None:
    config = Config.load("nano").replace(path_registers=1)
    left_out = 0
    for seed in range(100, 108):
        program = random_program(config, seed, num_instructions=40)
        written, loads = written_words(program)
        expected = {
            (e.engine, e.count, e.sram, e.word + number)
            for e in record(program)[1]
            for number in range(len(e.data) // getattr(config, f"{e.sram}_word_bytes"))
        }
        first_words = {
            ("load", count, load.space.name.lower(), load.sram_address)
            for count, load in enumerate(loads[1:], start=1)
        }
        assert expected <= written
        assert written - expected == written & first_words
        left_out += len(written & first_words)
    assert left_out


def written_words(program: Program) -> tuple[set[tuple[str, int, str, int]], list[Load]]:
    """Return the words of SRAM that each instruction writes, and the program's LOADs."""
    written, loads = set(), []

    def note(retirement: Retirement) -> None:
        if isinstance(retirement.instruction, Load):
            loads.append(retirement.instruction)
        for write in retirement.writes:
            key = (retirement.engine.name.lower(), retirement.number, write.space.name.lower())
            if write.space != Space.DRAM:
                written.update((*key, int(word)) for word in write.addresses)

    Iss.of_program(program).run(program.program_address, note)
    return written, loads
