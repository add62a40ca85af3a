"""ReduceMean, ReduceSum, ReduceMax and ReduceMin over pixels or over the channels of a map.

A sum, and a mean over channels, is a convolution with weights of 1. The largest value of all is the
largest channel of the largest pixels. The smallest value is the negative of the largest negative.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.builder import index_by_channels, pixels_around
from tilewright.compiler.frontend.context import Context, Values, constant, optional
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.largest_channel import largest_channel
from tilewright.compiler.frontend.later import when_stored
from tilewright.compiler.frontend.mixing import mean_of_all
from tilewright.compiler.frontend.operands import negated, negative_of
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation, storable, store_exactly
from tilewright.compiler.frontend.values import (
    Index,
    Linear,
    Pooled,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.limits import MAX_STRIDE

SUMS = ("ReduceMean", "ReduceSum")


@handles(
    Entry(
        operators=("ReduceMax", "ReduceMean", "ReduceMin"),
        runs="pooling; a convolution for means over channels",
        conditions="constant axes, any (the host reorders what is neither pixels of one run of "
        "axes nor the channels; for ReduceMax and ReduceMin both may be given); of "
        "values not yet quantized, too: of ReduceMean over the pixels of a map as for "
        "GlobalAveragePool",
        cost="a pass over the input, or the array, with one output channel; of ReduceMin two more "
        "for the signs; over axes of one element none; the largest channel: a resampling and a "
        "pooling for the input, for a quarter of its channels and so on, and a 1x1 convolution "
        "where a quarter does not fill words",
    ),
    Entry(
        operators=("ReduceSum",),
        runs="convolution with weights of 1",
        conditions="any axes, as for ReduceMean",
        cost="that of a depthwise convolution whose kernel is the map; over the channels, of one "
        "with one output channel",
    ),
)
def reduce_axes(context: Context, node: Operator, values: Values) -> list[Value]:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin: X and the axes, which default to all."""
    value = values[0]
    if not isinstance(value, Real):
        raise UnsupportedError("its input is not a dequantized activation")
    shape, axes = value.index.shape, _axes(node, values, value.index.ndim)
    keeps = bool(node.attribute("keepdims", 1))
    result = tuple(
        1 if a in axes else size for a, size in enumerate(shape) if keeps or a not in axes
    )
    reduced = [axis for axis in axes if shape[axis] > 1]
    if not reduced:
        return [replace(value, index=value.index.reshape(result), tensor=node.outputs[0])]
    if node.op_type in SUMS:
        real = _sum_or_mean(context, node, value, reduced)
        return [replace(real, index=real.index.reshape(result))]

    def extreme(reals: Sequence[Real]) -> Real:
        source, is_smallest = as_activation(context, reals[0]), node.op_type == "ReduceMin"
        if is_smallest:
            source = negated(context, source, f"{node.outputs[0]}/negative", node)
        real = _reduced(context, node, source, reduced)
        real = replace(real, index=real.index.reshape(result))
        return negative_of(context, node, real, source) if is_smallest else real

    return [when_stored(context, [value], result, node.name, extreme)]


def _sum_or_mean(context: Context, node: Operator, value: Real, reduced: list[int]) -> Real:
    is_map = value.index.ndim > 2 and reduced == list(range(2, value.index.ndim))
    if node.op_type == "ReduceMean" and is_map and storable(context, value) is None:
        return mean_of_all(
            context, node, value, lambda stored: _reduced(context, node, stored, reduced)
        )
    return _reduced(context, node, as_activation(context, value), reduced)


