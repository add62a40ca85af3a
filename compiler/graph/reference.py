"""The project's own reference: a quantized graph, executed with the normative numerics.

Feature maps are int8 arrays (channels, height, width). Sums of products are exact: matrix
products run in float32 where every partial sum stays below 2^24, else in float64.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import (
    Concat,
    Conv,
    Elementwise,
    Epilogue,
    Graph,
    Node,
    Pad,
    Pool,
    Quantization,
    Requantize,
    View,
)
from tilewright.hw.spec import numerics
from tilewright.support.errors import InputError

Int8Map = NDArray[np.int8]

FLOAT_EXACT = 2**24
"""Integers up to this magnitude are exact in binary32."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Executes a graph operator by operator."""

    graph: Graph

    def run(self, inputs: Mapping[str, Int8Map]) -> dict[str, Int8Map]:
        """Return the output maps for the given input maps.

        Raises:
            InputError: an input map is missing or has the wrong shape or dtype.
        """
        maps = self.run_all(inputs)
        return {name: maps[name] for name in self.graph.outputs}

    def run_all(self, inputs: Mapping[str, Int8Map]) -> dict[str, Int8Map]:
        """Like run, but return every feature map by name."""
        maps = {name: self._checked(inputs, name) for name in self.graph.inputs}
        for node in self.graph.nodes:
            maps[node.output] = self.run_node(node, maps)
        return maps

    def run_node(self, node: Node, maps: Mapping[str, Int8Map]) -> Int8Map:
        """Execute one node on the maps it reads."""
        if isinstance(node, Conv):
            return self._conv(node, maps)
        if isinstance(node, Pool):
            return self._pool(node, maps[node.input])
        if isinstance(node, Elementwise):
            operands = ((node.first, maps[node.first]), (node.second, maps[node.second]))
            quantized = [(data, self._quantization(name)) for name, data in operands]
            return self._combine(node.kind, quantized, node.output, node.low, node.high)
        if isinstance(node, Requantize):
            return self._requantize(node, maps[node.input])
        if isinstance(node, Concat):
            return np.concatenate([maps[name] for name in node.parts])
        if isinstance(node, Pad):
            return _pad(maps[node.input], node.pads, node.value)
        assert isinstance(node, View), type(node)
        return maps[node.input].reshape(self.graph.maps[node.output].shape)

    def _checked(self, inputs: Mapping[str, Int8Map], name: str) -> Int8Map:
        if name not in inputs:
            raise InputError(f"the input map {name!r} is missing; got {sorted(inputs)}")
        given, shape = inputs[name], self.graph.maps[name].shape
        if given.dtype != np.int8 or given.shape != shape:
            raise InputError(
                f"the input map {name!r} must be int8 {list(shape)}, "
                f"got {given.dtype} {list(given.shape)}"
            )
        return given

    def _quantization(self, name: str) -> Quantization:
        return self.graph.maps[name].quantization

    def _conv(self, node: Conv, maps: Mapping[str, Int8Map]) -> Int8Map:
        source = self._quantization(node.input)
        output = self.graph.maps[node.output]
        padded = _pad(maps[node.input], node.pads, source.zero_point).astype(np.int16)
        windows = _windows(
            padded - np.int16(source.zero_point), node.kernel, node.strides, node.dilations
        )[:, : output.height, : output.width]
        accumulator = _accumulate(windows, node.weight, node.groups, source.zero_point)
        epilogue = node.epilogue
        scale = numerics.requantize_scale(
            source.scale, node.weight_scale, epilogue.quantization.scale
        )
        result = _finish(accumulator, node.bias[:, None, None], scale[:, None, None], epilogue)
        if node.residual is None:
            return result
        residual = node.residual
        operands = [
            (result, epilogue.result),
            (maps[residual.other], self._quantization(residual.other)),
        ]
        return self._combine(residual.kind, operands, node.output, residual.low, residual.high)

    def _combine(
        self,
        kind: str,
        operands: list[tuple[Int8Map, Quantization]],
        output: str,
        low: int,
        high: int,
    ) -> Int8Map:
        (first, first_quantization), (second, second_quantization) = operands
        target = self._quantization(output)
        scales = first_quantization.scale, second_quantization.scale
        zero_points = {
            "first_zero_point": first_quantization.zero_point,
            "second_zero_point": second_quantization.zero_point,
            "zero_point": target.zero_point,
        }
        if kind == "multiply":
            product = float(numerics.requantize_scale(*scales, target.scale))
            return numerics.multiply(
                first, second, scale=product, low=low, high=high, **zero_points
            )
        return numerics.add(
            first,
            second,
            first_ratio=float(numerics.scale_ratio(scales[0], target.scale)),
            second_ratio=float(numerics.scale_ratio(scales[1], target.scale)),
            low=low,
            high=high,
            **zero_points,
        )

    def _pool(self, node: Pool, data: Int8Map) -> Int8Map:
        source, output = self._quantization(node.input), self.graph.maps[node.output]
        fill = -128 if node.kind == "max" else source.zero_point
        windows = _windows(_pad(data, node.pads, fill), node.kernel, node.strides, node.dilations)[
            :, : output.height, : output.width
        ]
        if node.kind == "max":
            largest: Int8Map = windows.max(axis=(3, 4))
            return np.clip(largest, node.low, node.high).astype(np.int8)
        total = windows.sum(axis=(3, 4), dtype=np.int64)
        total -= windows[0, 0, 0].size * source.zero_point
        count = np.full((output.height, output.width), windows[0, 0, 0].size)
        if not node.count_include_pad:
            inside = _pad(np.ones((1, *data.shape[1:]), np.int8), node.pads, 0)
            counts = _windows(inside, node.kernel, node.strides, node.dilations)
            count = counts[0, : output.height, : output.width].sum(axis=(2, 3), dtype=np.int64)
        ratio = numerics.average_scale(source.scale, output.quantization.scale, count)
        return numerics.requantize(
            total, 0, ratio, output.quantization.zero_point, node.low, node.high
        )

    def _requantize(self, node: Requantize, data: Int8Map) -> Int8Map:
        source = self._quantization(node.input)
        ratio = numerics.scale_ratio(source.scale, node.epilogue.quantization.scale)
        stored = data.astype(np.int32) - source.zero_point
        return _finish(stored, np.zeros((), np.int32), ratio, node.epilogue)


