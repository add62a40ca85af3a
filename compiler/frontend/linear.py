"""Conv, Gemm, MatMul and their QLinear forms: products with constant int8 weights."""

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.builder import is_permutation
from tilewright.compiler.frontend.context import Context, Values, constant, optional
from tilewright.compiler.frontend.handlers import Entry, handles, handles_quantized
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import (
    as_activation,
    dequantize_input,
    padded_activation,
    quantize_output,
)
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Index,
    Linear,
    Quantized,
    QuantizedConstant,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.frontend.weights import (
    VANISHING_SCALE,
    Weights,
    arranged_weights,
    channel_weights,
    stored_weights,
)
from tilewright.compiler.frontend.window import spatial_index, window_of
from tilewright.compiler.graph.copies import UNIT

SAME_SCALE_TOLERANCE = 1e-6
"""Relative difference up to which an int32 bias counts as quantized with sx * sw."""


@handles(
    Entry(
        operators=("Conv",),
        runs="convolution",
        conditions="1-D or 2-D; any kernel, stride, padding, auto_pad, dilation, group count "
        "(depthwise included); constant weights and bias",
        cost="the array, depthwise the depthwise unit (or the array's diagonal), and the drain",
    )
)
def convolve(context: Context, node: Operator, values: Values) -> list[Value]:
    """Conv: X, W, B."""
    source, extra_pads = padded_activation(context, values[0])
    weight, scales = channel_weights(values[1], 0)
    want = spatial_index(source.index)
    kernel = weight.shape[2:]
    if weight.ndim != source.index.ndim:
        raise UnsupportedError("its weights and its input differ in rank")
    groups = int(node.attribute("group", 1))
    if weight.shape[1] * groups != want.shape[0] or weight.shape[0] % groups:
        raise UnsupportedError(
            f"{groups} groups of {weight.shape[1]} channels must fill its {want.shape[0]} inputs"
        )
    window = window_of(node, kernel, source.index.shape[2:], extra_pads)
    shape = (weight.shape[0], *window.output)
    producer = Linear(
        source=source,
        feature_map=context.builder.as_map(source, want),
        weight=weight.reshape(*weight.shape[:2], *window.kernel),
        weight_scale=scales,
        bias=np.zeros(shape[0]),
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        groups=groups,
        shape=shape,
    )
    onnx_shape = (1, *shape) if source.index.ndim == 4 else (1, shape[0], shape[2])
    index = np.arange(int(np.prod(shape))).reshape(onnx_shape)
    real = Real(producer=producer, index=index, names=(node.name,))
    return [with_bias(real, optional(values, 2), (1, -1, *([1] * (len(onnx_shape) - 2))))]


@handles(
    Entry(
        operators=("MatMul",),
        runs="convolution",
        conditions="one constant operand, a vector, a matrix or one for each batch; the other one "
        "of any rank",
        cost="the array, with the rows as pixels, and the drain",
    )
)
def multiply_matrix(context: Context, node: Operator, values: Values) -> list[Value]:
    """MatMul: A [..., M, K] times constant B [K, N], or a matrix for each batch of A."""
    vectors = [value is not None and _rank(value) == 1 for value in values[:2]]
    if any(vectors):
        return [_times_vectors(context, node, values, vectors)]
    if isinstance(values[0], Constant) and isinstance(values[1], Real):
        return [_times_matrix(context, node, values[0], values[1])]
    source = as_activation(context, values[0], "left operand")
    shape = constant(values, 1, "right operand").shape
    if len(shape) < 2 or source.index.ndim < 2:
        raise UnsupportedError(f"its operands must have axes, got weights of {list(shape)}")
    if max(shape[:-2], default=1) > 1:
        return [_products(context, node, source, values[1])]
    weight, scales = channel_weights(values[1], len(shape) - 1)
    real = _product(context, node, source, (weight.reshape(shape[-2:]), scales))
    missing = max(len(shape) - real.index.ndim, 0)
    return [replace(real, index=real.index.reshape((1,) * missing + real.index.shape))]


def _rank(value: Value) -> int:
    if isinstance(value, Constant):
        return value.array.ndim
    return value.index.ndim if isinstance(value, Real) else 0