def _reduced(context: Context, node: Operator, source: Quantized, reduced: list[int]) -> Real:
    """`source` with one element along each of the axes `reduced`: mean, sum or largest value."""
    shape = source.index.shape
    kept = [axis for axis in range(len(shape)) if axis not in reduced]
    sizes = [1 if axis in reduced else size for axis, size in enumerate(shape)]
    count = math.prod(shape[axis] for axis in reduced)
    rows = source.index.transpose(*kept, *reduced).reshape(-1, count)
    places: Index = np.arange(len(rows)).reshape(sizes)
    window = _window(context, source, reduced)
    producer: Linear | Pooled
    is_sum = node.op_type in SUMS
    is_over_channels = _is_over_channels(context, source, rows, reduced)
    if is_over_channels and is_sum:
        producer = _over_channels(context, node, source, rows)
    elif is_over_channels and not source.is_border:
        real = largest_channel(context, source, rows, node.name)
        return replace(real, index=real.index.reshape(sizes))
    elif window is not None:
        channels, want, kernel = window
        producer = _over_pixels(context, node, source, want, kernel)
        places = index_by_channels(sizes, channels)
    elif not is_sum and (inner := _but_channels(context, source, reduced)):
        largest = store_exactly(context, _reduced(context, node, source, inner))
        assert largest is not None, "a largest value is a level of its source"
        return _reduced(context, node, largest, [axis for axis in reduced if axis not in inner])
    else:
        kernel = (count // shape[reduced[-1]], shape[reduced[-1]])
        producer = _over_pixels(context, node, source, rows.reshape(-1, *kernel), kernel)
    return Real(producer=producer, index=places, names=(node.name,))


def _but_channels(context: Context, source: Quantized, reduced: list[int]) -> list[int]:
    """The axes `reduced` without the channels; none where these are not among them, or alone."""
    if source.is_border:
        return []
    is_one = (context.builder.has_channels_along(source, axis) for axis in reduced)
    channels = next((axis for axis, found in zip(reduced, is_one, strict=True) if found), None)
    return [] if channels is None else [axis for axis in reduced if axis != channels]


def _axes(node: Operator, values: Values, rank: int) -> list[int]:
    """The axes to reduce, sorted: attribute or second input, all where none is given."""
    axes = node.attributes.get("axes")
    if axes is None and optional(values, 1) is not None:
        axes = constant(values, 1, "axes").reshape(-1).tolist()
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return []
    return sorted({int(axis) % rank for axis in axes or range(rank)})


def _is_over_channels(context: Context, source: Quantized, rows: Index, reduced: list[int]) -> bool:
    """Whether each row holds the channels of one pixel."""
    if source.is_border:
        rank = source.index.ndim
        return reduced == [1 if rank == 4 else rank - 1]
    pixels = rows % context.builder.maps[source.origin].pixels
    return rows.shape[1] > 1 and bool((pixels == pixels[:, :1]).all())


def _over_channels(context: Context, node: Operator, source: Quantized, rows: Index) -> Linear:
    """Sum or mean of each row of `rows` [pixels, channels]."""
    pixels, channels = rows.shape
    scale = 1 / channels if node.op_type == "ReduceMean" else 1.0
    return Linear(
        source=source,
        feature_map=context.builder.as_map(source, rows.T.reshape(channels, 1, pixels)),
        weight=np.ones((1, channels, 1, 1), np.int16),
        weight_scale=np.full(1, scale, np.float32),
        bias=np.zeros(1),
        shape=(1, 1, pixels),
    )


def _window(
    context: Context, source: Quantized, reduced: list[int]
) -> tuple[int, Index, tuple[int, int]] | None:
    """Where some pixels are kept: the channels' axis, the map (C, H, W), the window to reduce."""
    shape = source.index.shape
    first, last = reduced[0], reduced[-1]
    for axis in [place for place in range(len(shape)) if place not in reduced]:
        before, size, behind = pixels_around(shape, axis, first, last)
        is_run = size == math.prod(shape[place] for place in reduced)
        is_far = before > 1 and behind > 1 and size > MAX_STRIDE
        is_part = is_run and not is_far and before * behind > 1
        if is_part and context.builder.has_channels_along(source, axis):
            moved = np.moveaxis(source.index, axis, 0)
            if behind == 1:
                return axis, moved.reshape(-1, before, size), (1, size)
            return axis, moved.reshape(-1, before * size, behind), (size, 1)
    return None


def _over_pixels(
    context: Context, node: Operator, source: Quantized, want: Index, kernel: tuple[int, int]
) -> Linear | Pooled:
    """Reduce each window of the map `want`; windows lie side by side."""
    channels, *sizes = want.shape
    rows, columns = (size // along for size, along in zip(sizes, kernel, strict=True))
    strides = kernel[0] if rows > 1 else 1, kernel[1] if columns > 1 else 1
    shape = (channels, rows, columns)
    feature_map = context.builder.as_map(source, want)
    if node.op_type == "ReduceSum":
        return Linear(
            source=source,
            feature_map=feature_map,
            weight=np.ones((channels, 1, *kernel), np.int16),
            weight_scale=np.ones(channels, np.float32),
            bias=np.zeros(channels),
            strides=strides,
            groups=channels,
            shape=shape,
        )
    return Pooled(
        kind="average" if node.op_type in SUMS else "max",
        source=source,
        feature_map=feature_map,
        kernel=kernel,
        strides=strides,
        is_global=rows * columns == 1,
        shape=shape,
    )