def _finish(
    accumulator: NDArray[np.int64] | NDArray[np.int32],
    bias: NDArray[np.int32],
    scale: NDArray[np.float32] | np.float32,
    epilogue: Epilogue,
) -> Int8Map:
    result = numerics.requantize(
        accumulator, bias, scale, epilogue.quantization.zero_point, epilogue.low, epilogue.high
    )
    return result if epilogue.table is None else numerics.look_up(epilogue.table, result)


def _pad(data: Int8Map, pads: tuple[int, int, int, int], value: int) -> Int8Map:
    top, left, bottom, right = pads
    if not any(pads):
        return data
    return np.pad(data, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(
    padded: NDArray[np.integer],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> NDArray[np.integer]:
    """Return (channels, output height, output width, kernel height, kernel width)."""
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(padded, reach, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def _accumulate(
    windows: NDArray[np.integer], weight: NDArray[np.int8], groups: int, zero_point: int
) -> NDArray[np.int64]:
    """Sums of products (output channels, height, width); `windows` has no zero point left."""
    channels, height, width = windows.shape[:3]
    largest = max(127 - zero_point, 128 + zero_point)
    bound = int(np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max()) * largest
    dtype: np.dtype[Any] = np.dtype(np.float32 if bound < FLOAT_EXACT else np.float64)
    per_group, outputs = channels // groups, weight.shape[0] // groups
    results = np.empty((weight.shape[0], height * width), np.int64)
    if per_group == 1 and outputs == 1:
        return _accumulate_depthwise(windows, weight)
    for group in range(groups):
        part = windows[group * per_group : (group + 1) * per_group]
        columns = part.transpose(0, 3, 4, 1, 2).reshape(-1, height * width).astype(dtype)
        rows = slice(group * outputs, (group + 1) * outputs)
        matrix = weight[rows].reshape(outputs, -1).astype(dtype)
        results[rows] = matrix @ columns
    return results.reshape(-1, height, width)


def _accumulate_depthwise(
    windows: NDArray[np.integer], weight: NDArray[np.int8]
) -> NDArray[np.int64]:
    total = np.zeros(windows.shape[:3], np.int64)
    for row, column in _taps(weight):
        factor = weight[:, 0, row, column].astype(np.int32)[:, None, None]
        total += windows[..., row, column] * factor
    return total


def _taps(weight: NDArray[np.int8]) -> Iterator[tuple[int, int]]:
    return ((row, column) for row in range(weight.shape[2]) for column in range(weight.shape[3]))
