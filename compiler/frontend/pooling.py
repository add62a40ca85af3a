"""MaxPool, AveragePool and global pooling."""

from dataclasses import replace
from typing import Literal

import numpy as np

from tilewright.compiler.frontend.context import Context, Values
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.emit_linear import has_one_divisor, mean_as_linear
from tilewright.compiler.frontend.handlers import Entry, handles, handles_quantized
from tilewright.compiler.frontend.later import when_stored
from tilewright.compiler.frontend.mixing import mean_of_all, mixed_pixels
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import (
    as_activation,
    dequantize_input,
    is_pending,
    quantize_output,
    storable,
    store_exactly,
)
from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Index,
    Padded,
    Pooled,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.frontend.window import Pads, spatial_index, window_of

Kind = Literal["max", "average"]


@handles(
    Entry(
        operators=("MaxPool",),
        runs="pooling",
        conditions="1-D or 2-D; padding, dilation, ceil_mode; no index output",
        cost="a pass of kernel cycles a pixel; beside the convolution before it, where it reads "
        "that alone",
    ),
    has_several_outputs=True,
)
def pool_max(context: Context, node: Operator, values: Values) -> list[Value]:
    """MaxPool of a stored or a real activation; of one not yet quantized it waits for that."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedError("its second output, the indices, is not supported")
    stored = values[0]
    source = _available(context, stored)
    if source is None:
        assert isinstance(stored, Real)
        shape = _pooled_shape(node, stored)
        return [
            Real(
                producer=Deferred(
                    inners=(stored,), then=lambda sources: _pooled(context, node, sources[0], "max")
                ),
                index=np.arange(int(np.prod(shape))).reshape(shape),
                names=(*stored.names, node.name),
            )
        ]
    real = _pooled(context, node, source, "max")
    if not isinstance(stored, Quantized):
        return [real]
    name = node.outputs[0]
    return [emit(context, real, stored.quantization, stored.is_unsigned, name, "")]


def _pooled_shape(node: Operator, real: Real) -> tuple[int, ...]:
    channels, *sides = spatial_index(real.index).shape
    rank = real.index.ndim - 2
    output = window_of(node, node.attribute("kernel_shape", []), tuple(sides[2 - rank :])).output
    return (1, channels, *output[2 - rank :])


def _available(context: Context, value: Value | None) -> Quantized | None:
    """What is stored; None where a QuantizeLinear behind the pooling says how it is."""
    if isinstance(value, Quantized):
        return value
    if isinstance(value, Real):
        if is_pending(value):
            return None
        if isinstance(value.producer, Dequantized) and not value.is_plain:
            return store_exactly(context, value)
    return as_activation(context, value)


@handles(
    Entry(
        operators=("AveragePool",),
        runs="pooling",
        conditions="1-D or 2-D; padding, dilation, count_include_pad, ceil_mode; of values not yet "
        "quantized, too, where windows have one size, one step off at most",
        cost="a pass of kernel cycles a pixel; of values not yet quantized as of Resize",
    )
)
def pool_average(context: Context, node: Operator, values: Values) -> list[Value]:
    """AveragePool of a real activation; of one not yet quantized where windows have one size."""
    value = values[0]
    if not isinstance(value, Real) or storable(context, value) is not None:
        return [_pooled(context, node, as_activation(context, value), "average")]

    def mean(stored: Quantized) -> Real:
        real = _pooled(context, node, stored, "average")
        assert isinstance(real.producer, Pooled)
        if not has_one_divisor(real.producer):
            raise UnsupportedError(
                "it reads values that no QuantizeLinear follows, by windows of several sizes"
            )
        return replace(real, producer=mean_as_linear(real.producer))

    return [mixed_pixels(context, node, value, _pooled_shape(node, value), mean)]


@handles_quantized(pool_average, microsoft=("QLinearAveragePool",))
def pool_average_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearAveragePool (com.microsoft): X, xs, xz, ys, yz."""
    _require_channels_first(node)
    source = as_activation(context, dequantize_input(context, values, 0))
    return [quantize_output(context, node, _pooled(context, node, source, "average"), values, 3)]


