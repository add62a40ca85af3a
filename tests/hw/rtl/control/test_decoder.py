"""The hardware decoder against `encoding.decode`."""

import random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.control.decoder import Decoder, own_fields, queued
from tilewright.hw.rtl.interfaces import fields_layout
from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.instruction_set import BY_OPCODE, operations

CONFIGS = [
    PRESETS["nano"],
    PRESETS["nano"].replace(name="no_unit", depthwise_taps=0),
    PRESETS["nano"].replace(name="path_registers", path_registers=1),
    PRESETS["xl"],
    Config(name="odd", rows=3, cols=5, lanes=1, operand_lanes=1),
]


def random_word(rng: random.Random, config: Config) -> int:
    """A legal instruction of random fields, or one with some of its bits changed."""
    operation = rng.choice(operations(config))
    word = 0
    for field, first, bits in encoding.layout(operation, config):
        value = rng.getrandbits(bits)
        if field.values is not None:
            value = int(rng.choice(list(field.values)))
        if field.name == "opcode":
            value = operation.opcode
        word |= value << first
    if rng.random() < 0.4:
        position = rng.choice([rng.randrange(12), rng.randrange(12, 104), rng.randrange(512)])
        word ^= 1 << position
    return word


def decoded(word: int, config: Config) -> isa.Instruction | None:
    try:
        return encoding.decode(word.to_bytes(64, "little"), config)
    except encoding.IllegalInstruction:
        return None


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_decoder_agrees_with_encoding(config):
    rng = random.Random(config.rows)
    dut = Decoder(config=config, operations=operations(config))
    seen = {"legal": 0, "illegal": 0}

    async def bench(ctx):
        layouts = {op.name: fields_layout(op, config) for op in queued(operations(config))}
        views = {
            name: layout(own_fields(dut.word, layout.size, config))
            for name, layout in layouts.items()
        }
        for _ in range(400):
            word = random_word(rng, config)
            ctx.set(dut.word, word)
            expected = decoded(word, config)
            assert bool(ctx.get(dut.illegal)) == (expected is None), hex(word)
            seen["legal" if expected else "illegal"] += 1
            if expected is None:
                continue
            assert ctx.get(dut.is_end) == (expected.engine is None)
            one_hot = [name == expected.name for name in layouts]
            assert ctx.get(dut.operation) == sum(bit << i for i, bit in enumerate(one_hot))
            waits = [*expected.waits, *[isa.Wait(engine=isa.Engine(0), count=0)] * 4][:4]
            for slot, wait in enumerate(waits):
                assert ctx.get(dut.waits[slot].engine) == wait.engine
                assert ctx.get(dut.waits[slot].count) == wait.count
            if expected.engine is not None:
                fields = ctx.get(views[expected.name])
                assert {n: fields[n] for n in expected.values()} == expected.values()

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen.values()) > 50


@pytest.mark.parametrize("taps", [0, 3])
def test_every_opcode_but_the_config_s_is_illegal(taps):
    config = PRESETS["nano"].replace(depthwise_taps=taps)
    opcodes = set(BY_OPCODE) - ({0x28} if taps == 0 else set())
    dut = Decoder(config=config, operations=operations(config))

    async def bench(ctx):
        for opcode in range(256):
            ctx.set(dut.word, opcode)
            assert bool(ctx.get(dut.illegal)) == (opcode not in opcodes)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
