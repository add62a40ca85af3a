"""Cycles and bytes of layers, on a program made by hand."""

import dataclasses

import numpy as np
import pytest

from tilewright.flows.report.report import layer_cycles, layer_reports, transfer_bytes
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine, Target, Wait
from tilewright.hw.spec.program import Layer, Program

CONFIG = Config(name="odd", rows=12, cols=20, lanes=4, operand_lanes=2)
ONES = {"count0": 1, "count1": 1, "count2": 1}


@pytest.mark.parametrize(
    ("target", "pitch"), [(Target.ACTIVATION, 16), (Target.WEIGHT, 32), (Target.PARAMETER, 32)]
)
def test_load_bytes_count_words_at_their_pitch(target, pitch):
    counts = {"count0": 2, "count1": 3, "count2": 1}
    load = instruction("LOAD", target=target, run=5, **counts)
    assert transfer_bytes(load, CONFIG) == 5 * 2 * 3 * pitch


def test_store_bytes_are_activation_words_and_others_move_none():
    assert transfer_bytes(instruction("STORE", run=7, **ONES), CONFIG) == 7 * 16
    assert transfer_bytes(instruction("MATRIX"), CONFIG) == 0


@pytest.fixture
def program():
    """Layer 1's load runs ahead, during layer 0; the last instruction belongs to no layer."""
    config = PRESETS["nano"]
    instructions = [
        instruction("LOAD", run=4, **ONES),
        instruction("MATRIX", waits=(Wait(engine=Engine.LOAD, count=1),)),
        instruction("LOAD", run=8, **ONES),
        instruction("VECTOR"),
        instruction("STORE", run=2, **ONES),
        instruction("MATRIX"),
        instruction("END"),
    ]
    words = b"".join(encode(item, config) for item in instructions)
    return Program(
        config=config,
        image=words,
        memory_bytes=4096,
        program_address=0,
        num_instructions=len(instructions),
        layers=(
            Layer(name="first", operator="Conv", macs=1600),
            Layer(name="second", operator="Conv", macs=800),
            Layer(name="view", operator="View"),
        ),
        instruction_layers=np.array([0, 0, 1, 0, 1, 1, -1], np.int32),
    )


RETIRED = (
    (Engine.LOAD, 1, 20),
    (Engine.LOAD, 2, 30),
    (Engine.MATRIX, 1, 90),
    (Engine.VECTOR, 1, 100),
    (Engine.MATRIX, 2, 140),
    (Engine.STORE, 1, 150),
)


def test_layer_cycles_sum_up_to_the_last_retirement(program):
    assert layer_cycles(program, RETIRED) == {0: 100, 1: 50}


def test_layers_that_run_together_have_one_sum(program):
    first, *others = program.layers
    together = dataclasses.replace(
        program, layers=(dataclasses.replace(first, is_chained=True), *others)
    )
    assert layer_cycles(together, RETIRED) == {1: 150}
    first, second, _ = layer_reports(together, RETIRED)
    assert (first.cycles, first.utilization) == (None, None)
    macs = sum(layer.macs for layer in program.layers[:2])
    assert second.utilization == pytest.approx(macs / (150 * 16))


def test_layer_reports(program):
    first, second, view = layer_reports(program, RETIRED)
    assert (first.cycles, first.instructions, first.load_bytes, first.store_bytes) == (
        100,
        3,
        16,
        0,
    )
    assert (second.cycles, second.load_bytes, second.store_bytes) == (50, 32, 8)
    assert first.utilization == pytest.approx(1600 / (100 * 16))
    assert (view.cycles, view.utilization, view.instructions) == (None, None, 0)


def test_layer_reports_without_a_run_have_no_cycles(program):
    assert [report.cycles for report in layer_reports(program)] == [None, None, None]
