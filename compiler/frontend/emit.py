"""Store a real value as an int8 feature map: append the graph nodes that compute it."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Context, dequantize_all, quantize_float
from tilewright.compiler.frontend.pieces import pieces_of
from tilewright.compiler.frontend.table import (
    epilogue_of,
    quantize_all,
    real_results,
    results_at,
)
from tilewright.compiler.frontend.values import (
    Combined,
    Deferred,
    Dequantized,
    Joined,
    Linear,
    Padded,
    Pooled,
    Quantized,
    Real,
)
from tilewright.compiler.graph.copies import UNIT
from tilewright.compiler.graph.graph import (
    Concat,
    Conv,
    Elementwise,
    Epilogue,
    Node,
    Pad,
    Piece,
    Pool,
    Requantize,
)
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization, Shape

NOTED_FRACTION = 1e-3
"""Biases further than this from an integer number of (sx * sw) steps are noted."""


def emit(
    context: Context,
    value: Real,
    quantization: Quantization,
    is_unsigned: bool,
    name: str,
    node_name: str,
) -> Quantized:
    """Append the nodes that store `value` with `quantization` under the ONNX tensor `name`."""
    producer = value.producer
    if isinstance(producer, Deferred):
        inner = emit(context, producer.inner, quantization, is_unsigned, name + "/inner", node_name)
        final = replace(producer.then(inner), low=value.low, high=value.high, index=value.index)
        return emit(context, final, quantization, is_unsigned, name, node_name)
    sources = (*value.names, node_name) if node_name else value.names
    request = _Request(context, name, quantization, sources, _bounds(value, quantization))
    if isinstance(producer, Dequantized):
        stored = _emit_unary(request, value, producer.source, is_unsigned)
    else:
        if isinstance(producer, Linear):
            map_name = _emit_linear(request, producer, value)
        elif isinstance(producer, Combined):
            map_name = _emit_combined(request, producer)
        elif isinstance(producer, Pooled):
            map_name = _emit_pooled(request, producer)
        elif isinstance(producer, Joined):
            map_name = _emit_joined(request, producer)
        else:
            map_name = _emit_padded(request, producer)
        stored = Quantized(
            origin=map_name, index=value.index, quantization=quantization, is_unsigned=is_unsigned
        )
    if not stored.is_border:
        context.stored.setdefault(
            stored.origin,
            (name, stored),
        )
    return stored


class _Request:
    """What to store: name, quantization, ONNX nodes and int8 clamp."""

    def __init__(
        self,
        context: Context,
        name: str,
        quantization: Quantization,
        sources: tuple[str, ...],
        bounds: tuple[int, int],
    ) -> None:
        self.context = context
        self.builder = context.builder
        self.name = name
        self.quantization = quantization
        self.sources = sources
        self.low, self.high = bounds

    @property
    def node_name(self) -> str:
        return self.sources[0] if self.sources else self.name

    def map(self, shape: Shape, name: str = "") -> str:
        return self.builder.add_map(name or self.name, shape, self.quantization)

    def append(self, node: Node) -> str:
        self.builder.add(node)
        return node.output


def _bounds(value: Real, quantization: Quantization) -> tuple[int, int]:
    return quantize_float(value.low, quantization), quantize_float(value.high, quantization)


def _emit_unary(request: _Request, value: Real, source: Quantized, is_unsigned: bool) -> Quantized:
    results = quantize_all(real_results(request.context, value), request.quantization)
    return store_results(
        request.context,
        results,
        replace(source, index=value.index),
        Quantized(
            origin=request.name,
            index=value.index,
            quantization=request.quantization,
            is_unsigned=is_unsigned,
        ),
        request.sources,
    )


def store_results(
    context: Context,
    results: NDArray[np.int8],
    source: Quantized,
    target: Quantized,
    sources: tuple[str, ...],
) -> Quantized:
    """Store the unary function with the int8 `results` of `source` under target.origin.

    `results` belong to the stored values -128 ... 127; the identity adds no node.
    """
    epilogue = epilogue_of(results, source.quantization, target.quantization)
    if epilogue is None and source.is_unsigned == target.is_unsigned:
        return source
    if epilogue is None and not source.is_border:
        return replace(source, is_unsigned=target.is_unsigned)
    builder = context.builder
    map_name, index = builder.natural(source)
    if epilogue is None:
        return replace(target, origin=map_name, index=index)
    output = builder.add_map(target.origin, builder.maps[map_name].shape, target.quantization)
    name = sources[0] if sources else target.origin
    builder.add(
        Requantize(name=name, output=output, source=sources, input=map_name, epilogue=epilogue)
    )
    return replace(target, origin=output, index=index)


def _emit_linear(request: _Request, producer: Linear, value: Real) -> str:
    bias = np.rint(producer.bias)
    zero_point = producer.source.quantization.zero_point
    numerics.check_accumulator(producer.weight, bias, zero_point, request.node_name)
    fraction = float(np.abs(producer.bias - bias).max(initial=0))
    if fraction > NOTED_FRACTION:
        request.context.notes.append(
            f"{request.node_name}: the bias is no multiple of input scale * weight scale; it was "
            f"rounded by up to {fraction:.3g} accumulator steps"
        )
    scale = numerics.requantize_scale(
        producer.source.quantization.scale, producer.weight_scale, request.quantization.scale
    )
    negative_scale, largest = None, scale
    if producer.slope is not None:
        negative_scale = producer.weight_scale * producer.slope
        largest = np.maximum(scale, scale * np.abs(producer.slope))
    too_large = largest >= numerics.SCALE_LIMIT
    if too_large.any():
        numerics.check_scale(largest[too_large], request.node_name)
    epilogue = Epilogue(
        quantization=request.quantization,
        low=request.low,
        high=request.high,
        pieces=() if value.is_plain else _pieces(request, producer, value),
    )
    feature_map, weight = _split_weights(request, producer)
    return request.append(
        Conv(
            name=request.node_name,
            output=request.map(producer.shape),
            source=request.sources,
            input=feature_map,
            weight=weight,
            bias=bias.astype(np.int32),
            weight_scale=producer.weight_scale,
            negative_scale=negative_scale,
            strides=producer.strides,
            pads=producer.pads,
            dilations=producer.dilations,
            groups=producer.groups,
            epilogue=epilogue,
        )
    )


def _pieces(request: _Request, producer: Linear, value: Real) -> tuple[Piece, ...]:
    function = partial(results_at, request.context, value)
    return pieces_of(function, producer, request.quantization)


def _split_weights(request: _Request, producer: Linear) -> tuple[str, NDArray[np.int8]]:
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


def _repeated(request: _Request, producer: Linear, times: int) -> str:
    """The map whose groups of channels each hold those of the input so many `times`.

    With several groups a grouped convolution copies: 64 times the scale 1/64 is exactly 1.
    """
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
    width = stored.channels // producer.groups
    copies = np.tile(np.eye(width, dtype=np.int8) * UNIT, (producer.groups * times, 1))
    return request.append(
        Conv(
            name=name,
            output=output,
            source=request.sources,
            input=producer.feature_map,
            weight=copies[:, :, None, None],
            bias=np.zeros(len(copies), np.int32),
            weight_scale=np.full(len(copies), 1 / UNIT, np.float32),
            groups=producer.groups,
            epilogue=Epilogue(quantization=stored.quantization),
        )
    )


def _emit_combined(request: _Request, producer: Combined) -> str:
    return request.append(
        Elementwise(
            name=request.node_name,
            output=request.map(request.builder.maps[producer.first].shape),
            source=request.sources,
            kind=producer.kind,
            first=producer.first,
            second=producer.second,
            low=request.low,
            high=request.high,
        )
    )


def _emit_pooled(request: _Request, producer: Pooled) -> str:
    if producer.kind == "average":
        return request.append(_pool(request, producer, request.map(producer.shape)))
    stored = request.builder.maps[producer.feature_map].quantization
    if stored == request.quantization:
        return request.append(_pool(request, producer, request.map(producer.shape)))
    wide = _Request(request.context, request.name + "/pooled", stored, request.sources, (-128, 127))
    pooled = wide.append(_pool(wide, producer, wide.map(producer.shape)))
    return _rescale(request, pooled, request.name)


def _pool(request: _Request, producer: Pooled, output: str) -> Pool:
    return Pool(
        name=request.node_name,
        output=output,
        source=request.sources,
        kind=producer.kind,
        input=producer.feature_map,
        kernel=producer.kernel,
        strides=producer.strides,
        pads=producer.pads,
        dilations=producer.dilations,
        count_include_pad=producer.count_include_pad,
        is_global=producer.is_global,
        low=request.low,
        high=request.high,
    )


def _emit_joined(request: _Request, producer: Joined) -> str:
    parts = tuple(
        _rescale(request, part, f"{request.name}/part{position}")
        for position, part in enumerate(producer.parts)
    )
    maps = [request.builder.maps[part] for part in parts]
    shape = (sum(item.channels for item in maps), maps[0].height, maps[0].width)
    return request.append(
        Concat(
            name=request.node_name, output=request.map(shape), source=request.sources, parts=parts
        )
    )


def _emit_padded(request: _Request, producer: Padded) -> str:
    builder = request.builder
    stored = builder.as_map(producer.source, producer.want)
    rescaled = _rescale(request, stored, request.name + "/rescaled")
    value = quantize_float(producer.value, request.quantization)
    return request.append(
        Pad(
            name=request.node_name,
            output=request.map(producer.shape),
            source=request.sources,
            input=rescaled,
            pads=producer.pads,
            value=min(max(value, request.low), request.high),
        )
    )


def _rescale(request: _Request, map_name: str, name: str) -> str:
    """Return the map, clamped and with the requested quantization; the identity adds no node."""
    stored = request.builder.maps[map_name]
    values = dequantize_all(stored.quantization)
    results = np.clip(quantize_all(values, request.quantization), request.low, request.high)
    whole = np.arange(stored.elements).reshape(stored.shape)
    source = Quantized(
        origin=map_name, index=whole, quantization=stored.quantization, is_unsigned=False
    )
    target = replace(source, origin=name, quantization=request.quantization)
    return store_results(
        request.context, results.astype(np.int8), source, target, request.sources
    ).origin