def _times_vectors(context: Context, node: Operator, values: Values, vectors: list[bool]) -> Real:
    """MatMul where one operand or both are vectors: of a row on the left, a column on the right."""
    matrices = list(values[:2])
    for at, shape in ((0, (1, -1)), (1, (-1, 1))):
        value = values[at]
        if vectors[at] and isinstance(value, Real):
            matrices[at] = replace(value, index=value.index.reshape(shape))
        elif vectors[at] and isinstance(value, Constant):
            matrices[at] = arranged_weights(value, [0], value.array.reshape(shape).shape)
    (real,) = multiply_matrix(context, node, matrices)
    assert isinstance(real, Real)
    axes = tuple(axis for axis, is_vector in zip((-2, -1), vectors, strict=True) if is_vector)
    return replace(real, index=real.index.squeeze(axes))


def _times_matrix(context: Context, node: Operator, left: Constant, right: Real) -> Real:
    """Constant [..., M, K] times an activation [..., K, N], as the product of the transposed."""
    rank = left.array.ndim
    if min(rank, right.index.ndim) < 2:
        raise UnsupportedError("its operands must have axes")
    order = [*range(rank - 2), rank - 1, rank - 2]
    weights = arranged_weights(left, order, tuple(left.array.shape[axis] for axis in order))
    turned = replace(right, index=right.index.swapaxes(-1, -2))
    (real,) = multiply_matrix(context, node, [turned, weights])
    assert isinstance(real, Real)
    return replace(real, index=real.index.swapaxes(-1, -2))


@handles(
    Entry(
        operators=("Gemm",),
        runs="convolution",
        conditions="constant B; any alpha and beta (QGemm: alpha = 1); transA and transB; C "
        "constant along the rows",
        cost="the array, with the rows as pixels, and the drain",
    )
)
def multiply_general(context: Context, node: Operator, values: Values) -> list[Value]:
    """Gemm: alpha times A' [M, K] times constant B' [K, N], plus beta times constant C."""
    source = as_activation(context, values[0], "left operand")
    if node.attribute("transA", 0):
        source = replace(source, index=source.index.T)
    is_transposed = bool(node.attribute("transB", 0))
    weight, scales = channel_weights(values[1], 0 if is_transposed else 1)
    real = _product(context, node, source, (weight.T if is_transposed else weight, scales))
    alpha = np.array(node.attribute("alpha", 1.0))
    if alpha != 1.0:
        real = scale_channels(real, alpha, np.zeros(()))
    return [with_bias(real, _times(optional(values, 2), node.attribute("beta", 1.0)))]


def _times(value: Value | None, factor: float) -> Value | None:
    """A constant times a factor."""
    if factor == 1.0 or not isinstance(value, Constant):
        return value
    return Constant(array=value.array.astype(np.float32) * np.float32(factor))


@handles_quantized(convolve, operators=("QLinearConv",))
def convolve_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearConv: x, xs, xz, w, ws, wz, ys, yz, B (int32)."""
    weight = stored_weights(values, 3, axis=0)
    real = dequantize_input(context, values, 0)
    result = convolve(context, node, [real, weight, None])[0]
    return [quantize_output(context, node, _with_raw_bias(result, values, 8), values, 6)]


@handles_quantized(multiply_matrix, operators=("QLinearMatMul",))
def multiply_matrix_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearMatMul: a, as, az, b, bs, bz, ys, yz."""
    rank = constant(values, 3, "right operand").ndim
    weight = stored_weights(values, 3, axis=rank - 1)
    result = multiply_matrix(context, node, [dequantize_input(context, values, 0), weight])[0]
    return [quantize_output(context, node, result, values, 6)]


