"""VectorEngine against the plain model, with random refusals at every port."""

import numpy as np
import pytest
from vector_bench import CONFIGS, Bench
from vector_model import Memories, execute, random_fields, random_parameters

from tilewright.hw.spec.instruction_set import BY_NAME
from tilewright.hw.spec.isa import Combine


def random_program(config, memories, random, count, **options):
    """Fields of `count` instructions, each with a parameter block of its own."""
    program, address = [], config.table_words
    for _ in range(count):
        fields = random_fields(config, random, **options)
        groups = 1 if fields["uniform"] else fields["groups"]
        size = config.header_words + groups * (1 + fields["negative_scales"])
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


def check_random_program(name, *, seed, stall, count, **options):
    config = CONFIGS[name]
    random = np.random.default_rng(seed)
    memories = Memories.random(config, random)
    program = random_program(config, memories, random, count, **options)
    bench = Bench(config, memories, stall=stall, seed=seed)
    got = bench.run(program)
    assert bench.faults == []
    compare(config, program, memories, got)


@pytest.mark.parametrize(
    ("name", "stall"),
    [
        ("1x1", 0.2),
        ("3x5", 0.3),
        ("4x4", 0.0),
        ("4x4", 0.5),
        ("4x4 registers", 0.5),
        ("4x4 wires", 0.5),
        ("8x16", 0.1),
        ("8x16 registers", 0.1),
        ("8x16 wires", 0.1),
        ("4x4 digits", 0.3),
        ("12x20", 0.3),
    ],
)
def test_engine_equals_model_on_random_programs(name, stall):
    check_random_program(name, seed=1, stall=stall, count=9)


@pytest.mark.parametrize("name", ["4x4", "4x4 registers", "4x4 wires", "1x1"])
def test_engine_keeps_short_instructions_and_groups_apart(name):
    """One pixel a group: several instructions and groups are in the pipeline at a time."""
    check_random_program(name, seed=11, stall=0.0, count=24, largest=2)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(2, 5))
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", CONFIGS)
def test_engine_equals_model_in_long_programs(name, stall, seed):
    check_random_program(name, seed=seed, stall=stall, count=40)


def faulty_program(config):
    """Small instructions, each with the change that makes it fault, or none."""
    copy = {"out_height": 1, "out_width": 2, "groups": 1, "kernel_height": 1, "kernel_width": 1}
    copy |= {"width": 64, "height": 64, "stride_x": 1, "destination": 1500, "parameters": 40}
    changes = (
        {"source": config.activation_words - 1},
        {},
        {"source": config.activation_words - 1, "width": 1},
        {"destination": config.activation_words - 1},
        {"parameters": config.parameter_words - config.header_words},
        {"use_table": 1, "table": config.parameter_words - 1},
        {"combine": Combine.ADD, "operand": config.activation_words - 1},
        {"source_group": config.row_groups},
        {"destination_group": config.row_groups},
        {"operand_group": config.row_groups},
        {"combine": Combine.ADD, "operand_group": config.row_groups},
        {"source_group": config.row_groups, "groups": 0},
        {},
    )
    names = [field.name for field in BY_NAME["VECTOR"].fields]
    faulty = {0, 3, 4, 5, 6, 7, 8, 10}
    return [dict.fromkeys(names, 0) | copy | change for change in changes], faulty


@pytest.mark.parametrize("name", ["4x4", "4x4 registers", "4x4 wires"])
def test_out_of_range_accesses_fault_and_the_engine_carries_on(name):
    config = CONFIGS[name]
    memories = Memories.random(config, np.random.default_rng(3))
    program, faulty = faulty_program(config)
    bench = Bench(config, memories, stall=0.1)
    before = memories.activation.copy()
    got = bench.run(program).copy()
    assert {index for _, index in bench.faults} == faulty
    assert len(bench.retired) == len(program)
    execute(config, memories, program[-1])
    assert (got[1500:1502] == memories.activation[1500:1502]).all()
    got[1500:1502] = before[1500:1502]
    last = config.activation_words - 1
    got[last] = before[last]
    assert (got == before).all(), "a write landed where no instruction has its destination"


@pytest.mark.parametrize("name", ["4x4", "4x4 registers", "4x4 wires", "4x4 digits"])
@pytest.mark.parametrize("combine", [Combine.ADD, Combine.MULTIPLY])
def test_source_and_operand_in_one_bank_do_not_block_each_other(combine, name):
    config = CONFIGS[name]
    random = np.random.default_rng(int(combine))
    memories = Memories.random(config, random)
    program = random_program(config, memories, random, 6)
    program = [{**fields, "combine": combine} for fields in program]
    bench = Bench(config, memories, one_bank=True)
    compare(config, program, memories, bench.run(program))
