"""Parameter headers, scales and folded biases from a graph's quantizations."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv, Epilogue
from tilewright.compiler.graph.pieces import drains
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.hw.spec.numerics import check_accumulator, requantize_scale, scale_ratio
from tilewright.hw.spec.tensor import Quantization

Header = dict[str, int | float]


def epilogue_header(epilogue: Epilogue) -> Header:
    """Return the stage-1 header fields."""
    return {
        "zero_point": epilogue.quantization.zero_point,
        "low": epilogue.low,
        "high": epilogue.high,
    }


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
    if kind == "multiply":
        return header | {
            "first_ratio": float(requantize_scale(first.scale, second.scale, result.scale))
        }
    return header | {
        "first_ratio": float(scale_ratio(first.scale, result.scale)),
        "second_ratio": float(scale_ratio(second.scale, result.scale)),
    }


def conv_header(node: Conv, context: LayerView, *, is_part: bool = False) -> Header:
    """Return the parameter header of a convolution with its residual.

    is_part: it is one of several drains, whose results are added as they are.
    """
    header = epilogue_header(node.epilogue)
    if is_part:
        return header | {"first_ratio": 1.0, "second_ratio": 1.0}
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


def conv_drains(node: Conv, context: LayerView) -> tuple[Conv, ...]:
    """Return the convolutions that the drains of `node` finish; see graph.pieces."""
    return drains(node, context.map(node.input).quantization)


def conv_scales(node: Conv, context: LayerView) -> NDArray[np.float32]:
    """Return a convolution's requantization scales, float32 [1 or 2, output channels].

    The first of two rows is that of sums below 0.
    """
    source = context.map(node.input).quantization
    target = node.epilogue.quantization
    return requantize_scale(source.scale, node.weight_scales, target.scale)


def folded_bias(node: Conv, zero_point: int) -> NDArray[np.int32]:
    """Return bias - zero_point * sum(weights): the accumulator at x = 0, int32 [output channels].

    Raises ModelError when an accumulator with its bias could leave int32 for some input.
    """
    sums = node.weight_sums
    check_accumulator(sums, node.bias, zero_point, node.name)
    return np.asarray(node.bias.astype(np.int64) - zero_point * sums.all, np.int32)
