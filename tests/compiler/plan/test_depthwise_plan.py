"""What the search charges for a depthwise tile is what its instructions take."""

import random

import pytest

from tilewright.compiler.plan.depthwise_plan import DepthwiseShape
from tilewright.compiler.plan.estimate import issue_cycles
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import instruction


@pytest.mark.parametrize("seed", range(20))
def test_cycles_of_a_block_are_those_of_its_instructions(seed):
    rng = random.Random(seed)
    config = PRESETS[rng.choice(("nano", "edge", "base"))]
    parts = tuple(
        (rng.randint(1, 3), rng.randint(1, config.depthwise_taps)) for _ in range(rng.randint(1, 4))
    )
    stride = rng.randint(1, 3)
    shape = DepthwiseShape(
        config=config,
        kernel=(3, 3),
        strides=(stride, stride),
        pads=(1, 1, 1, 1),
        dilations=(1, 1),
        parts=parts,
        blocks=2,
        in_height=20,
        in_width=20,
        out_height=20 // stride,
        out_width=20 // stride,
    )
    height, width = rng.randint(1, 6), rng.randint(1, 6)
    instructions = [
        instruction(
            "DEPTHWISE",
            blocks=1,
            out_height=height,
            out_width=width,
            stride_x=stride,
            kernel_height=rows,
            kernel_width=columns,
        )
        for rows, columns in parts
    ]
    assert shape.cycles(height, width) == sum(issue_cycles(i, config) for i in instructions)
