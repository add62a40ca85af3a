"""Accumulators whose steps are as large as their sums need, and as fine as their biases can be."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.values import Linear, UnsupportedError
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.hw.spec import numerics

Floats = NDArray[np.float64]

LARGEST_SUM = 2.0**31 - 256
"""Of an accumulator, less what the rounding of a bias adds to it."""
LARGEST_INPUT = 255
"""Of what weights are multiplied by: a stored value less its zero point."""
LARGEST_SHARE = 1 / 16
"""Of a level: what a channel's values may lose where its accumulator's steps are made larger."""
SMALLEST_WEIGHT = 32
"""Of a convolution with one weight a channel whose bias wants other steps."""
STEPS_OF_BIAS = 2.0**20
"""Of a channel that has a bias alone."""
NOTED_FRACTION = 1e-3
"""Biases further than this from an integer number of (sx * sw) steps are noted."""


def extreme_sums(producer: Linear) -> tuple[Floats, Floats]:
    """The smallest and the largest sum that each channel's accumulator can hold."""
    sums = numerics.weight_sums(producer.weight)
    zero_point = producer.source.quantization.zero_point
    return numerics.accumulator_range(sums, np.rint(producer.bias), zero_point)


def extreme_values(producer: Linear) -> tuple[Floats, Floats]:
    """What these sums are worth."""
    low, high = extreme_sums(producer)
    return low * producer.steps, high * producer.steps


def with_room(producer: Linear, level: float, farthest: float = 0.0) -> Linear:
    """`producer`, whose accumulators have room for each of its sums, less `farthest`.

    level: the smallest difference of its values that shows. The steps of a channel whose weights
    are next to nothing are so small that its bias is none of its int32s: they are made larger, its
    weights smaller.

    Raises:
        UnsupportedError: the smaller weights, rounded, are not near enough to the given ones.
    """
    steps = producer.steps
    room = np.abs(extreme_sums(producer)).max(axis=0) + farthest / steps
    by_rounding = producer.weight[0].size * LARGEST_INPUT / 2
    ratio = np.where(room <= LARGEST_SUM, 1.0, room / (LARGEST_SUM - by_rounding))
    if (ratio == 1).all():
        return producer
    exact = producer.weight / ratio.reshape(-1, 1, 1, 1)
    weight = np.rint(exact)
    lost = np.abs(weight - exact).sum(axis=(1, 2, 3)) * LARGEST_INPUT * steps * ratio
    if producer.slope is not None:
        lost = lost * np.maximum(np.abs(producer.slope), 1)
    if not lost.max() <= LARGEST_SHARE * level:
        raise UnsupportedError(
            "no accumulator holds what its channels sum up, with their scales, to every level of "
            "its result; quantize with larger scales of weights, a smaller bias or fewer inputs, "
            "or put a QuantizeLinear and DequantizeLinear in front of a function behind it"
        )
    return replace(
        producer,
        weight=weight.astype(np.int16),
        weight_scale=(producer.weight_scale * ratio).astype(np.float32),
        bias=producer.bias / ratio,
    )


def with_nearest_bias(producer: Linear) -> Linear:
    """A channel's only weight so large that its bias is nearly a whole number of steps.

    Weight times scale stays what it is; of a normalization, whose steps are coarse. A channel
    without weights takes the steps that its bias wants.
    """
    fraction = np.abs(producer.bias - np.rint(producer.bias))
    is_coarse = fraction > NOTED_FRACTION
    if not is_coarse.any():
        return producer
    weight = producer.weight.reshape(len(producer.bias), -1)
    is_empty = ~weight.any(axis=1)
    wanted = np.abs(producer.bias[is_empty & is_coarse]) / STEPS_OF_BIAS
    ratio = np.ones(len(producer.bias))
    ratio[is_empty & is_coarse] = 1 / wanted
    if weight.shape[1] == 1:
        chosen = is_coarse & ~is_empty
        ratio[chosen] = _best_ratios(producer.bias[chosen], np.abs(weight[chosen, 0]))
    return replace(
        producer,
        weight=np.rint(producer.weight * ratio[:, None, None, None]).astype(np.int16),
        weight_scale=(producer.weight_scale / ratio).astype(np.float32),
        bias=producer.bias * ratio,
    )


def _best_ratios(bias: Floats, weight: NDArray[np.int16]) -> Floats:
    """By what each weight grows so that its bias comes nearest to an integer."""
    ratios = np.arange(SMALLEST_WEIGHT, LARGEST_WEIGHT + 1)[:, None] / weight
    biases = bias * ratios
    best = np.abs(biases - np.rint(biases)).argmin(axis=0)
    nearest: Floats = ratios[best, np.arange(len(bias))]
    return nearest
