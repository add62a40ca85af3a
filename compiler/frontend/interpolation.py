"""Resize and Upsample, linear, by integer factors: repeated pixels under a depthwise filter.

A pixel repeated f times and averaged over f neighbours in each direction is a straight line between
pixels: exactly what ONNX asks for, with the pixels at the borders repeated further (ONNX Resize,
coordinate_transformation_mode half_pixel, pytorch_half_pixel and asymmetric). With align_corners
the distances between pixels grow by the factor, and nothing lies beyond the last one. A single
pixel is repeated. Divided by integers, height and width are those of every n-th pixel, or of the
means of pairs of them.

Pixels that are not yet quantized are stored by themselves (frontend/mixing.py).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.context import Context, Values, constant, optional
from tilewright.compiler.frontend.mixing import mixed_pixels
from tilewright.compiler.frontend.resizing import resized
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import storable
from tilewright.compiler.frontend.values import (
    Linear,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.window import spatial_index
from tilewright.support.records import record

HALF_PIXELS = ("half_pixel", "pytorch_half_pixel")
ALIGNED = "align_corners"
MODES = (*HALF_PIXELS, "asymmetric", ALIGNED)
LARGEST_FACTOR = 8
SAME_SCALE = 1e-6
"""Relative difference up to which a scale of binary32 counts as that of the sizes."""
FIRST_OPSET_OF_HALF_PIXELS = 11


@record(frozen=True, kw_only=True)
class Axis:
    """One axis: the source position of each repeated pixel, and the filter over these."""

    positions: NDArray[np.int64]
    taps: NDArray[np.int16]
    stride: int = 1


def interpolate(context: Context, node: Operator, values: Values) -> Real:
    """Linear Resize or Upsample of a map [1, C, H, W] or [1, C, W]."""
    value = values[0]
    assert isinstance(value, Real)
    if value.index.ndim not in (3, 4):
        raise UnsupportedError("linear, it must be of a map [1, C, H, W] or [1, C, W]")
    channels, height, width = spatial_index(value.index).shape
    mode = _coordinates(context, node)
    outputs = _sizes(node, values, value.index.shape, mode)
    axes = _axis(height, outputs[0], mode), _axis(width, outputs[1], mode)
    shape = (1, channels, *outputs[4 - value.index.ndim :])

    def mix(stored: Quantized) -> Real:
        real = _interpolated(context, node, stored, axes, outputs)
        return replace(real, index=real.index.reshape(shape))

    source = storable(context, value)
    return mix(source) if source else mixed_pixels(context, node, value, shape, mix)


def _interpolated(
    context: Context,
    node: Operator,
    source: Quantized,
    axes: tuple[Axis, Axis],
    outputs: tuple[int, int],
) -> Real:
    """A stored map [1, C, H, W] with `outputs` rows and columns: a depthwise convolution."""
    rows, columns = axes
    want = spatial_index(source.index)
    channels = len(want)
    taps = np.outer(rows.taps, columns.taps)
    shape = (channels, *outputs)
    repeated = want[:, rows.positions][:, :, columns.positions]
    producer = Linear(
        source=source,
        feature_map=context.builder.as_map(source, repeated),
        weight=np.tile(taps, (channels, 1, 1, 1)),
        weight_scale=np.full(channels, 1 / taps.sum(), np.float32),
        bias=np.zeros(channels),
        strides=(rows.stride, columns.stride),
        groups=channels,
        shape=shape,
    )
    return Real(producer=producer, index=natural_index((1, *shape)), names=(node.name,))


def _axis(size: int, output: int, mode: str) -> Axis:
    """Raises UnsupportedError where the factor is no small integer."""
    if size == 1:
        return Axis(positions=np.zeros(output, np.int64), taps=np.ones(1, np.int16))
    is_aligned = mode == ALIGNED
    if not is_aligned and output < size and size % output == 0:
        return _fewer(size // output, output, mode)
    factor, rest = divmod(output - is_aligned, size - is_aligned)
    if rest or not 1 <= factor <= LARGEST_FACTOR:
        what = "the distances between pixels" if is_aligned else "height and width"
        raise UnsupportedError(
            f"linear, it must enlarge {what} by 1 to {LARGEST_FACTOR} times or divide them by an "
            f"integer, got {size} to {output} pixels"
        )
    taps, before, after = np.ones(factor, np.int16), 0, 0 if is_aligned else factor - 1
    if mode in HALF_PIXELS:
        before = after = factor // 2
        if factor % 2 == 0:
            taps = np.array([1, *[2] * (factor - 1), 1], np.int16)
    positions = np.arange(-before, size * factor + after) // factor
    return Axis(positions=np.clip(positions, 0, size - 1), taps=taps)


def _fewer(factor: int, output: int, mode: str) -> Axis:
    """A pixel of each `factor`, or the mean of the two in the middle of these."""
    first = factor * np.arange(output, dtype=np.int64)
    is_first = mode == "asymmetric" or (mode == "pytorch_half_pixel" and output == 1)
    if is_first or factor % 2:
        middle = 0 if is_first else factor // 2
        return Axis(positions=first + middle, taps=np.ones(1, np.int16))
    pairs = first[:, None] + np.array([factor // 2 - 1, factor // 2])
    return Axis(positions=pairs.reshape(-1), taps=np.ones(2, np.int16), stride=2)


def _coordinates(context: Context, node: Operator) -> str:
    is_resize = node.op_type == "Resize"
    is_half = is_resize and context.source.opset >= FIRST_OPSET_OF_HALF_PIXELS
    default = "half_pixel" if is_half else "asymmetric"
    mode = str(node.attribute("coordinate_transformation_mode", default))
    if mode not in MODES:
        raise UnsupportedError(f"linear, its coordinates must be {', '.join(MODES)}, got {mode}")
    return mode


def _sizes(node: Operator, values: Values, shape: tuple[int, ...], mode: str) -> tuple[int, int]:
    """Height and width of the result.

    Raises UnsupportedError where scales are not those of the sizes, but with aligned corners.
    """
    is_stretched = node.attribute("keep_aspect_ratio_policy", "stretch") == "stretch"
    if node.attribute("antialias", 0) or not is_stretched:
        raise UnsupportedError("linear, it must be without antialias and keep_aspect_ratio_policy")
    axes = [axis % len(shape) for axis in node.attribute("axes", range(len(shape)))]
    if optional(values, 3) is not None:
        sizes = np.array(shape)
        sizes[axes] = constant(values, 3, "sizes")
        exact = sizes.tolist()
    else:
        given = node.attributes.get("scales")
        if given is None:
            given = constant(values, 2 if len(values) > 2 else 1, "scales")
        scales = np.ones(len(shape), np.float32)
        scales[axes] = given
        sizes, exact = (
            np.array(resized(shape, scales)),
            (scales.astype(np.float64) * shape).tolist(),
        )
    is_exact = np.allclose(sizes, exact, rtol=SAME_SCALE, atol=0)
    if (sizes[:2] != shape[:2]).any() or not (is_exact or mode == ALIGNED):
        raise UnsupportedError(f"linear, it must give integers for height and width, got {exact}")
    height = int(sizes[2]) if len(shape) == 4 else 1
    return height, int(sizes[-1])
