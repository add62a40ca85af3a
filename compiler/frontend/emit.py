"""Store a real value as an int8 feature map: append the graph nodes that compute it."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import (
    Context,
    dequantize_all,
    quantize_float,
    require_scale,
)
from tilewright.compiler.frontend.emit_linear import (
    emit_linear,
    emit_linear_combined,
    has_one_divisor,
    mean_as_linear,
    of_read_channels,
)
from tilewright.compiler.frontend.lines import Line, line_of, ramp_of, with_line, with_ramp
from tilewright.compiler.frontend.request import Function, Request
from tilewright.compiler.frontend.sums import sum_as_linear
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
    LinearCombined,
    Padded,
    Pooled,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.graph.graph import (
    Concat,
    Elementwise,
    Pad,
    Pool,
    Requantize,
    View,
)
from tilewright.hw.spec.tensor import Quantization


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
        final = _made(context, producer, quantization, is_unsigned, name, node_name)
        index = final.index.reshape(-1)[value.index]
        final = replace(final, low=value.low, high=value.high, index=index)
        return emit(context, final, quantization, is_unsigned, name, node_name)
    function = partial(results_at, context, value)
    if isinstance(producer, Linear):
        value = of_read_channels(_by_scales(value, function, quantization))
    sources = (*value.names, node_name) if node_name else value.names
    bounds = _bounds(value, quantization)
    request = Request(context, name, quantization, sources, bounds, function)
    if isinstance(producer, Dequantized):
        result = _emit_unary(request, value, producer.source, is_unsigned)
    else:
        result = Quantized(
            origin=_emit_map(request, value),
            index=value.index,
            quantization=quantization,
            is_unsigned=is_unsigned,
        )
    if not result.is_border:
        context.stored.setdefault(result.origin, (name, result))
    return result


def _made(
    context: Context,
    producer: Deferred,
    quantization: Quantization,
    is_unsigned: bool,
    name: str,
    node_name: str,
) -> Real:
    """What `producer` makes for this quantization."""
    if producer.made is not None:
        return producer.made(quantization)
    assert producer.then is not None
    stored = [
        emit(context, inner, quantization, is_unsigned, f"{name}/inner{number or ''}", node_name)
        for number, inner in enumerate(producer.inners)
    ]
    return producer.then(stored)


def _by_scales(value: Real, function: Function, target: Quantization) -> Real:
    """A function of a convolution's value as scales and clamps, where it is one of those."""
    if value.is_plain:
        return value
    if (line := line_of(function)) is not None:
        return with_line(value, line) or value
    ramp = ramp_of(function)
    return (ramp and with_ramp(value, ramp, target)) or value


def _bounds(value: Real, quantization: Quantization) -> tuple[int, int]:
    return quantize_float(value.low, quantization), quantize_float(value.high, quantization)


def _emit_map(request: Request, value: Real) -> str:
    """Store what is not stored yet and return its map."""
    producer = value.producer
    if isinstance(producer, Linear):
        return emit_linear(request, producer, value)
    if isinstance(producer, Joined):
        return _emit_joined(request, producer)
    if isinstance(producer, Padded):
        return _emit_padded(request, producer)
    if isinstance(producer, Pooled) and producer.kind == "max":
        return _emit_largest(request, producer, value)
    assert isinstance(producer, Combined | LinearCombined | Pooled)
    if value.is_plain:
        return _emit_exactly(request, producer)
    line = line_of(request.function)
    if line is not None:
        return _emit_line(request, producer, line)
    if isinstance(producer, Pooled) and has_one_divisor(producer):
        return emit_linear(request, mean_as_linear(producer), value)
    if isinstance(producer, Combined) and producer.kind == "add":
        return emit_linear(request, sum_as_linear(request.context, producer, request.name), value)
    raise UnsupportedError(
        "its function of a product, of a convolution's value plus an activation, or of a mean of "
        "windows of several sizes is no line of one slope or two; put a QuantizeLinear and "
        "DequantizeLinear in front of it"
    )