@handles_quantized(multiply_general, microsoft=("QGemm",))
def multiply_general_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QGemm (com.microsoft): A, as, az, B, bs, bz, C (int32), ys, yz."""
    if float(node.attribute("alpha", 1.0)) != 1.0:
        raise UnsupportedError("its attribute alpha must be 1")
    axis = 0 if node.attribute("transB", 0) else 1
    weight = stored_weights(values, 3, axis=axis)
    real = dequantize_input(context, values, 0)
    result = multiply_general(context, node, [real, weight])[0]
    return [quantize_output(context, node, _with_raw_bias(result, values, 6), values, 7)]


def with_bias(real: Real, value: Value | None, shape: tuple[int, ...] | None = None) -> Real:
    """Add the constant `value` (absent: nothing), which may vary along the channels only.

    `shape` is the shape in which it broadcasts, where that is not its own.

    Raises:
        UnsupportedError: not constant, not finite, or it varies along another axis.
    """
    if value is None:
        return real
    if not isinstance(value, Constant):
        raise UnsupportedError("its bias is not constant")
    producer = cast(Linear, real.producer)
    product_scale = _product_scale(producer)
    stored = value.quantized
    if stored is not None and stored.raw.dtype == np.int32 and not stored.zero_point.any():
        units = stored.raw.astype(np.float64)
        scales = np.broadcast_to(_along(stored, units.ndim), units.shape)
        raw = per_channel(real, units.reshape(shape or units.shape))
        steps = per_channel(real, scales.reshape(shape or units.shape), absent=product_scale)
        ratio = steps / product_scale
        if np.allclose(ratio, 1.0, rtol=SAME_SCALE_TOLERANCE, atol=0):
            ratio = np.ones_like(ratio)
        addend = raw * ratio
    else:
        array = value.array.astype(np.float64).reshape(shape or value.array.shape)
        addend = per_channel(real, array) / product_scale
    if not np.isfinite(addend).all():
        raise UnsupportedError("its bias is no finite number")
    return replace(real, producer=replace(producer, bias=producer.bias + addend))


def scale_channels(real: Real, gain: Array, offset: Array) -> Real:
    """Multiply each channel by `gain` and add `offset` (both broadcast to the ONNX shape).

    The integer weights stay; a negative gain flips their sign, one of 0 or next to it makes them 0.

    Raises:
        UnsupportedError: a gain or an offset is no finite number.
    """
    producer = cast(Linear, real.producer)
    gains = per_channel(real, gain.astype(np.float64), absent=1.0)
    offsets = per_channel(real, offset.astype(np.float64))
    if not (np.isfinite(gains).all() and np.isfinite(offsets).all()):
        raise UnsupportedError("it scales or moves a channel by no finite number")
    bias = producer.bias * _product_scale(producer) * gains + offsets
    vanishes = producer.weight_scale * np.abs(gains) < VANISHING_SCALE
    gains = np.where(vanishes, 0, gains)
    factors = np.where(vanishes, 1, np.abs(gains))
    scaled = replace(
        producer,
        weight=producer.weight * np.sign(gains).astype(np.int16)[:, None, None, None],
        weight_scale=(producer.weight_scale * factors).astype(np.float32),
    )
    return replace(real, producer=replace(scaled, bias=bias / _product_scale(scaled)))


def as_linear(context: Context, source: Quantized, name: str) -> Real:
    """`source` times 1, as a depthwise convolution whose scale and bias can take a constant.

    The weights are 64 at scale 1/64: a power of two scales exactly, and the bias gets a grid of
    1/64 of the input's steps.
    """
    map_name, index = context.builder.natural(source)
    shape = context.builder.maps[map_name].shape
    producer = Linear(
        source=source,
        feature_map=map_name,
        weight=np.full((shape[0], 1, 1, 1), UNIT, np.int16),
        weight_scale=np.full(shape[0], 1 / UNIT, np.float32),
        bias=np.zeros(shape[0]),
        groups=shape[0],
        shape=shape,
    )
    return Real(producer=producer, index=index, names=(name,))


def _product(context: Context, node: Operator, source: Quantized, weights: Weights) -> Real:
    """Multiply `source` [..., K] by weights [K, N].

    One row that a feature map (C, H, W) was flattened into is a convolution whose kernel is the
    whole map; otherwise the map's channels must be K and its pixels the rows.
    """
    weight, scales = weights
    depth, channels = weight.shape
    if source.index.shape[-1] != depth:
        raise UnsupportedError(f"it multiplies {source.index.shape[-1]} columns by {depth} rows")
    rows: Index = source.index.reshape(-1, depth)
    builder = context.builder
    stored = None if source.is_border else builder.maps[source.origin]
    if stored is not None and len(rows) == 1 and is_permutation(rows, stored.elements):
        feature_map, shape = source.origin, (channels, 1, 1)
        flat = np.empty((channels, depth), np.int16)
        flat[:, rows[0]] = weight.T
        kernel = flat.reshape(channels, *stored.shape)
    else:
        pixels = (1, len(rows))
        if stored is not None and stored.pixels == len(rows):
            pixels = (stored.height, stored.width)
        feature_map = builder.as_map(source, rows.T.reshape(depth, *pixels))
        kernel, shape = weight.T.reshape(channels, depth, 1, 1), (channels, *pixels)
    producer = Linear(
        source=source,
        feature_map=feature_map,
        weight=np.ascontiguousarray(kernel),
        weight_scale=scales,
        bias=np.zeros(channels),
        shape=shape,
    )
    index = np.arange(channels * len(rows)).reshape(channels, -1).T
    onnx_shape = (*source.index.shape[:-1], channels)
    return Real(producer=producer, index=index.reshape(onnx_shape), names=(node.name,))


def _products(context: Context, node: Operator, source: Quantized, right: Value | None) -> Real:
    """Multiply `source` [..., M, K] by weights [..., K, N]: a group of channels for each batch.

    Raises:
        UnsupportedError: the shapes do not fit, or the scales differ between the batches.
    """
    assert isinstance(right, Constant)
    given, shape = source.index, right.array.shape
    weight, scales = channel_weights(right, len(shape) - 1)
    if given.shape[-1] != shape[-2]:
        raise UnsupportedError(f"it multiplies {given.shape[-1]} columns by {shape[-2]} rows")
    batches = np.broadcast_shapes(given.shape[:-2], shape[:-2])
    count = int(np.prod(batches))
    rows, depth, columns = given.shape[-2], shape[-2], shape[-1]
    read = np.broadcast_to(given, (*batches, rows, depth)).reshape(count, rows, depth)
    matrices = np.broadcast_to(weight, (*batches, depth, columns)).reshape(count, depth, columns)
    kernel = matrices.transpose(0, 2, 1).reshape(count * columns, depth, 1, 1)
    producer = Linear(
        source=source,
        feature_map=context.builder.as_map(
            source, read.transpose(0, 2, 1).reshape(count * depth, 1, rows)
        ),
        weight=np.ascontiguousarray(kernel),
        weight_scale=np.tile(scales, count),
        bias=np.zeros(count * columns),
        groups=count,
        shape=(count * columns, 1, rows),
    )
    places = np.arange(count * columns * rows).reshape(count, columns, rows).transpose(0, 2, 1)
    index = places.reshape(*batches, rows, columns)
    return Real(producer=producer, index=index, names=(node.name,))


def _product_scale(producer: Linear) -> NDArray[np.float64]:
    scale = np.float32(producer.source.quantization.scale) * producer.weight_scale
    return np.asarray(scale, np.float64)


def per_channel(
    real: Real, array: NDArray[np.float64], absent: float | NDArray[np.float64] = 0.0
) -> NDArray[np.float64]:
    """Reduce an array that broadcasts to the value's shape to one number per channel.

    Channels that the value does not read (behind a Slice) have the number `absent`.
    """
    channels, height, width = cast(Linear, real.producer).shape
    try:
        full = np.broadcast_to(array, real.index.shape)
    except ValueError:
        raise UnsupportedError(
            f"a constant of shape {list(array.shape)} enlarges {list(real.index.shape)}"
        ) from None
    owner = real.index // (height * width)
    result = np.full(channels, absent)
    result[owner] = full
    if not np.array_equal(result[owner], full):
        raise UnsupportedError("its constant must vary along the channels only")
    return result


def _along(stored: QuantizedConstant, rank: int) -> NDArray[np.float64]:
    """The scale, shaped to broadcast against the raw array."""
    scale = stored.scale.astype(np.float64)
    if scale.size == 1:
        return scale.reshape(())
    shape = [1] * rank
    shape[stored.axis % rank] = -1
    return scale.reshape(shape)


def _with_raw_bias(value: Value, values: Values, position: int) -> Real:
    real = cast(Real, value)
    if optional(values, position) is None:
        return real
    raw = constant(values, position, "bias").astype(np.float64)
    producer = cast(Linear, real.producer)
    return replace(real, producer=replace(producer, bias=producer.bias + raw.reshape(-1)))
