"""Estimates of single tasks."""

import random

import pytest

from tilewright.compiler.plan.estimate import issue_cycles, latency_cycles
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.cycles import burst_limit
from tilewright.hw.spec.instruction_set import instruction, operations


@pytest.mark.parametrize("preset", PRESETS)
def test_a_matrix_retires_as_long_after_its_issue_whatever_its_pixels_and_tiles(preset):
    config = PRESETS[preset]
    sizes = {"out_width": 1, "kernel_width": 1, "out_blocks": 1, "kernel_height": 1}
    short, long = (
        instruction("MATRIX", out_height=height, in_blocks=blocks, **sizes)
        for height, blocks in ((1, 1), (200, 3))
    )
    assert issue_cycles(long, config) == 600
    assert latency_cycles(short, config) == latency_cycles(long, config)
    assert latency_cycles(long, config) < long.latency(config) - issue_cycles(long, config)


@pytest.mark.parametrize("preset", PRESETS)
def test_instructions_of_one_pace_take_the_same_cycles(preset):
    config, rng = PRESETS[preset], random.Random(preset)
    limit = burst_limit(config)
    rows = [operation for operation in operations(config) if operation.engine is not None]
    for _ in range(60):
        operation = rng.choice(rows)
        given = {
            field.name: rng.choice(sorted(operation.legal(field) or range(32)))
            for field in operation.fields
        }
        moved = {base: given[base] + limit * rng.randrange(4)
                 for base in operation.bases}  # fmt: skip
        one, other = operation.of(given), operation.of({**given, **moved})
        assert one.cycles_key(limit) == other.cycles_key(limit)
        assert one.cycles(config) == other.cycles(config) == issue_cycles(other, config)
        assert one.latency(config) == other.latency(config)
