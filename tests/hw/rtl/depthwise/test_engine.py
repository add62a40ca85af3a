"""The depthwise engine with its memories against the direct convolution, under random refusals."""

import numpy as np
import pytest
from depthwise_bench import run
from depthwise_model import CONFIGS, COUNTS, DepthwiseModel, random_fields

from tilewright.hw.spec.instruction_set import instruction


def random_program(config, rng, length):
    program = []
    for _ in range(length):
        fields = random_fields(config, rng)
        if program and fields["accumulate"] and rng.random() < 0.3:
            fields["destination"] = min(fields["destination"], program[-1]["destination"])
        if rng.random() < 0.15:
            fields[str(rng.choice(COUNTS))] = 0
        program.append(fields)
    return program


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_random_instructions_equal_the_model(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    contents = DepthwiseModel(config, rng)
    program = random_program(config, rng, 12)
    gaps = rng.integers(0, 3, len(program)) * rng.integers(0, 20, len(program))
    trace = run(
        config, contents, program, rng=rng if seed else None, gaps=gaps if seed == 2 else None
    )
    assert not any(contents.run(fields) for fields in program)
    assert trace.faults == []
    np.testing.assert_array_equal(trace.accumulators, contents.accumulators)


@pytest.mark.parametrize("place", ["source", "destination"])
@pytest.mark.parametrize("name", CONFIGS)
def test_words_out_of_range_are_dropped_and_reported(name, place):
    """Source words are padding then; the accumulators that exist are written all the same."""
    config = CONFIGS[name]
    rng = np.random.default_rng([9, *name.encode()])
    contents = DepthwiseModel(config, rng)
    program = [random_fields(config, rng) for _ in range(5)]
    for fields in program:
        fields["accumulate"] = 0
    words = {"source": config.activation_words, "destination": config.accumulator_words}[place]
    program[1] |= {"height": 8, "width": 8, "origin_y": 0, "origin_x": 0, "stride_y": 1}
    program[1] |= {"out_height": 3, "out_width": 3, "blocks": 2, "source_pitch": 8}
    program[1][place] = words - 4
    program[3][place] = words
    program[3] |= {"height": 8, "width": 8, "origin_y": 0, "origin_x": 0}
    trace = run(config, contents, program, rng=rng)
    faulted = [contents.run(fields) for fields in program]
    assert faulted == [False, True, False, True, False]
    assert sorted(set(trace.faults)) == [1, 3]
    np.testing.assert_array_equal(trace.accumulators, contents.accumulators)


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_out_of_range_are_reported(name):
    """Which weights are used then is open; what else runs is not touched."""
    config = CONFIGS[name]
    rng = np.random.default_rng([10, *name.encode()])
    contents = DepthwiseModel(config, rng)
    program = [random_fields(config, rng) for _ in range(4)]
    for index, fields in enumerate(program):
        fields |= {"accumulate": 0, "out_height": 2, "out_width": 2, "destination_stride": 4}
        fields["destination"] = 20 * index
    program[1] |= {"blocks": 2, "weights": config.parameter_words - config.depthwise_words}
    program[2] |= {"blocks": 1, "weights": config.parameter_words}
    trace = run(config, contents, program, rng=rng)
    for fields in program:
        contents.run(fields)
    assert sorted(set(trace.faults)) == [1, 2]
    assert len(trace.retired) == 4
    kept = [word for word in range(80) if word // 20 in (0, 3)] + [20, 21, 22, 23]
    np.testing.assert_array_equal(trace.accumulators[kept], contents.accumulators[kept])


def test_a_column_that_no_output_uses_is_read():
    config = CONFIGS["4x4"]
    contents = DepthwiseModel(config, np.random.default_rng(11))
    fields = {"blocks": 1, "kernel_height": 1, "kernel_width": 1, "out_height": 1, "out_width": 2,
              "stride_x": 3, "height": 1, "width": 3,
              "source": config.activation_words - 1}  # fmt: skip
    fields = dict(instruction("DEPTHWISE", **fields).values())
    assert contents.run(fields)
    assert set(run(config, contents, [fields]).faults) == {0}
