"""A function of a convolution's unrounded value as several drains, each with a table of its own.

One table of 256 levels is too coarse for a value that is not rounded before (SiLU behind a
convolution). So the range in which the function's int8 result changes is cut into pieces. A drain
stores, for its piece, how far the result rises above that at the piece's start, which saturation
makes 0 below the piece and constant above it; the drains' sum is the result.

A piece's middle is a number of steps of each channel's accumulator, which moves into the bias: half
a step is what that rounds at most.
"""

from dataclasses import replace

import numpy as np

from tilewright.compiler.graph.graph import Conv, Epilogue
from tilewright.hw.spec.tensor import Quantization


def drains(node: Conv, source: Quantization) -> tuple[Conv, ...]:
    """Return the convolutions of plain epilogues whose sum `node` is; itself without pieces.

    source: quantization of its input.
    """
    if not node.epilogue.pieces:
        return (node,)
    steps = np.float64(source.scale) * node.weight_scale.astype(np.float64)
    target, parts = node.epilogue.quantization, []
    for number, piece in enumerate(node.epilogue.pieces):
        results = np.clip(piece.results, node.epilogue.low, node.epilogue.high).astype(np.int16)
        rises = results - results[0] * (number > 0)
        assert rises.min() >= -128, node.name
        assert rises.max() <= 127, node.name
        levels = Quantization(scale=piece.step, zero_point=0)
        table = np.roll(rises.astype(np.int8), 128)
        epilogue = Epilogue(quantization=levels, table=table, table_quantization=target)
        bias = node.bias - np.rint(piece.middle / steps)
        assert np.abs(bias).max() < 2**31, node.name
        parts.append(
            replace(
                node,
                name=f"{node.name}/piece{number}",
                bias=bias.astype(np.int32),
                epilogue=epilogue,
            )
        )
    return tuple(parts)
