"""Store the value of a convolution or matrix product."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import require_scale
from tilewright.compiler.frontend.pieces import pieces_of
from tilewright.compiler.frontend.request import Request
from tilewright.compiler.frontend.room import (
    NOTED_FRACTION,
    extreme_sums,
    with_nearest_bias,
    with_room,
)
from tilewright.compiler.frontend.values import Linear, LinearCombined, Pooled, Real
from tilewright.compiler.graph.copies import copy_channels
from tilewright.compiler.graph.graph import Concat, Conv, Epilogue, Piece, Residual
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization

UNROUNDED_SCALE_LIMIT = numerics.SCALE_LIMIT / 2**31
"""Of sums that are not rounded: what the scale makes of any accumulator is a scale itself."""


def emit_linear(request: Request, producer: Linear, value: Real) -> str:
    """Store `value`, which is the producer's or a function of it, and return its map.

    Biases are rounded to steps of the accumulators, with a note where that shows. Raises
    UnsupportedError for a function that tables do not reach, and for sums or scales beyond the
    accumulators.
    """
    producer = with_nearest_bias(producer)
    pieces: tuple[Piece, ...] = ()
    level, farthest = request.quantization.scale, 0.0
    if not value.is_plain:
        pieces = _pieces(request, producer, value)
        level = min(piece.step for piece in pieces)
        farthest = max(abs(piece.middle) for piece in pieces)
    producer = with_room(producer, level, farthest)
    epilogue = Epilogue(
        quantization=request.quantization,
        low=request.low,
        high=request.high,
        pieces=pieces,
    )
    return _append(request, producer, epilogue)


def _pieces(request: Request, producer: Linear, value: Real) -> tuple[Piece, ...]:
    known, sums = request.context.pieces, np.stack([producer.steps, *extreme_sums(producer)])
    key = (
        (value.tensor, value.names, value.less, value.is_fine),
        (sums.tobytes(), request.quantization),
    )
    if key not in known:
        known[key] = pieces_of(request.function, producer, request.quantization, value.is_fine)
    return known[key]


def emit_linear_combined(request: Request, producer: LinearCombined) -> str:
    """Store the sum or product of a convolution's unrounded value and another map; its map.

    The epilogue's scale makes of the accumulators what the result's steps are: of a sum the
    result's scale, of a product that divided by the other map's.
    """
    scale = np.float32(request.quantization.scale)
    if producer.kind == "multiply":
        scale = scale / np.float32(request.builder.maps[producer.other].quantization.scale)
    epilogue = Epilogue(quantization=Quantization(scale=float(scale), zero_point=0), low=1, high=1)
    residual = Residual(
        kind=producer.kind,
        other=producer.other,
        low=request.low,
        high=request.high,
        unrounded=True,
    )
    linear = with_room(with_nearest_bias(producer.linear), epilogue.quantization.scale)
    return _append(request, linear, epilogue, residual)


def _append(
    request: Request, producer: Linear, epilogue: Epilogue, residual: Residual | None = None
) -> str:
    """Append the convolution; what it hands on without rounding stays below 2^64."""
    bias = _rounded_bias(request, producer)
    scale = numerics.requantize_scale(
        producer.source.quantization.scale, producer.weight_scale, epilogue.quantization.scale
    )
    negative_scale, largest = None, scale
    if producer.slope is not None:
        negative_scale = producer.weight_scale * producer.slope
        largest = np.maximum(scale, scale * np.abs(producer.slope))
    limit = numerics.SCALE_LIMIT if residual is None else UNROUNDED_SCALE_LIMIT
    too_large = largest >= limit
    if too_large.any():
        require_scale(largest[too_large], request.node_name, limit)
    feature_map, weight = _split_weights(request, producer)
    return request.append(
        Conv(
            name=request.node_name,
            output=request.map(producer.shape),
            source=request.sources,
            input=feature_map,
            weight=weight,
            bias=bias,
            weight_scale=producer.weight_scale,
            negative_scale=negative_scale,
            strides=producer.strides,
            pads=producer.pads,
            dilations=producer.dilations,
            groups=producer.groups,
            epilogue=epilogue,
            residual=residual,
        )
    )


def _rounded_bias(request: Request, producer: Linear) -> NDArray[np.int32]:
    """The bias in steps of the accumulators."""
    bias = np.rint(producer.bias)
    fraction = float(np.abs(producer.bias - bias).max(initial=0))
    if fraction > NOTED_FRACTION:
        request.context.notes.append(
            f"{request.node_name}: the bias is no multiple of input scale * weight scale; it was "
            f"rounded by up to {fraction:.3g} accumulator steps"
        )
    return bias.astype(np.int32)


def of_read_channels(value: Real) -> Real:
    """A product whose value is read in part (Split, Slice), without the channels left out."""
    producer = value.producer
    assert isinstance(producer, Linear)
    channels, height, width = producer.shape
    if producer.groups > 1 or value.index.size >= channels * height * width:
        return value
    owner, pixel = np.divmod(value.index, height * width)
    read = np.unique(owner)
    return replace(
        value,
        index=np.searchsorted(read, owner) * (height * width) + pixel,
        producer=replace(
            producer,
            weight=producer.weight[read],
            weight_scale=producer.weight_scale[read],
            bias=producer.bias[read],
            slope=None if producer.slope is None else producer.slope[read],
            shape=(len(read), height, width),
        ),
    )


def has_one_divisor(producer: Pooled) -> bool:
    """Whether it is an average whose windows have one size."""
    return producer.kind == "average" and (producer.count_include_pad or not any(producer.pads))


def mean_as_linear(producer: Pooled) -> Linear:
    """An average whose windows have one size, as a depthwise convolution with weights of 1."""
    channels = producer.shape[0]
    return Linear(
        source=producer.source,
        feature_map=producer.feature_map,
        weight=np.ones((channels, 1, *producer.kernel), np.int16),
        weight_scale=np.full(channels, 1 / np.prod(producer.kernel), np.float32),
        bias=np.zeros(channels),
        strides=producer.strides,
        pads=producer.pads,
        dilations=producer.dilations,
        groups=channels,
        shape=producer.shape,
    )


def _split_weights(request: Request, producer: Linear) -> tuple[str, NDArray[np.int8]]:
    """Return the input map and int8 weights.

    Weights beyond int8 (a zero point) become a sum of int8 parts along the input channels, and
    the input is repeated as often.
    """
    weight = producer.weight
    if weight.min(initial=0) >= -128 and weight.max(initial=0) <= 127:
        return producer.feature_map, weight.astype(np.int8)
    parts = []
    while weight.any():
        part = np.clip(weight, -128, 127)
        parts.append(part.astype(np.int8))
        weight = weight - part
    request.context.notes.append(
        f"{request.node_name}: the weights' zero point takes {len(parts)} passes; quantize them "
        "symmetrically for one"
    )
    repeated = _repeated(request, producer, len(parts))
    return repeated, np.concatenate(parts, axis=1)


def _repeated(request: Request, producer: Linear, times: int) -> str:
    """The map whose groups of channels each hold those of the input so many `times`."""
    stored = request.builder.maps[producer.feature_map]
    output = request.builder.add_map(
        f"{request.name}/repeated",
        (stored.channels * times, stored.height, stored.width),
        stored.quantization,
    )
    name = f"{request.node_name}/repeat"
    if producer.groups == 1:
        parts = (producer.feature_map,) * times
        return request.append(Concat(name=name, output=output, source=request.sources, parts=parts))
    channels = np.arange(stored.channels).reshape(producer.groups, 1, -1).repeat(times, axis=1)
    copy = copy_channels(stored, channels.reshape(-1), output, producer.groups)
    return request.append(replace(copy, name=name, source=request.sources))
