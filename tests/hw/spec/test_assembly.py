"""Assembler and disassembler: round trip, syntax, and messages with line numbers."""

import pytest

from tilewright.hw.spec.assembly import assemble, disassemble
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.random_program import InjectedFault, random_program
from tilewright.support.errors import ProgramError

NANO = PRESETS["nano"]

EXAMPLE = """\
.memory 0x10_000
.address 0x40          ; behind the data
.bytes 0 0102fF
input:  LOAD target=ACTIVATION sram_address=0b101 run=4 \\
             count0=1 count1=1 count2=1
        LOAD after input target=WEIGHT dram_address=4_096 run=0o10   # a comment
        MATRIX after LOAD:2, MATRIX:0 padding=-3 origin_y = -1
        STORE after input
        END
"""


def test_example_means_what_it_says() -> None:
    program = assemble(EXAMPLE, NANO)
    assert (program.memory_bytes, program.program_address) == (0x10000, 0x40)
    assert program.image[:3] == b"\1\2\xff"
    load, weights, matrix, store, end = program.instructions
    assert (load.sram_address, load.run, load.count2) == (5, 4, 1)
    assert (weights.target, weights.dram_address, weights.run) == (1, 4096, 8)
    assert weights.waits == store.waits == (Wait(engine=Engine.LOAD, count=1),)
    assert matrix.waits[0] == Wait(engine=Engine.LOAD, count=2)
    assert (matrix.padding, matrix.origin_y, end.name) == (-3, -1, "END")


@pytest.mark.parametrize("fault", [None, *InjectedFault])
@pytest.mark.parametrize("name", PRESETS)
def test_random_programs_round_trip(name: str, fault: InjectedFault | None) -> None:
    program = random_program(PRESETS[name], 11, num_instructions=12, fault=fault)
    text = disassemble(program)
    again = assemble(text, PRESETS[name])
    assert again.num_instructions == program.num_instructions
    assert [again.word(n) for n in range(again.num_instructions)] == [
        program.word(n) for n in range(program.num_instructions)
    ]
    assert (again.memory_bytes, again.program_address) == (
        program.memory_bytes, program.program_address,
    )  # fmt: skip
    assert disassemble(again) == text


def test_waits_become_labels() -> None:
    text = disassemble(assemble(EXAMPLE, NANO))
    assert "load_1:      LOAD sram_address=5 run=4" in text
    assert "             LOAD after load_1 target=WEIGHT" not in text
    assert "load_2:      LOAD after load_1 target=WEIGHT" in text
    assert "MATRIX after load_2" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LAOD run=1\nEND", "a:1: unknown operation 'LAOD'; did you mean 'LOAD'?"),
        ("END\n\nLOAD rum=1", "a:3: LOAD has no field 'rum'; did you mean 'run'?"),
        ("LOAD run=x\nEND", "a:1: 'x' is no number; write 12, -3, 0x1F, 0b101 or 4_096"),
        ("LOAD run=65536\nEND", "a:1: LOAD.run must be 0 to 65535, got 65536"),
        ("LOAD run=1 run=2\nEND", "a:1: field 'run' is given twice"),
        ("LOAD target=SRAM\nEND", "a:1: target must be one of ACTIVATION (0), WEIGHT (1), "
                                  "PARAMETER (2), got 'SRAM'"),
        ("STORE after x\nx: LOAD\nEND", "a:1: no earlier instruction has the label 'x'; an "
                                        "instruction waits only for earlier ones"),
        ("x: LOAD\nx: LOAD\nEND", "a:2: label 'x' is defined twice"),
        ("x: END", "a:1: label 'x': nothing can wait for END"),
        ("LOAD after FETCH:1\nEND", "a:1: unknown engine 'FETCH'; there are LOAD, MATRIX, "
                                    "DEPTHWISE, VECTOR, STORE"),
        ("LOAD waits LOAD:1\nEND", "a:1: expected field=value or 'after WAIT, ...', got "
                                   "'waits LOAD:1'"),
        ("LOAD run=1 2\nEND", "a:1: expected field=value, got '2'"),
        ("a: LOAD\nEND after a, a, a, a, a", "a:2: END: at most 4 waits, got 5"),
        ("LOAD", "a:1: the last instruction must be END"),
        ("", "a:0: the last instruction must be END"),
        (".word 00ff\nEND", "a:1: .word takes 64 bytes, got 2"),
        (".bytes 0 0g\nEND", "a:1: expected pairs of hexadecimal digits, got '0g'"),
        (".bytes 0 00\nEND", "a:2: .bytes 0x0 overlaps the program at 0x0"),
        (".memory 8\nEND", "a:2: .memory must be at least 64, got 8"),
        (".address 8\nEND", "a:1: .address must be a multiple of 64, got 8"),
        (".align 8\nEND", "a:1: unknown directive '.align'; there are .memory, .address, .bytes, "
                          ".word"),
        ("x: .memory 8\nEND", "a:1: label 'x' must stand before an instruction"),
    ],
)  # fmt: skip
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        assemble(text, NANO, "a")
    assert str(caught.value) == message


def test_every_end_closes_a_section_with_counts_of_its_own():
    text = "a: LOAD run=1\nSTORE after a\nEND\na: LOAD run=2\nSTORE after a, LOAD:1\nEND\n"
    program = assemble(text, NANO)
    assert [(s.first, s.num_instructions) for s in program.sections] == [(0, 3), (3, 3)]
    again = assemble(disassemble(program), NANO)
    assert again.image == program.image
    assert again.sections == program.sections
    with pytest.raises(ProgramError, match="a:4: no earlier instruction has the label 'a'"):
        assemble("a: LOAD\nEND\nLOAD\nSTORE after a\nEND\n", NANO, "a")
