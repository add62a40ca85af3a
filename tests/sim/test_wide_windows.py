"""Windows of very many values on the simulator: seconds, in range and out of it."""

import time

import numpy as np
import pytest

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.parameters import block_words
from tilewright.hw.spec.registers import Fault
from tilewright.sim.iss import Iss

END = instruction("END")
SIZE, KERNEL, OUT, ORIGIN = 20, 1000, 8, -5


def wide_window(config: Config, stride: int, source: int, size: int) -> Iss:
    """A simulator with a VECTOR instruction that sums KERNEL x KERNEL values, OUT x OUT times."""
    fields = {
        "kernel_height": KERNEL, "kernel_width": KERNEL, "out_height": OUT, "out_width": OUT,
        "dilation_y": 1, "dilation_x": 1, "stride_y": stride, "stride_x": stride,
        "height": size, "width": size, "source_pitch": size, "source": source, "groups": 1,
        "destination": 4000, "destination_pitch": OUT, "origin_y": ORIGIN, "origin_x": ORIGIN,
        "reduction": isa.Reduction.SUM,
    }  # fmt: skip
    return Iss(config, b"".join(encode(i, config) for i in (instruction("VECTOR", **fields), END)))


@pytest.mark.parametrize("stride", [1, 100, 255])
def test_windows_of_a_million_values_take_seconds(stride: int) -> None:
    config = Config.load("nano")
    simulator = wide_window(config, stride, 0, SIZE)
    block = block_words({}, [0, 0], [1.0, 1.0], config)
    simulator.state.parameter[: len(block)] = block
    simulator.state.activation[:SIZE] = 1
    began = time.process_time()
    assert simulator.run().fault is None
    assert time.process_time() - began < 20
    first = ORIGIN + stride * np.arange(OUT)
    expected = np.where(first[:, None] <= 0, SIZE - np.clip(first, 0, SIZE), 0)
    result = simulator.state.activation[4000 : 4000 + OUT * OUT, : config.lanes]
    np.testing.assert_array_equal(result, np.repeat(expected.reshape(-1, 1), config.lanes, 1))


def test_a_window_of_a_million_values_out_of_range_takes_seconds() -> None:
    config = Config.load("nano")
    began = time.process_time()
    fault = wide_window(config, 1, config.activation_words - 1, 2 * KERNEL).run().fault
    assert time.process_time() - began < 5
    assert fault is not None
    assert (fault.cause, fault.instruction) == (Fault.SRAM_RANGE, 0)
