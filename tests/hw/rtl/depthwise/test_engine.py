"""The depthwise engine with its memories against the direct convolution, under random refusals."""

import numpy as np
import pytest
from depthwise_bench import run
from depthwise_model import CONFIGS, COUNTS, DepthwiseModel, random_fields


def random_program(config, rng, length):
    program = []
    for _ in range(length):
        fields = random_fields(config, rng)
        if program and fields["accumulate"] and rng.random() < 0.3:
            fields["destination"] = program[-1]["destination"]
        if rng.random() < 0.15:
            fields[str(rng.choice(COUNTS))] = 0
        program.append(fields)
    return program


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_random_instructions_equal_the_model(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    contents = DepthwiseModel(config, rng)
    program = random_program(config, rng, 14)
    gaps = rng.integers(0, 3, len(program)) * rng.integers(0, 20, len(program))
    trace = run(
        config, contents, program, rng=rng if seed else None, gaps=gaps if seed > 1 else None
    )
    assert not any(contents.run(fields) for fields in program)
    assert trace.faults == []
    np.testing.assert_array_equal(trace.accumulators, contents.accumulators)
