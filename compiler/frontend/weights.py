"""Constant int8 weights: what products and convolutions take of the model's."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Values, constant, require_scale
from tilewright.compiler.frontend.values import (
    Constant,
    QuantizedConstant,
    UnsupportedError,
    Value,
)

LARGEST_WEIGHT = 127
"""Of int8 whose negative is int8, too."""
VANISHING_SCALE = 2.0**-100
"""Below this in magnitude, a scale of weights makes them nothing."""

Weights = tuple[NDArray[np.int16], NDArray[np.float32]]


def channel_weights(value: Value | None, channel_axis: int) -> Weights:
    """Return int16 weights with zero point 0 and one float32 scale per output channel.

    Weights of a scale of 0, or next to that, are 0.

    Raises:
        UnsupportedError: not a constant, or not 8 bits.
    """
    if not isinstance(value, Constant):
        raise UnsupportedError("its weights are not constant")
    stored = value.quantized
    if stored is None or stored.raw.dtype not in (np.int8, np.uint8):
        raise UnsupportedError("its weights are not quantized to int8 or uint8")
    if not stored.raw.size:
        raise UnsupportedError("its weights have no elements")
    channels = stored.raw.shape[channel_axis]
    if stored.scale.size > 1 and stored.axis % stored.raw.ndim != channel_axis:
        raise UnsupportedError("its weights must be quantized per tensor or per output channel")
    along = [1] * stored.raw.ndim
    along[channel_axis] = -1
    zero_point = stored.zero_point.astype(np.int32).reshape(along)
    shifted = stored.raw.astype(np.int32) - zero_point
    scales = np.broadcast_to(stored.scale.astype(np.float32).reshape(-1), (channels,))
    vanishes = np.abs(scales) < VANISHING_SCALE
    shifted = np.where(vanishes.reshape(along), 0, shifted)
    scales = np.where(vanishes, np.float32(1), scales)
    require_scale(scales, "weights")
    return shifted.astype(np.int16), np.ascontiguousarray(scales)


def arranged_weights(weight: Constant, order: list[int], shape: tuple[int, ...]) -> Constant:
    """The constant with its axes in `order`, reshaped to `shape`, of which the last is columns.

    Raises:
        UnsupportedError: it is not quantized, or its scales differ within a column.
    """
    stored = weight.quantized
    if stored is None:
        raise UnsupportedError("its constant is not quantized to int8 or uint8")

    def arranged(array: NDArray[Any]) -> NDArray[Any]:
        return array.transpose(order).reshape(shape)

    def by_column(array: NDArray[Any]) -> NDArray[Any]:
        """What runs along an axis of the constant, for each column."""
        along = [1] * stored.raw.ndim
        along[stored.axis % stored.raw.ndim] = -1
        full = arranged(np.broadcast_to(array.reshape(along), stored.raw.shape))
        columns = full.reshape(-1, shape[-1])
        if (columns != columns[:1]).any():
            raise UnsupportedError("its weights must be quantized per tensor or per output channel")
        return np.ascontiguousarray(columns[0])

    quantized = replace(
        stored,
        raw=arranged(stored.raw),
        scale=by_column(stored.scale).astype(np.float32),
        zero_point=by_column(stored.zero_point),
        axis=len(shape) - 1,
    )
    return Constant(array=arranged(weight.array), quantized=quantized)


def stored_weights(values: Values, first: int, axis: int) -> Constant:
    """The integers at `first` with the scale and zero point behind them, one or along `axis`.

    Raises:
        UnsupportedError: one of the three is not constant, or a scale is next to nothing.
    """
    raw = constant(values, first, "weight")
    scale = constant(values, first + 1, "weight scale").astype(np.float32)
    zero_point = constant(values, first + 2, "weight zero point")
    if (np.abs(scale) < VANISHING_SCALE).any():
        raise UnsupportedError("a scale of its weights, which is that of its bias, is next to 0")
    stored = QuantizedConstant(raw=raw, scale=scale, zero_point=zero_point, axis=axis)
    return Constant(array=raw, quantized=stored)
