"""Functions of stored values in 16 bits: a table for what 8 bits hold, and one for the rest.

Their sum is the function to 1/254 of a step of the first table. It is taken unrounded like any sum
of two stored activations (frontend/sums.py).
"""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.combination import combine_stored
from tilewright.compiler.frontend.context import Context, dequantize_all
from tilewright.compiler.frontend.emit import store_results
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.sums import sum_as_linear
from tilewright.compiler.frontend.table import quantize_all, real_results
from tilewright.compiler.frontend.values import (
    Combined,
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
    return combine_stored(context, "add", parts[0], parts[1], node.name)


def mean_of_pixels(context: Context, node: Operator, total: Real) -> Real:
    """The mean over the pixels of a sum [1, C, ...] of two stored activations.

    Raises UnsupportedError: its channels are not those of the maps.
    """
    producer = total.producer
    assert isinstance(producer, Combined)
    linear = sum_as_linear(context, producer, f"{node.outputs[0]}/sum")
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