def _emit_unary(request: Request, value: Real, source: Quantized, is_unsigned: bool) -> Quantized:
    results = quantize_all(real_results(request.context, value), request.quantization)
    return store_results(
        request.context,
        np.clip(results, request.low, request.high).astype(np.int8),
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
    result = replace(target, origin=output, index=index)
    context.stored.setdefault(output, (target.origin, result))
    return result


def _emit_line(request: Request, producer: Combined | LinearCombined | Pooled, line: Line) -> str:
    """A line of a sum, product or mean: that, stored with a scale of its own for each slope.

    Above and below 0 one of the two is the zero point, so that their sum is the result.
    """
    target, parts = request.quantization, []
    for number, (gain, *bounds) in enumerate(line.halves):
        scale = np.float32(target.scale) / np.float32(gain)
        require_scale(scale, request.node_name)
        low, high = (quantize_float(bound, target) for bound in bounds)
        scaled = Request(
            request.context,
            f"{request.name}/half{number}",
            replace(target, scale=float(scale)),
            request.sources,
            (low, high),
        )
        half = _emit_exactly(scaled, producer)
        shape = request.builder.maps[half].shape
        part = request.map(shape, f"{request.name}/part{number}")
        parts.append(request.append(View(name=part, output=part, input=half)))
    if len(parts) == 1:
        return parts[0]
    return _emit_exactly(request, Combined(kind="add", first=parts[0], second=parts[1], sources=()))


def _emit_exactly(request: Request, producer: Combined | LinearCombined | Pooled) -> str:
    """A sum, product or mean."""
    if isinstance(producer, LinearCombined):
        return emit_linear_combined(request, producer)
    if isinstance(producer, Pooled):
        return request.append(_pool(request, producer, request.map(producer.shape)))
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


def _emit_largest(request: Request, producer: Pooled, value: Real) -> str:
    stored = request.builder.maps[producer.feature_map].quantization
    if stored == request.quantization and value.is_plain:
        return request.append(_pool(request, producer, request.map(producer.shape)))
    wide = Request(request.context, request.name + "/pooled", stored, request.sources, (-128, 127))
    pooled = wide.append(_pool(wide, producer, wide.map(producer.shape)))
    return _rescale(request, pooled, request.name)


def _pool(request: Request, producer: Pooled, output: str) -> Pool:
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


def _emit_joined(request: Request, producer: Joined) -> str:
    parts = tuple(
        _rescale(request, part, f"{request.name}/part{position}")
        if isinstance(part, str)
        else _emit_constant(request, part)
        for position, part in enumerate(producer.parts)
    )
    shapes = [request.builder.maps[part].shape for part in parts]
    sizes = list(shapes[0])
    sizes[producer.axis] = sum(shape[producer.axis] for shape in shapes)
    return request.append(
        Concat(
            name=request.node_name,
            output=request.map((sizes[0], sizes[1], sizes[2])),
            source=request.sources,
            parts=parts,
            axis=producer.axis,
        )
    )


def _emit_constant(request: Request, values: NDArray[np.float32]) -> str:
    """An input map that always holds the function of `values`, quantized as requested."""
    results = quantize_all(request.function(values.reshape(-1)), request.quantization)
    data = np.clip(results, request.low, request.high).astype(np.int8).reshape(values.shape)
    return request.builder.add_constant(f"{request.name}/constant", data, request.quantization)


def _emit_padded(request: Request, producer: Padded) -> str:
    builder = request.builder
    stored = builder.as_map(producer.source, producer.want)
    rescaled = _rescale(request, stored, request.name + "/rescaled")
    padding = request.function(np.array([producer.value], np.float32))
    value = quantize_float(padding.item(), request.quantization)
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


def _rescale(request: Request, map_name: str, name: str) -> str:
    """Return the function of the map as requested; the identity adds no node."""
    stored = request.builder.maps[map_name]
    values = request.function(dequantize_all(stored.quantization))
    results = np.clip(quantize_all(values, request.quantization), request.low, request.high)
    whole = np.arange(stored.elements).reshape(stored.shape)
    source = Quantized(
        origin=map_name, index=whole, quantization=stored.quantization, is_unsigned=False
    )
    target = replace(source, origin=name, quantization=request.quantization)
    return store_results(
        request.context, results.astype(np.int8), source, target, request.sources
    ).origin
