"""Concat: maps joined along their channels, rows or columns.

Every part is made in its place of the whole (graph.Concat). Which of the maps' axes that is follows
from the axis of the ONNX values and from how the parts are stored.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.builder import (
    GraphBuilder,
    index_by_channels,
    natural_index,
    pixels_around,
)
from tilewright.compiler.frontend.context import (
    Context,
    Values,
    constant,
    dequantize_all,
    plain_source,
    scalar_quantization,
    shift_to_int8,
)
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.handlers import Entry, handles, handles_quantized
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import (
    as_activation,
    dequantize_constant,
    dequantize_input,
    is_pending,
)
from tilewright.compiler.frontend.values import (
    Constant,
    Deferred,
    Index,
    Joined,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.hw.spec.binding import HALF_RANGE
from tilewright.hw.spec.tensor import Shape

Part = Quantized | NDArray[np.float32]
"""A stored activation, or a constant."""


@handles(
    Entry(
        operators=("Concat",),
        runs="placement, rescaling of inputs with another scale",
        conditions="along channels or pixels (tokens), activations and constants; of values not "
        "yet quantized, too",
        cost="none for what a layer makes for it; a pass over each input with another scale, that "
        "is read in another order or that has another place already (an input of the model, its "
        "output where pixels are joined, a concatenation, an input twice, a map that is joined "
        "along its columns and read in another shape, too), and over constants",
    )
)
def concatenate(context: Context, node: Operator, values: Values) -> list[Value]:
    """Concat of activations and constants.

    Where one is not yet quantized, all are stored as a QuantizeLinear behind it says.
    """
    axis = int(node.attribute("axis", 1))
    if any(isinstance(value, Quantized) for value in values):
        return [_concatenate_stored(context, node, values, axis)]
    parts = [_real_or_constant(value) for value in values]
    reals = [part for part in parts if isinstance(part, Real)]
    if any(is_pending(part) or not part.is_plain for part in reals):
        return [_join_later(context, parts, axis, node.name)]
    stored = [as_activation(context, part) if isinstance(part, Real) else part for part in parts]
    return [join(context, stored, axis, node.name)]


def _real_or_constant(value: Value | None) -> Real | NDArray[np.float32]:
    if isinstance(value, Real):
        return value
    if isinstance(value, Constant):
        return value.array.astype(np.float32)
    raise UnsupportedError("one of its inputs is not an activation on the device")


def _concatenate_stored(context: Context, node: Operator, values: Values, axis: int) -> Quantized:
    """Concat of int8 or uint8 itself."""
    first = next(value for value in values if isinstance(value, Quantized))
    parts: list[Part] = []
    for value in values:
        if isinstance(value, Constant):
            stored = shift_to_int8(value.array).astype(np.int16) + HALF_RANGE
            parts.append(dequantize_all(first.quantization)[stored])
        elif isinstance(value, Quantized):
            parts.append(value)
            if value.quantization != first.quantization:
                raise UnsupportedError("its inputs have different scales or zero points")
        else:
            raise UnsupportedError("one of its inputs is not an activation on the device")
    joined = join(context, parts, axis, node.name)
    return emit(context, joined, first.quantization, first.is_unsigned, node.outputs[0], "")


@handles_quantized(concatenate, microsoft=("QLinearConcat",))
def concatenate_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearConcat (com.microsoft): ys, yz, then x, xs, xz of every part."""
    parts: list[Part] = []
    for at in range(2, len(values), 3):
        given = dequantize_constant(values, at)
        if given is None:
            parts.append(plain_source(dequantize_input(context, values, at)))
        else:
            parts.append(given.array.astype(np.float32))
    joined = join(context, parts, int(node.attribute("axis", 1)), node.name)
    quantization, is_unsigned = scalar_quantization(
        constant(values, 0, "scale"), constant(values, 1, "zero point"), node.label
    )
    return [emit(context, joined, quantization, is_unsigned, node.outputs[0], "")]


def _join_later(
    context: Context, parts: Sequence[Real | NDArray[np.float32]], axis: int, name: str
) -> Real:
    """Concatenate float values once it is known how they are stored. Raises UnsupportedError."""
    reals = [part for part in parts if isinstance(part, Real)]
    shape = _joined([part.index if isinstance(part, Real) else part for part in parts], axis).shape

    def then(stored: Sequence[Quantized]) -> Real:
        left = iter(stored)
        given = [next(left) if isinstance(part, Real) else part for part in parts]
        return join(context, given, axis, name)

    names = tuple(dict.fromkeys(item for part in reals for item in part.names))
    producer = Deferred(inners=tuple(reals), then=then)
    return Real(producer=producer, index=natural_index(shape), names=(*names, name))