@handles(
    Entry(
        operators=("GlobalAveragePool", "GlobalMaxPool"),
        runs="pooling",
        conditions="1-D or 2-D; of values not yet quantized, too: of the average one step off at "
        "most",
        cost="a pass over the input; of the average of values not yet quantized, where 8 bits are "
        "too coarse, what storing them in 16 costs, and a depthwise convolution whose kernel is "
        "the map",
    )
)
def pool_global(context: Context, node: Operator, values: Values) -> list[Value]:
    """GlobalAveragePool, GlobalMaxPool of a real activation [1, C, ...]."""
    value = values[0]
    if node.op_type == "GlobalAveragePool" or not isinstance(value, Real):
        return [_global_mean(context, node, value)]
    shape = (*value.index.shape[:2], *[1] * (value.index.ndim - 2))
    return [
        when_stored(
            context,
            [value],
            shape,
            node.name,
            lambda reals: _global(context, node, as_activation(context, reals[0]), "max"),
        )
    ]


@handles_quantized(pool_global, microsoft=("QLinearGlobalAveragePool",))
def pool_global_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearGlobalAveragePool (com.microsoft): X, xs, xz, ys, yz."""
    _require_channels_first(node)
    source = as_activation(context, dequantize_input(context, values, 0))
    return [quantize_output(context, node, _global(context, node, source, "average"), values, 3)]


def _pooled(context: Context, node: Operator, source: Quantized, kind: Kind) -> Real:
    want = spatial_index(source.index)
    size = source.index.shape[2:]
    window = window_of(node, node.attribute("kernel_shape", []), size)
    includes_pads = bool(node.attribute("count_include_pad", 0))
    pads = window.pads
    if kind == "average" and includes_pads and any(window.overhang):
        # The divisor counts the ONNX padding but not what lies beyond: store the padding.
        rows, columns = window.overhang
        given = (pads[0], pads[1], pads[2] - rows, pads[3] - columns)
        pads, includes_pads = (0, 0, rows, columns), False
        source = _padded(context, node, source, want, given)
        want = spatial_index(source.index)
    shape = (want.shape[0], *window.output)
    producer = Pooled(
        kind=kind,
        source=source,
        feature_map=context.builder.as_map(source, want),
        kernel=window.kernel,
        strides=window.strides,
        pads=pads,
        dilations=window.dilations,
        count_include_pad=includes_pads,
        shape=shape,
    )
    onnx_shape = (1, *shape) if source.index.ndim == 4 else (1, shape[0], shape[2])
    index = np.arange(int(np.prod(shape))).reshape(onnx_shape)
    return Real(producer=producer, index=index, names=(node.name,))


def _padded(
    context: Context, node: Operator, source: Quantized, want: Index, pads: Pads
) -> Quantized:
    """Store `source` padded with the real number 0."""
    if not any(pads):
        return source
    channels, height, width = want.shape
    shape = (channels, pads[0] + height + pads[2], pads[1] + width + pads[3])
    onnx_shape = (1, *shape) if source.index.ndim == 4 else (1, channels, shape[2])
    real = Real(
        producer=Padded(source=source, want=want, pads=pads, value=0.0, shape=shape),
        index=np.arange(int(np.prod(shape))).reshape(onnx_shape),
        names=(node.name,),
    )
    name = node.outputs[0] + "/padded"
    return emit(context, real, source.quantization, source.is_unsigned, name, "")


def _global_mean(context: Context, node: Operator, value: Value | None) -> Real:
    if not isinstance(value, Real) or storable(context, value) is not None:
        return _global(context, node, as_activation(context, value), "average")
    return mean_of_all(
        context, node, value, lambda stored: _global(context, node, stored, "average")
    )


def _global(context: Context, node: Operator, source: Quantized, kind: Kind) -> Real:
    want = spatial_index(source.index)
    channels, height, width = want.shape
    producer = Pooled(
        kind=kind,
        source=source,
        feature_map=context.builder.as_map(source, want),
        kernel=(height, width),
        is_global=True,
        shape=(channels, 1, 1),
    )
    onnx_shape = (1, channels, *([1] * (source.index.ndim - 2)))
    return Real(
        producer=producer, index=np.arange(channels).reshape(onnx_shape), names=(node.name,)
    )


def _require_channels_first(node: Operator) -> None:
    if node.attribute("channels_last", 0):
        raise UnsupportedError("its attribute channels_last must be 0")
