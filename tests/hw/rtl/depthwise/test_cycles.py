"""The formulas of DEPTHWISE and the rules of hw/spec/cycles.py against the engine, to the cycle."""

import numpy as np
import pytest
from depthwise_bench import PORTS, run
from depthwise_model import CONFIGS, COUNTS, DepthwiseModel, random_fields
from depthwise_timing import Timing

from tilewright.hw.spec.cycles import (
    DEPTHWISE_ADDRESS_CYCLES,
    depthwise_latch_cycles,
    depthwise_look,
    depthwise_offer_cycles,
    depthwise_result_cycles,
)
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.operations.depthwise import Depthwise

PLAIN = {"blocks": 1, "kernel_height": 3, "kernel_width": 3, "out_height": 3, "out_width": 4,
         "stride_y": 1, "stride_x": 1, "dilation_y": 1, "height": 64, "width": 64,
         "source_pitch": 8, "source_stride": 32, "destination_stride": 20}  # fmt: skip
ONE_WORD = PLAIN | dict.fromkeys(COUNTS, 1)
SHAPES = {
    "plain": PLAIN,
    "blocks": PLAIN | {"blocks": 3},
    "a word": ONE_WORD,
    "a word a block": ONE_WORD | {"blocks": 5},
    "an output a cycle": PLAIN | {"kernel_height": 1},
    "stride above the kernel": PLAIN | {"stride_x": 4, "kernel_width": 2},
    "accumulate": PLAIN | {"accumulate": 1, "blocks": 2},
    "empty": PLAIN | {"out_width": 0},
}
FEW = {
    name: CONFIGS[name]
    for name in ("1x1 of 1", "2x3", "4x12", "2x3 for an FPGA", "2x3 for a large FPGA")
}


def complete(shape, config):
    """All fields; a kernel that the config can have."""
    width = min(shape["kernel_width"], config.depthwise_taps)
    return dict(instruction("DEPTHWISE", **(shape | {"kernel_width": width})).values())


def contents(config):
    return DepthwiseModel(config, np.random.default_rng(2))


@pytest.mark.parametrize("config", FEW.values(), ids=FEW)
def test_lone_instructions_take_the_cycles_of_the_formula(config):
    for name, shape in SHAPES.items():
        fields = complete(shape, config)
        trace = run(config, contents(config), [fields])
        assert trace.retired[0] - trace.accepted[0] == Depthwise.of(fields).latency(config), name
        reads, weights = trace.granted["activation_read"], trace.granted["parameter_read"]
        if name == "empty":
            assert reads == weights == []
            continue
        offer = trace.accepted[0] - depthwise_look(config)
        first = offer + depthwise_offer_cycles(config)
        assert weights[: config.depthwise_words] == [
            first + word for word in range(config.depthwise_words)
        ]
        assert reads[0] == first + config.depthwise_words + DEPTHWISE_ADDRESS_CYCLES
        assert trace.retired[0] - reads[-1] == depthwise_result_cycles(config)
        if fields["blocks"] > 1:
            following = weights[config.depthwise_words]
            turn = reads[0] - DEPTHWISE_ADDRESS_CYCLES
            assert following - turn == depthwise_latch_cycles(config)


@pytest.mark.parametrize("config", FEW.values(), ids=FEW)
def test_instructions_follow_each_other_at_once_or_a_cycle_apart(config):
    names = ("blocks", "plain", "an output a cycle", "stride above the kernel", "blocks", "plain")
    program = [complete(SHAPES[name], config) for name in names]
    trace = run(config, contents(config), program)
    reads = trace.granted["activation_read"]
    instructions = [Depthwise.of(fields) for fields in program]
    start, expected = reads[0], []
    for each in instructions:
        for _ in range(each.blocks):
            expected += range(start, start + each.block_words)
            start += each.block_words + config.path_registers
    assert reads == expected
    cycles = [each.cycles(config) for each in instructions]
    assert np.diff(trace.retired).tolist() == cycles[1:]


@pytest.mark.parametrize("config", FEW.values(), ids=FEW)
def test_short_blocks_wait_for_their_weights(config):
    names = ("a word", "a word a block", "a word", "a word", "plain")
    program = [complete(SHAPES[name], config) for name in names]
    trace = run(config, contents(config), program)
    interval = depthwise_latch_cycles(config) + config.depthwise_words
    assert Depthwise.of(program[0]).block_cycles(config) == interval
    assert np.diff(trace.granted["activation_read"][:9]).tolist() == [interval] * 8


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_refusals_shift_the_cycles_as_the_rules_say(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    model = DepthwiseModel(config, rng)
    program, written = [], set()
    for _ in range(10):
        fields = random_fields(config, rng)
        if rng.random() < 0.5:
            fields |= {"kernel_height": 1, "stride_x": 1}
        if rng.random() < 0.1:
            fields[str(rng.choice(COUNTS))] = 0
        words = set(model.destinations(fields))
        fields["accumulate"] = int(rng.random() < 0.7 and not words & written)
        written |= words
        program.append(fields)
    rates = rng.choice([0.0, 0.2, 0.6], len(PORTS))
    refused = rng.random((20_000, len(PORTS))) < rates
    timing = Timing(config, lambda port, cycle: not refused[cycle, PORTS.index(port)])
    offer = 0
    for fields in program:
        timing.run(fields, offer)
        offer = timing.accepted[-1] + 1
    masks = refused @ (1 << np.arange(len(PORTS)))
    trace = run(config, model, program, refuse=lambda cycle: int(masks[cycle]))
    assert trace.accepted == timing.accepted
    assert trace.granted["accumulator_write"] == timing.written
    assert trace.retired == timing.retired
