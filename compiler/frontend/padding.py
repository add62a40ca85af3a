"""Pad: pixels around a map, channels in front of its own and behind them."""

import numpy as np

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.concatenation import Part, join
from tilewright.compiler.frontend.context import (
    Context,
    Values,
    constant,
    dequantize_all,
    optional,
    quantize_float,
)
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.reindex import reindex
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation, is_pending
from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Padded,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.frontend.window import spatial_index
from tilewright.hw.spec.binding import HALF_RANGE

Widths = tuple[list[int], list[int]]
"""Elements in front of each axis, and behind it."""


@handles(
    Entry(
        operators=("Pad",),
        runs="joins the convolution or pooling, else a copy; of channels, a concatenation",
        conditions="constant value, channels and spatial axes, no negative pads; reflect, edge and "
        "wrap as for Slice",
        cost="none where it joins, else a pass",
    )
)
def pad(context: Context, node: Operator, values: Values) -> list[Value]:
    """Pad channels and pixels of [1, C, H, W] or [1, C, W] with a constant, or with elements."""
    value = values[0]
    if not isinstance(value, Quantized | Real):
        raise UnsupportedError("its input is not an activation on the device")
    if node.attribute("mode", "constant") != "constant":
        if isinstance(value, Real):
            source = as_activation(context, value)
            value = Real(producer=Dequantized(source=source), index=source.index)
        return reindex(context, node, [value, *values[1:]])
    widths = _widths(node, values, value.index.ndim)
    if not any(map(any, widths)):
        return [value]
    if isinstance(value, Quantized):
        offset = HALF_RANGE if value.is_unsigned else 0
        zero_point = value.quantization.zero_point + offset
        steps = np.float32(_value(node, values)) - np.float32(zero_point)
        fill = float(steps * np.float32(value.quantization.scale))
        real = _padded(context, node, widths, value, fill)
        name = node.outputs[0]
        return [emit(context, real, value.quantization, value.is_unsigned, name, "")]
    fill = _value(node, values)
    if not is_pending(value):
        return [_padded(context, node, widths, as_activation(context, value), fill)]
    spatial_index(value.index)
    producer = Deferred(
        inners=(value,), then=lambda sources: _padded(context, node, widths, sources[0], fill)
    )
    index = natural_index(_grown(value.index.shape, widths))
    return [Real(producer=producer, index=index, names=(*value.names, node.name))]


def _padded(
    context: Context, node: Operator, widths: Widths, source: Quantized, fill: float
) -> Real:
    """`source` with channels in front and behind, and pixels around; UnsupportedError: neither."""
    before, after = widths
    if before[1] or after[1]:
        source = _with_more_channels(context, node, source, (before[1], after[1]), fill)
    if not any((*before[2:], *after[2:])):
        return Real(producer=Dequantized(source=source), index=source.index, tensor=node.outputs[0])
    want = spatial_index(source.index)
    pixels = ([0, 0, *before[2:]], [0, 0, *after[2:]])
    shape = _grown(source.index.shape, pixels)
    is_flat = source.index.ndim < 4
    top, bottom = (0, 0) if is_flat else (before[2], after[2])
    producer = Padded(
        source=source,
        want=want,
        pads=(top, before[-1], bottom, after[-1]),
        value=fill,
        shape=(shape[1], 1 if is_flat else shape[2], shape[-1]),
    )
    return Real(producer=producer, index=natural_index(shape), names=(node.name,))


def _with_more_channels(
    context: Context, node: Operator, source: Quantized, counts: tuple[int, int], fill: float
) -> Quantized:
    """`source` with so many channels that hold `fill` in front of its own and behind them."""
    quantization = source.quantization
    stored = quantize_float(fill, quantization)
    if dequantize_all(quantization)[stored + HALF_RANGE] != np.float32(fill):
        raise UnsupportedError("its padding value is not representable; quantize the Pad")
    rest = source.index.shape[2:]
    parts: list[Part] = [source]
    for place, count in enumerate(counts):
        if count:
            parts.insert(place * len(parts), np.full((1, count, *rest), fill, np.float32))
    return as_activation(context, join(context, parts, 1, node.name))


def _grown(shape: tuple[int, ...], widths: Widths) -> tuple[int, ...]:
    return tuple(map(sum, zip(widths[0], shape, widths[1], strict=True)))


def _widths(node: Operator, values: Values, rank: int) -> Widths:
    """Return how much each axis grows at either end. Raises UnsupportedError."""
    pads = node.attributes.get("pads")
    widths = list(pads) if pads is not None else constant(values, 1, "pads").reshape(-1).tolist()
    axes = list(range(rank))
    if optional(values, 3) is not None:
        axes = [int(axis) % rank for axis in constant(values, 3, "axes").reshape(-1).tolist()]
    if len(widths) != 2 * len(axes):
        raise UnsupportedError(f"its pads must be {2 * len(axes)} numbers, got {len(widths)}")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis] = int(widths[position])
        after[axis] = int(widths[position + len(widths) // 2])
    if before[0] or after[0] or min(*before, *after) < 0:
        raise UnsupportedError("it must not pad the batch, and by no negative amount")
    return before, after


def _value(node: Operator, values: Values) -> float:
    if optional(values, 2) is not None:
        return float(constant(values, 2, "padding value").reshape(-1)[0])
    return float(node.attribute("value", 0.0))
