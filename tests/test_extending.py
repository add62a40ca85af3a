"""docs/extending.md: its files exist, and an instruction added by its steps works everywhere.

The instruction is INVERT, a second operation of the load engine: it copies words from DRAM as LOAD
does and inverts every bit.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.compiler.program.checker import CheckError, check_program
from tilewright.hw.rtl.control.decoder import Decoder, engine_operations
from tilewright.hw.spec import instruction_set
from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.assembly import assemble, disassemble
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import IllegalInstruction, decode, encode
from tilewright.hw.spec.header import c_header
from tilewright.hw.spec.isa import Engine, operation
from tilewright.hw.spec.manual import isa_manual
from tilewright.hw.spec.operations.transfer import Load
from tilewright.hw.spec.random_instruction import SAMPLE
from tilewright.hw.spec.random_program import random_program
from tilewright.hw.spec.registers import Fault
from tilewright.sim import iss
from tilewright.sim.timing import simulate
from tilewright.sim.transfer import execute_transfer

CONFIG = PRESETS["nano"]

ROOT = Path(__file__).resolve().parents[1]


def test_the_guide_names_files_that_exist():
    text = (ROOT / "docs" / "extending.md").read_text()
    named = set(re.findall(r"(?:\w+/)+\w+(?:\.py|\.md)?|CHANGELOG\.md", text))
    paths = {name for name in named if name.split("/")[0] in {p.name for p in ROOT.iterdir()}}
    assert len(paths) > 20
    assert [name for name in sorted(paths) if not (ROOT / name).exists()] == []


@operation(0x12, Engine.LOAD, "copies words from DRAM to an SRAM, every bit inverted")
class Invert(Load):
    """The row: fields, walks and cycles are LOAD's."""


def execute_invert(i: Invert, state) -> Fault:
    """The semantics."""
    fault = execute_transfer(i, state)
    if fault == Fault.NONE:
        (write,) = accesses(i, state.config).writes
        state.sram[write.space][write.addresses] ^= 0xFF
    return fault


def sample_invert(pool, rng):
    """The sampler."""
    return Invert.of(SAMPLE[Load](pool, rng).values())


@pytest.fixture
def extended(monkeypatch):
    """The steps of the guide."""
    instruction_set.operations.cache_clear()
    monkeypatch.setitem(instruction_set.BY_NAME, Invert.name, Invert)
    monkeypatch.setitem(instruction_set.BY_OPCODE, Invert.opcode, Invert)
    monkeypatch.setattr(iss, "EXECUTE", {**iss.EXECUTE, Invert: execute_invert})
    monkeypatch.setitem(SAMPLE, Invert, sample_invert)
    yield
    instruction_set.operations.cache_clear()


COPY = """
.memory 0x1000
.address 0x800
.bytes 0 00112233445566778899aabbccddeeff
load:  INVERT target=ACTIVATION run=4 count0=1 count1=1 count2=1
       STORE after load dram_address=0x100 run=4 count0=1 count1=1 count2=1
       END
"""


@pytest.mark.usefixtures("extended")
def test_an_added_instruction_is_in_text_words_manual_and_header():
    program = assemble(COPY, CONFIG)
    invert = program.instructions[0]
    assert type(invert) is Invert
    assert decode(encode(invert, CONFIG), CONFIG) == invert
    assert assemble(disassemble(program), CONFIG).instructions == program.instructions
    assert "### INVERT\n" in isa_manual(CONFIG)
    assert "tilewright_pack_invert(" in c_header(CONFIG)


@pytest.mark.usefixtures("extended")
def test_an_added_instruction_runs_and_takes_its_cycles():
    program = assemble(COPY, CONFIG)
    simulator = iss.Iss.of_program(program)
    assert simulator.run(program.program_address).fault is None
    pitch, size = CONFIG.activation_pitch, CONFIG.activation_word_bytes
    words = np.frombuffer(program.image[: 4 * pitch], np.uint8).reshape(4, pitch)[:, :size]
    stored = simulator.memory[0x100 : 0x100 + 4 * pitch].reshape(4, pitch)[:, :size]
    assert np.array_equal(stored, ~words)
    as_load = simulate(assemble(COPY.replace("INVERT", "LOAD"), CONFIG))
    assert simulate(program).retired == as_load.retired


@pytest.mark.usefixtures("extended")
def test_the_checker_knows_what_an_added_instruction_touches():
    invert, store, end = assemble(COPY, CONFIG).instructions
    check_program([invert, store, end], CONFIG, writable=[(0x100, 0x200)])
    with pytest.raises(CheckError, match="LOAD instruction 1 uses, but waits only for LOAD 0"):
        check_program([invert, store.waiting(()), end], CONFIG, writable=[(0x100, 0x200)])


@pytest.mark.usefixtures("extended")
def test_random_programs_of_an_added_instruction_run():
    program = random_program(CONFIG, 1, num_instructions=40, operations=("INVERT", "STORE"))
    assert sum(type(i) is Invert for i in program.instructions) > 5
    assert iss.Iss.of_program(program).run(program.program_address).fault is None


@pytest.mark.usefixtures("extended")
def test_the_decoder_in_gateware_takes_an_added_instruction():
    rows = instruction_set.operations(CONFIG)
    dut = Decoder(config=CONFIG, operations=rows)
    word = int.from_bytes(encode(assemble(COPY, CONFIG).instructions[0], CONFIG), "little")
    assert [row.name for row in engine_operations(rows)[Engine.LOAD]] == ["LOAD", "INVERT"]

    async def bench(ctx):
        for value, illegal in ((word, 0), (word | 1 << 511, 1)):
            ctx.set(dut.word, value)
            assert ctx.get(dut.illegal) == illegal

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_without_the_steps_the_instruction_does_not_exist():
    word = (Invert.opcode).to_bytes(64, "little")
    with pytest.raises(IllegalInstruction, match="unknown opcode 0x12"):
        decode(word, CONFIG)
