"""Parameter headers, folded biases and stage-2 fields from a graph's quantizations."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.emit.context import Context
from tilewright.compiler.emit.tiles import View
from tilewright.compiler.graph.graph import Conv, Epilogue, Quantization
from tilewright.compiler.plan.boxes import Box
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Combine
from tilewright.hw.spec.numerics import requantize_scale
from tilewright.support.errors import ModelError

INT32_LIMIT = 1 << 31
Header = dict[str, int | float]


def epilogue_header(epilogue: Epilogue) -> Header:
    """Return the stage-1 header fields."""
    return {
        "zero_point": epilogue.quantization.zero_point,
        "low": epilogue.low,
        "high": epilogue.high,
    }


def ratio(source: Quantization, target: Quantization) -> float:
    """fl(source scale / target scale)."""
    return float(np.float32(source.scale) / np.float32(target.scale))


def combine_header(
    kind: Literal["add", "multiply"],
    first: Quantization,
    second: Quantization,
    result: Quantization,
    low: int,
    high: int,
) -> Header:
    """Return the stage-2 header fields (numerics.add, numerics.multiply)."""
    header: Header = {
        "first_zero_point": first.zero_point,
        "second_zero_point": second.zero_point,
        "combine_zero_point": result.zero_point,
        "combine_low": low,
        "combine_high": high,
    }
    if kind == "add":
        return header | {"first_ratio": ratio(first, result), "second_ratio": ratio(second, result)}
    product = np.float32(first.scale) * np.float32(second.scale)
    return header | {"first_ratio": float(product / np.float32(result.scale))}


def combine_fields(
    kind: Literal["add", "multiply"], view: View, box: Box, first_group: int, config: Config
) -> dict[str, int]:
    """Return the VECTOR fields of the second operand, from lane group `first_group` on."""
    block, group = divmod(first_group, config.row_groups)
    return {
        "combine": Combine.ADD if kind == "add" else Combine.MULTIPLY,
        "operand": view.word(block, box.top, box.left),
        "operand_stride": view.block_stride,
        "operand_pitch": view.pitch,
        "operand_group": group,
    }


def conv_header(node: Conv, context: Context) -> Header:
    """Return the parameter header of a convolution with its residual."""
    header = epilogue_header(node.epilogue)
    if node.residual is None:
        return header
    return header | combine_header(
        node.residual.kind,
        node.epilogue.result,
        context.map(node.residual.other).quantization,
        context.map(node.output).quantization,
        node.residual.low,
        node.residual.high,
    )


def conv_scale(node: Conv, context: Context) -> NDArray[np.float32]:
    """Return a convolution's requantization scales, float32 [output channels]."""
    source = context.map(node.input).quantization
    target = node.epilogue.quantization
    return requantize_scale(source.scale, node.weight_scale, target.scale)


def folded_bias(node: Conv, zero_point: int) -> NDArray[np.int32]:
    """Return bias - zero_point * sum(weights), int32 [output channels].

    Raises ModelError when an accumulator could leave int32 for some input.
    """
    weight = node.weight.astype(np.int64).reshape(len(node.weight), -1)
    bias = node.bias.astype(np.int64) - zero_point * weight.sum(axis=1)
    reach = np.abs(weight).sum(axis=1) * 128 + np.abs(bias)
    if (reach >= INT32_LIMIT).any():
        channel = int(reach.argmax())
        raise ModelError(
            f"{node.name}: accumulators must stay inside int32 for every input, but output channel "
            f"{channel} can reach {int(reach[channel])}; reduce the bias or the reduction length"
        )
    return np.asarray(bias, np.int32)