def join(context: Context, parts: Sequence[Part], axis: int, name: str) -> Real:
    """Concatenate stored activations and constants along an axis of the values.

    Raises UnsupportedError: the maps fit along none of their axes.
    """
    arrays = [part.index if isinstance(part, Quantized) else part for part in parts]
    shape = _joined(arrays, axis).shape
    axis %= len(shape)
    parts = [part for part, array in zip(parts, arrays, strict=True) if array.size]
    channels = _channel_axis(context, parts, axis)
    if channels is None:
        return _join_channels(context, parts, axis, name)
    maps = tuple(
        context.builder.as_map(part, _in_map(part.index, channels, axis))
        if isinstance(part, Quantized)
        else _in_map(part, channels, axis)
        for part in parts
    )
    producer = Joined(sources=_stored(parts), parts=maps, axis=_map_axis(shape, channels, axis))
    return Real(producer=producer, index=index_by_channels(shape, channels), names=(name,))


def _join_channels(context: Context, parts: Sequence[Part], axis: int, name: str) -> Real:
    """Concatenate along the channels of the maps, whatever the values' axes are there."""
    builder = context.builder
    maps = [_map_of(builder, part, axis, builder.natural) for part in parts]
    is_of_maps = maps[0][2].ndim == 4 or any(
        builder.has_channels_along(part, 1) for part in _stored(parts)
    )
    if axis == 1 and is_of_maps and not _fit(maps):
        maps = [_map_of(builder, part, axis, builder.plain) for part in parts]
    if not _fit(maps):
        raise UnsupportedError("its inputs are stored with different heights and widths")
    offsets = np.cumsum([0, *(math.prod(shape) for _, shape, _ in maps)])
    indices = [index + offset for (_, _, index), offset in zip(maps, offsets[:-1], strict=True)]
    producer = Joined(sources=_stored(parts), parts=tuple(item for item, _, _ in maps), axis=0)
    return Real(producer=producer, index=np.concatenate(indices, axis), names=(name,))


Map = tuple[str | NDArray[np.float32], Shape, Index]
"""A map's name, or its constant values; its shape; the values' index into it."""


def _map_of(
    builder: GraphBuilder, part: Part, axis: int, read: Callable[[Quantized], tuple[str, Index]]
) -> Map:
    if isinstance(part, Quantized):
        name, index = read(part)
        return name, builder.maps[name].shape, index
    laid = _in_map(part, axis, axis)
    return laid, laid.shape, index_by_channels(part.shape, axis)


def _fit(maps: Sequence[Map]) -> bool:
    return len({shape[1:] for _, shape, _ in maps}) == 1


def _channel_axis(context: Context, parts: Sequence[Part], axis: int) -> int | None:
    """The axis of the values that is the channels of all maps; None: that is `axis`, or none is.

    What the host hands over is stored as the others are.
    """
    stored = _stored(parts)
    made = [part for part in stored if not part.is_border] or stored
    for channels in range(1, stored[0].index.ndim):
        if channels != axis and all(
            context.builder.has_channels_along(part, channels) for part in made
        ):
            return channels
    return None


def _map_axis(shape: tuple[int, ...], channels: int, axis: int) -> int:
    """The axis of the maps along which values of `shape` are joined."""
    before, _, behind = pixels_around(shape, channels, axis, axis)
    return 0 if channels == axis else 1 if before == 1 < behind else 2


def _map_shape(shape: tuple[int, ...], channels: int, axis: int) -> Shape:
    """The shape of a map of values of `shape` that are joined along `axis`."""
    before, _, behind = pixels_around(shape, channels, axis, axis)
    match _map_axis(shape, channels, axis):
        case 0:
            width = [1, *(size for place, size in enumerate(shape) if place != axis)][-1]
            return shape[axis], before * behind // width, width
        case 1:
            return shape[channels], shape[axis], behind
        case _:
            return shape[channels], before, shape[axis] * behind


def _in_map(array: NDArray[Any], channels: int, axis: int) -> NDArray[Any]:
    return np.moveaxis(array, channels, 0).reshape(_map_shape(array.shape, channels, axis))


def _stored(parts: Sequence[Part]) -> tuple[Quantized, ...]:
    return tuple(part for part in parts if isinstance(part, Quantized))


def _joined(arrays: Sequence[NDArray[Any]], axis: int) -> NDArray[Any]:
    try:
        return np.concatenate(arrays, axis)
    except ValueError as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error
