"""Estimates of single tasks."""

import pytest

from tilewright.compiler.plan.estimate import issue_cycles, latency_cycles
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import instruction


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
