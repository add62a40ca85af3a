"""Values in 16 bits: one map for what 8 bits hold, and one for the rest.

Of a function of stored values these are two tables; their sum is the function to 1/254 of a step of
the first one, and is taken unrounded like any sum of two stored activations (frontend/sums.py). A
convolution's value with Relu or slopes is stored first, then what that leaves of the unrounded
value: its range is all that its accumulators can hold.
"""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.combination import (
    as_convolution,
    as_line,
    combine_stored,
    with_linear,
)
from tilewright.compiler.frontend.context import Context, dequantize_all
from tilewright.compiler.frontend.emit import emit, store_results
from tilewright.compiler.frontend.emit_linear import of_read_channels
from tilewright.compiler.frontend.operands import negated
from tilewright.compiler.frontend.room import extreme_values
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.table import quantize_all, real_results
from tilewright.compiler.frontend.values import (
    Dequantized,
    Linear,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.hw.spec.binding import HALF_RANGE
from tilewright.hw.spec.tensor import Quantization


def as_sum(context: Context, node: Operator, real: Real, coarse: Quantization) -> Real:
    """The function `real` of a stored value, as the sum of two tables, the first of `coarse`."""
    first, second = as_tables(context, node, real, coarse)
    return combine_stored(context, "add", first, second, node.name)


def as_tables(
    context: Context, node: Operator, real: Real, coarse: Quantization
) -> list[Quantized]:
    """The function `real` of a stored value: rounded to `coarse`, and the rest in finer steps."""
    assert isinstance(real.producer, Dequantized)
    values = real_results(context, real)
    rounded = quantize_all(values, coarse)
    rest = values - dequantize_all(coarse)[rounded.astype(np.int16) + HALF_RANGE]
    fine = Quantization(scale=float(np.float32(coarse.scale / LARGEST_WEIGHT)), zero_point=0)
    source = replace(real.producer.source, index=real.index)
    parts: list[Quantized] = []
    for what, results, quantization in (
        ("coarse", rounded, coarse),
        ("rest", quantize_all(rest, fine), fine),
    ):
        target = Quantized(
            origin=f"{node.outputs[0]}/{what}",
            index=real.index,
            quantization=quantization,
            is_unsigned=False,
        )
        parts.append(store_results(context, results, source, target, (*real.names, node.name)))
    return parts


def mean_of_pixels(context: Context, node: Operator, total: Real) -> Real:
    """The mean over the pixels of a sum [1, C, ...] of stored activations.

    Raises UnsupportedError: its channels are not those of the maps.
    """
    linear = as_convolution(context, total).producer
    assert isinstance(linear, Linear)
    channels, _, pixels = linear.shape
    owner = (total.index // pixels).reshape(total.index.shape[1], -1)
    if total.index.size != channels * pixels or (owner != owner[:, :1]).any():
        raise UnsupportedError("its pixels are not those of the map that is stored")
    shape = (1, channels, *[1] * (total.index.ndim - 2))
    return Real(
        producer=Linear(
            source=linear.source,
            feature_map=linear.feature_map,
            weight=np.repeat(linear.weight, pixels, axis=3),
            weight_scale=linear.weight_scale / np.float32(pixels),
            bias=linear.bias * pixels,
            groups=channels,
            shape=(channels, 1, 1),
        ),
        index=owner[:, 0].reshape(shape),
        names=(node.name,),
    )


def largest_value(context: Context, real: Real) -> float:
    """The largest magnitude of a line of a convolution's value that its accumulators can hold."""
    producer = as_line(context, real).producer
    assert isinstance(producer, Linear)
    slope = 1.0 if producer.slope is None else np.abs(producer.slope)
    low, high = extreme_values(producer)
    return float(np.maximum(np.abs(low) * slope, high).max())


def as_parts(
    context: Context, node: Operator, real: Real, largest: float
) -> tuple[Quantized, Quantized]:
    """A line of a convolution's value, at most `largest`: 8 bits of it, and the rest."""
    line = of_read_channels(as_line(context, real))
    coarse = Quantization(scale=float(np.float32(largest / LARGEST_WEIGHT)), zero_point=0)
    fine = Quantization(scale=float(np.float32(coarse.scale / LARGEST_WEIGHT)), zero_point=0)
    name = node.outputs[0]
    first = emit(context, line, coarse, False, f"{name}/coarse", node.name)
    negative = negated(context, first, f"{name}/negative", node)
    rest = with_linear(context, "add", line, negative, node.name)
    return first, emit(context, rest, fine, False, f"{name}/rest", node.name)
