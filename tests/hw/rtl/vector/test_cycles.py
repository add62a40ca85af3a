"""The VECTOR formulas of hw/spec/operations/vector.py against the engine, to the cycle."""

import numpy as np
import pytest
from vector_bench import CONFIGS, Bench
from vector_model import Memories

from tilewright.hw.spec import isa
from tilewright.hw.spec.instruction_set import BY_NAME
from tilewright.hw.spec.operations.vector import Vector

PLAIN = {"out_height": 3, "out_width": 5, "groups": 2, "kernel_height": 1, "kernel_width": 1}
SINGLE = PLAIN | {"out_height": 1, "out_width": 1, "groups": 1}
LONG = PLAIN | {"out_height": 8, "out_width": 8}
SHAPES = {
    "plain": PLAIN,
    "single": SINGLE,
    "empty": PLAIN | {"groups": 0},
    "window": PLAIN | {"kernel_height": 2, "kernel_width": 3},
    "table": PLAIN | {"use_table": 1},
    "combine": PLAIN | {"combine": 1},
    "combine single": SINGLE | {"combine": 2},
    "combine window": PLAIN | {"combine": 1, "kernel_width": 3},
    "one pixel a group": SINGLE | {"groups": 7},
    "two pixels a group": SINGLE | {"groups": 4, "out_width": 2},
    "three pixels a group": SINGLE | {"groups": 5, "out_width": 3},
    "one pixel a group, uniform": SINGLE | {"groups": 7, "uniform": 1},
    "negative scales": PLAIN | {"negative_scales": 1},
    "negative scales, one pixel a group": SINGLE | {"groups": 3, "negative_scales": 1},
    "negative scales, uniform": PLAIN | {"negative_scales": 1, "uniform": 1},
    "negative scales, combine": PLAIN | {"negative_scales": 1, "combine": 1},
    "negative scales, window": PLAIN | {"negative_scales": 1, "kernel_width": 3, "combine": 1},
}


def complete(fields):
    """All fields; sources and operands in the lower, destinations in the upper half."""
    names = [field.name for field in BY_NAME["VECTOR"].fields]
    buffers = {"source": 0, "operand": 64, "destination": 1024}
    pitches = {f"{name}_pitch": 8 for name in buffers} | {f"{name}_stride": 64 for name in buffers}
    rest = {"height": 64, "width": 64, "stride_y": 1, "stride_x": 1, "parameters": 40}
    rest |= {"source_kind": isa.Source.ACCUMULATOR}
    return dict.fromkeys(names, 0) | buffers | pitches | rest | fields


NAMES = pytest.mark.parametrize("name", ["4x4", "4x4 registers", "4x4 wires", "4x4 digits"])


def run(name, program, *, lone):
    config = CONFIGS[name]
    memories = Memories.random(config, np.random.default_rng(0))
    bench = Bench(config, memories, lone=lone)
    bench.run(program)
    return config, bench


@NAMES
def test_lone_instructions_take_the_cycles_of_the_formulas(name):
    program = [complete(shape) for shape in SHAPES.values()]
    config, bench = run(name, program, lone=True)
    setup = np.subtract(bench.accepted, bench.offered)
    latency = np.subtract(bench.retired, bench.accepted)
    for index, shape in enumerate(SHAPES):
        assert setup[index] == Vector.of(program[index]).setup_cycles(config), shape
        assert latency[index] == Vector.of(program[index]).latency(config), shape


@NAMES
def test_instructions_follow_each_other_without_a_gap(name):
    long_shapes = (
        LONG,
        LONG | {"kernel_width": 3},
        LONG,
        LONG | {"uniform": 1},
        LONG | {"combine": 1},
        LONG | {"combine": 2, "kernel_width": 3},
        LONG | {"combine": 1, "use_table": 1},
    )
    program = [complete(shape) for shape in long_shapes]
    config, bench = run(name, program, lone=False)
    between = list(np.diff(bench.accepted))
    between[4] += 1  # the pause behind the last pixel is the successor's, if it needs one
    assert between == [Vector.of(fields).cycles(config) for fields in program[:-1]]
    writes = list(np.diff(bench.retired))[:3]
    assert writes == [Vector.of(fields).cycles(config) for fields in program[1:4]]
