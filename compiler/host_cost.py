"""What a run costs beside the accelerator's cycles: an estimate, to compare host and accelerator.

The host is taken to be what sits beside such accelerators: a scalar core in order, `SLOWER` times
as slow as one core of an x86 server (AMD EPYC) with ONNX Runtime 1.32's float kernels,
optimizations off. Measured there: convolutions of 16 to 256 channels and products of 64 rows and
more take 9 to 17 GMAC/s (a product of one row 4.5, depthwise 1.9), element-wise operators,
quantization, pooling and transposes 0.4 to 1.0 G elements/s, a further operator 1.6 us, a call of a
session 18 us, and a transposing copy of bytes in NumPy 0.3 GB/s. Factor, start, clock and share of
the array are assumptions. All of it is meant for decisions of orders of magnitude.
"""

from collections.abc import Iterable

from tilewright.hw.spec.config import Config

SLOWER = 50
"""Of a core at a few hundred MHz without vector instructions, as far as it computes."""
SLOWER_COPY = 6
"""The same as far as it copies."""
HOST_MACS_PER_SECOND = 12e9 / SLOWER
HOST_ELEMENTS_PER_SECOND = 0.8e9 / SLOWER
HOST_OPERATOR_SECONDS = 1.6e-6 * SLOWER_COPY
"""Of calling an operator."""
HOST_CALL_SECONDS = 18e-6 * SLOWER_COPY
"""Of calling ONNX Runtime once, for an island; its session is made when the program is loaded."""
MOVED_BYTES_PER_SECOND = 0.3e9 / SLOWER_COPY
"""Packing or unpacking a tensor between its ONNX form and the accelerator's words."""
START_SECONDS = 5e-6
"""Start write to the first instruction, and interrupt to the host's next step."""
ACCELERATOR_HERTZ = 200e6
"""A clock that an FPGA or an old process reaches."""
ARRAY_SHARE = 0.5
"""Busy part of the array in a small section."""


def operator_seconds(macs: int, elements: int) -> float:
    """The host's time for one operator of `macs` multiply-accumulates and `elements` results."""
    compute = macs / HOST_MACS_PER_SECOND + elements / HOST_ELEMENTS_PER_SECOND
    return HOST_OPERATOR_SECONDS + compute


def moving_seconds(moved_bytes: int) -> float:
    """The time to hand bytes over between host and accelerator."""
    return moved_bytes / MOVED_BYTES_PER_SECOND


def section_seconds(macs: int, outputs: Iterable[int], config: Config) -> float:
    """The accelerator's time for a section, start included.

    macs: multiply-accumulates; outputs: elements of each layer's result, `lanes` a cycle.
    """
    array = macs / (config.rows * config.cols * ARRAY_SHARE)
    vector = sum(outputs) / config.lanes
    return START_SECONDS + max(array, vector) / ACCELERATOR_HERTZ
