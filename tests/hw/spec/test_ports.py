"""The banks that instructions ask for, against every word that they touch."""

import random

import pytest

from tilewright.hw.rtl.memory import accumulator_memory, activation_memory, parameter_memory
from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.ports import PRIORITIES, Ports, Side
from tilewright.hw.spec.random_program import random_program

NANO = PRESETS["nano"]
ACCUMULATORS = (Space.ACCUMULATOR, Side.READ)
MATRIX = {
    "out_blocks": 1, "in_blocks": 1, "kernel_height": 1, "kernel_width": 1, "out_height": 2,
    "out_width": 2, "stride_y": 1, "stride_x": 1, "height": 2, "width": 2, "source_pitch": 2,
}  # fmt: skip


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_requested_banks_are_those_of_the_words(preset):
    config, seed = PRESETS[preset], random.randrange(1 << 30)
    print("seed", seed)
    bank_words = {
        Space.ACTIVATION: config.activation_words // config.activation_banks,
        Space.ACCUMULATOR: config.accumulator_words // config.accumulator_banks,
        Space.PARAMETER: config.parameter_words,
    }
    for item in random_program(config, seed, num_instructions=60).instructions:
        touched = accesses(item, config)
        found = dict(Ports(config).requests(item, touched))
        for side, accessed in ((Side.READ, touched.reads), (Side.WRITE, touched.writes)):
            for access in accessed:
                if access.space in bank_words and (access.space, side) in PRIORITIES:
                    banks = set((access.addresses // bank_words[access.space]).tolist())
                    asked = found.pop((access.space, side))
                    assert asked == sum(1 << bank for bank in banks), item
        assert set(found) <= {ACCUMULATORS}, item
        assert not found or item.name == "MATRIX"


def test_only_a_matrix_of_several_weight_tiles_reads_the_sums_it_makes():
    one = instruction("MATRIX", **MATRIX)
    assert ACCUMULATORS not in Ports(NANO).requests(one, accesses(one, NANO))
    two = instruction("MATRIX", **MATRIX | {"in_blocks": 2, "destination": 3})
    assert Ports(NANO).requests(two, accesses(two, NANO))[ACCUMULATORS] == 1


def test_memories_have_a_port_for_each_engine_of_the_priorities():
    memories = {
        Space.ACTIVATION: activation_memory(NANO),
        Space.ACCUMULATOR: accumulator_memory(NANO),
        Space.PARAMETER: parameter_memory(NANO),
    }
    for (space, side), engines in PRIORITIES.items():
        memory = memories[space]
        ports = memory.readers if side == Side.READ else memory.writers
        vector_operand = (space, side) == (Space.ACTIVATION, Side.READ)
        assert len(ports) == len(engines) + vector_operand, (space, side)
