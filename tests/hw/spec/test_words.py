"""Whole programs: the same instructions, words and errors as one by one."""

import random
import tracemalloc

import pytest

from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import IllegalInstruction, decode, encode
from tilewright.hw.spec.instruction_set import instruction, operations
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.random_program import random_program
from tilewright.hw.spec.words import decode_program, encode_program, representatives
from tilewright.support.errors import ProgramError
from tilewright.support.records import replace

CONFIGS = (*PRESETS.values(), PRESETS["base"].replace(depthwise_taps=0))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.name}{config.digest[:2]}")
def test_programs_decode_as_their_words_do(config):
    for seed in range(4):
        program = random_program(config, seed)
        words = [program.word(n) for n in range(program.num_instructions)]
        assert decode_program(b"".join(words), config) == tuple(decode(w, config) for w in words)


def decode_only_word(data, config):
    (found,) = decode_program(data, config)
    return found


def outcome(decoder, data, config):
    """The instruction that `decoder` returns, or the message of the fault."""
    try:
        return decoder(data, config)
    except IllegalInstruction as error:
        return str(error)


def test_random_words_decode_or_fault_as_alone():
    rng, faults = random.Random(5), 0
    for _ in range(3000):
        config = rng.choice(CONFIGS)
        opcode = rng.choice((*(o.opcode for o in operations(config)), rng.randrange(256)))
        word = opcode | rng.getrandbits(rng.choice((8, 12, 104, 300, 420, 504))) << 8
        word &= ~(rng.choice((0, 0xF, 0xFF_FFFF)) << 8)
        data = word.to_bytes(64, "little")
        expected = outcome(decode, data, config)
        assert outcome(decode_only_word, data, config) == expected
        faults += isinstance(expected, str)
    assert 300 < faults < 2700


def test_an_empty_program():
    assert decode_program(b"", PRESETS["base"]) == ()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.name}{config.digest[:2]}")
def test_programs_encode_as_their_instructions_do(config):
    for seed in range(4):
        instructions = random_program(config, seed).instructions
        expected = b"".join(encode(instruction, config) for instruction in instructions)
        assert encode_program(instructions, config) == expected


def test_instructions_that_differ_in_bases_and_waits_alone_share_a_shape():
    load = instruction("LOAD", run=4, count0=2, dram_address=64)
    wait = Wait(engine=Engine.LOAD, count=1)
    other = load.based(dram_address=128, sram_address=3)
    alike = instruction("LOAD", run=4, count0=2, dram_address=128, sram_address=3)
    assert other == alike
    assert load == instruction("LOAD", run=4, count0=2, dram_address=64)
    assert load.shape is other.shape is alike.shape is other.waiting((wait,)).shape
    for given in (load, other):
        changed = replace(given, run=5)
        assert changed.shape is not load.shape
        assert changed.shape is instruction("LOAD", run=5, count0=2).shape
        assert changed.dram_address == given.dram_address
    for bases in ({"dram_address": 1}, {"dram_address": 1, "run": 5}):
        with pytest.raises(AssertionError, match="LOAD has the bases"):
            load.based(**bases)


@pytest.mark.parametrize("operation", operations(PRESETS["base"]))
def test_an_instruction_at_other_bases_is_one_with_all_its_fields(operation):
    fields = {field.name: number for number, field in enumerate(operation.fields, 1)}
    bases = {name: 100 + fields[name] for name in operation.bases}
    wait = (Wait(engine=Engine.STORE, count=7),)
    found = operation.of(fields, wait).based(**bases)
    expected = operation.of({**fields, **bases}, wait)
    assert (found, hash(found), repr(found)) == (expected, hash(expected), repr(expected))
    assert (found.values(), found.waits) == (expected.values(), wait)
    assert found.waiting(()) == operation.of({**fields, **bases})


def test_instructions_of_a_shape_take_little_memory():
    matrix, many = instruction("MATRIX", out_blocks=1), 1000
    matrix.based(source=0, weights=0, destination=0)
    tracemalloc.start()
    found = [matrix.based(source=0, weights=0, destination=n) for n in range(many)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 400 * len(found)


def test_representatives_have_every_shape_and_the_extremes_of_the_other_fields():
    instructions = random_program(PRESETS["base"], 3).instructions
    found = representatives(instructions)
    assert set(found) <= set(instructions)
    assert {i.shape for i in found} == {i.shape for i in instructions}
    for operation in {type(i) for i in instructions}:
        for name in operation.bases:
            values, all_values = (
                [getattr(i, name) for i in group if type(i) is operation]
                for group in (found, instructions)
            )
            assert (min(values), max(values)) == (min(all_values), max(all_values))


@pytest.mark.parametrize("value", [-1, 1 << 20, 1 << 63, -(1 << 70)])
def test_a_value_that_does_not_fit_is_named(value):
    config = PRESETS["base"]
    instructions = [instruction("END"), instruction("MATRIX", source=value)]
    with pytest.raises(ProgramError, match=rf"MATRIX.source must be 0 to \d+, got {value}"):
        encode_program(instructions, config)


def test_too_many_waits_are_refused():
    waits = (Wait(engine=Engine.LOAD, count=1),) * 5
    with pytest.raises(ProgramError, match="at most 4 waits, got 5"):
        encode_program([instruction("MATRIX").waiting(waits)], PRESETS["base"])


def test_no_instructions_are_no_words():
    assert encode_program((), PRESETS["base"]) == b""
