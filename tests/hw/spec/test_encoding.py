"""Instruction words: layout, ranges, what decodes and what is illegal."""

import random

import pytest

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.encoding import IllegalInstruction, decode, encode, field_range, layout
from tilewright.hw.spec.instruction_set import BY_NAME, BY_OPCODE, OPERATIONS, instruction
from tilewright.hw.spec.isa import Engine, Instruction, Wait
from tilewright.hw.spec.words import decode_program
from tilewright.support.errors import ProgramError

BASE = PRESETS["base"]


def random_fields(operation: isa.Operation, config: Config, rng: random.Random) -> Instruction:
    """Return an instruction whose every field is drawn from its whole range, ends included."""
    fields = {}
    for field in operation.fields:
        low, high = field_range(field, config)
        fields[field.name] = rng.choice((low, high, rng.randint(low, high)))
    waits = tuple(
        Wait(engine=rng.choice(list(Engine)), count=rng.choice((1, 2**20 - 1)))
        for _ in range(rng.randint(0, 4))
    )
    return operation.of(fields, waits)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_decode_inverts_encode(operation: isa.Operation, config: Config) -> None:
    rng = random.Random(7)
    for _ in range(20):
        i = random_fields(operation, config, rng)
        word = encode(i, config)
        assert len(word) == 64
        assert decode(word, config) == i


def test_load_word_bit_by_bit() -> None:
    """A word put together by hand from the documented order of fields."""
    word, position = 0, 0
    for value, bits in (
        (0x10, 8), (0, 4), (1, 3), (5, 20), (0, 23 * 3),  # opcode, type, one wait, empty waits
        (1, 2), (0x1234_5678, 32), (7, 15), (3, 16),  # target, DRAM, SRAM, run
        (1, 12), (0xFFFF_FFF0, 32), (2, 15), (1, 12), (0, 32), (0, 15), (1, 12), (0, 32), (0, 15),
    ):  # fmt: skip
        word |= value << position
        position += bits
    i = instruction(
        "LOAD", (Wait(engine=Engine.MATRIX, count=5),), target=1, dram_address=0x1234_5678,
        sram_address=7, run=3, count0=1, dram_stride0=0xFFFF_FFF0, sram_stride0=2, count1=1,
        count2=1,
    )  # fmt: skip
    assert int.from_bytes(encode(i, BASE), "little") == word


def test_signed_fields_are_twos_complement() -> None:
    word = encode(instruction("MATRIX", origin_y=-1, padding=-128), BASE)
    fields = {f.name: (position, bits) for f, position, bits in layout(BY_NAME["MATRIX"], BASE)}
    value = int.from_bytes(word, "little")
    for name, expected in (("origin_y", 0x3FFF), ("padding", 0x80)):
        position, bits = fields[name]
        assert value >> position & ((1 << bits) - 1) == expected


@pytest.mark.parametrize(
    ("i", "message"),
    [
        (instruction("LOAD", run=65536), "LOAD.run must be 0 to 65535, got 65536"),
        (instruction("MATRIX", padding=128), "MATRIX.padding must be -128 to 127, got 128"),
        (instruction("LOAD", target=3), "LOAD.target must be 0 to 2, got 3"),
        (
            instruction("END", (Wait(engine=Engine.LOAD, count=1),) * 5),
            "END: at most 4 waits, got 5",
        ),
    ],
)
def test_encode_rejects_what_does_not_fit(i: Instruction, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        encode(i, BASE)
    assert str(caught.value) == message


def test_decode_rejects_what_the_hardware_rejects() -> None:
    def flipped(i: Instruction, bit: int) -> bytes:
        return (int.from_bytes(encode(i, BASE), "little") ^ 1 << bit).to_bytes(64, "little")

    with pytest.raises(IllegalInstruction, match="unknown opcode 0x00"):
        decode(bytes(64), BASE)
    with pytest.raises(IllegalInstruction, match=r"END\.element_type has no value 1"):
        decode(flipped(instruction("END"), 8), BASE)
    with pytest.raises(IllegalInstruction, match="END: reserved bits are not zero"):
        decode(flipped(instruction("END"), 104), BASE)
    with pytest.raises(IllegalInstruction, match=r"LOAD\.target has no value 3"):
        decode(flipped(instruction("LOAD", target=2), 104), BASE)
    with pytest.raises(IllegalInstruction, match=r"wait0_engine has no value 5"):
        decode(flipped(instruction("END", (Wait(engine=Engine.STORE, count=1),)), 12), BASE)


def test_every_bit_behind_the_last_field_is_reserved() -> None:
    for operation in OPERATIONS:
        _, position, bits = layout(operation, BASE)[-1]
        word = int.from_bytes(encode(instruction(operation.name), BASE), "little")
        for bit in (position + bits, 511):
            with pytest.raises(IllegalInstruction):
                decode((word | 1 << bit).to_bytes(64, "little"), BASE)


def test_formats_fit_at_the_widest_config() -> None:
    widest = Config(rows=128, cols=128, lanes=1, operand_lanes=1, activation_kib=16384,
                    weight_kib=16384, accumulator_kib=16384, parameter_kib=1024)  # fmt: skip
    for operation in OPERATIONS:
        layout(operation, widest)


def test_table_is_consistent() -> None:
    assert len(BY_NAME) == len(BY_OPCODE) == len(OPERATIONS)
    for operation in OPERATIONS:
        names = [field.name for field in (*isa.COMMON_FIELDS, *operation.fields)]
        assert len(names) == len(set(names))
        for field in operation.fields:
            assert field.meaning


def test_element_types_are_those_of_the_operation(monkeypatch) -> None:
    config = BASE.replace(name="other_types")  # what is remembered of a row is by config
    load = encode(instruction("LOAD"), BASE)
    monkeypatch.setattr(BY_NAME["LOAD"], "element_types", (2,))
    with pytest.raises(ProgramError, match=r"LOAD\.element_type must be 2, got 0"):
        encode(instruction("LOAD"), config)
    for decoder in (decode, decode_program):
        with pytest.raises(IllegalInstruction, match=r"LOAD\.element_type has no value 0"):
            decoder(load, config)
    assert decode(encode(instruction("STORE"), config), config) == instruction("STORE")


def test_a_number_between_two_legal_ones_is_illegal(monkeypatch) -> None:
    config = BASE.replace(name="types_with_a_gap")
    monkeypatch.setattr(BY_NAME["LOAD"], "element_types", (0, 3))
    load = BY_NAME["LOAD"].of({}, (), 2)
    with pytest.raises(ProgramError, match=r"LOAD\.element_type must be 0 or 3, got 2"):
        encode(load, config)
