"""VectorEngine against the plain model, with random refusals at every port."""

import numpy as np
import pytest
from vector_bench import CONFIGS, Bench
from vector_model import Memories, execute, random_fields, random_parameters

from tilewright.hw.spec.isa import Combine


def random_program(config, memories, random, count, **options):
    """Fields of `count` instructions, each with a parameter block of its own."""
    program, address = [], config.table_words
    for _ in range(count):
        fields = random_fields(config, random, **options)
        size = config.header_words + (1 if fields["uniform"] else fields["groups"])
        if address + size > config.parameter_words:
            break
        fields["parameters"] = address
        fields["table"] = int(random.integers(config.parameter_words - config.table_words))
        random_parameters(config, memories, random, fields)
        address += size
        program.append(fields)
    return program


def compare(config, program, memories, got):
    for index, fields in enumerate(program):
        before = memories.activation.copy()
        execute(config, memories, fields)
        changed = (before != memories.activation).any()
        assert fields["groups"] == 0 or changed or len(program) > 1, index
    wrong = np.argwhere(got != memories.activation)
    assert not len(wrong), f"{len(wrong)} bytes differ, first at word, lane {wrong[0]}"


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "16x16"])
def test_engine_equals_model_on_random_programs(name, stall):
    config, seed = CONFIGS[name], len(name) + int(10 * stall)
    random = np.random.default_rng(seed)
    memories = Memories.random(config, random)
    program = random_program(config, memories, random, 12)
    bench = Bench(config, memories, stall=stall, seed=seed)
    got = bench.run(program)
    assert bench.faults == []
    compare(config, program, memories, got)


@pytest.mark.parametrize("combine", [Combine.ADD, Combine.MULTIPLY])
def test_source_and_operand_in_one_bank_do_not_block_each_other(combine):
    config = CONFIGS["4x4"]
    random = np.random.default_rng(int(combine))
    memories = Memories.random(config, random)
    program = random_program(config, memories, random, 6)
    program = [{**fields, "combine": combine} for fields in program]
    bench = Bench(config, memories, one_bank=True)
    compare(config, program, memories, bench.run(program))
