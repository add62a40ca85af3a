"""Resize and Upsample, linear, by integer factors: repeated pixels under a depthwise filter.

A pixel repeated f times and averaged over f neighbours in each direction is a straight line between
pixels: exactly what ONNX asks for, with the pixels at the borders repeated further (ONNX Resize,
coordinate_transformation_mode half_pixel, pytorch_half_pixel and asymmetric).
"""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.context import Context, Values, constant, optional
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation
from tilewright.compiler.frontend.values import Linear, Real, UnsupportedError
from tilewright.compiler.frontend.window import spatial_index
from tilewright.support.records import record

HALF_PIXELS = ("half_pixel", "pytorch_half_pixel")
LARGEST_FACTOR = 8
FIRST_OPSET_OF_HALF_PIXELS = 11


@record(frozen=True, kw_only=True)
class Axis:
    """One axis: the source position of each repeated pixel, and the filter over these."""

    positions: NDArray[np.int64]
    taps: NDArray[np.int16]


def interpolate(context: Context, node: Operator, values: Values) -> Real:
    """Linear Resize or Upsample of a stored map [1, C, H, W]."""
    source = as_activation(context, values[0])
    if source.index.ndim != 4:
        raise UnsupportedError("linear, it must be of a map [1, C, H, W]")
    want = spatial_index(source.index)
    channels, height, width = want.shape
    vertical, horizontal = _factors(node, values, source.index.shape)
    mode = _coordinates(context, node)
    rows, columns = _axis(height, vertical, mode), _axis(width, horizontal, mode)
    taps = np.outer(rows.taps, columns.taps)
    shape = (channels, height * vertical, width * horizontal)
    repeated = want[:, rows.positions][:, :, columns.positions]
    producer = Linear(
        source=source,
        feature_map=context.builder.as_map(source, repeated),
        weight=np.tile(taps, (channels, 1, 1, 1)),
        weight_scale=np.full(channels, 1 / taps.sum(), np.float32),
        bias=np.zeros(channels),
        groups=channels,
        shape=shape,
    )
    return Real(producer=producer, index=natural_index((1, *shape)), names=(node.name,))


def _axis(size: int, factor: int, mode: str) -> Axis:
    taps, before, after = np.ones(factor, np.int16), 0, factor - 1
    if mode in HALF_PIXELS:
        before = after = factor // 2
        if factor % 2 == 0:
            taps = np.array([1, *[2] * (factor - 1), 1], np.int16)
    positions = np.arange(-before, size * factor + after) // factor
    return Axis(positions=np.clip(positions, 0, size - 1), taps=taps)


def _coordinates(context: Context, node: Operator) -> str:
    is_resize = node.op_type == "Resize"
    is_half = is_resize and context.source.opset >= FIRST_OPSET_OF_HALF_PIXELS
    default = "half_pixel" if is_half else "asymmetric"
    mode = str(node.attribute("coordinate_transformation_mode", default))
    if mode not in (*HALF_PIXELS, "asymmetric"):
        raise UnsupportedError(f"linear, its coordinates must be of half pixels, got {mode}")
    return mode


def _factors(node: Operator, values: Values, shape: tuple[int, ...]) -> tuple[int, int]:
    """Of height and width. Raises UnsupportedError where they are no integers."""
    if node.attribute("antialias", 0) or node.attribute("axes", None) is not None:
        raise UnsupportedError("linear, it must be of all axes and without antialias")
    if optional(values, 3) is not None:
        scales = constant(values, 3, "sizes").astype(np.float64) / shape
    elif "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"], np.float64)
    else:
        position = 2 if len(values) > 2 else 1
        scales = constant(values, position, "scales").astype(np.float64)
    factors = np.rint(scales).astype(int)
    is_integer = np.array_equal(factors, scales) and len(factors) == 4
    if not is_integer or factors.max() > LARGEST_FACTOR or not (factors[:2] == 1).all():
        raise UnsupportedError(
            f"linear, it must enlarge height and width by 1 to {LARGEST_FACTOR} times, got factors "
            f"{scales.tolist()}"
        )
    return int(factors[2]), int(factors[3])
