"""The project's own reference: a quantized graph, executed with the normative numerics.

Feature maps are int8 arrays (channels, height, width), or those of several samples at once
(channels, height, width, samples): the last axis lies next to each other in memory, and every
operator works along it.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import reduce
from typing import Any

import numpy as np
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
    Requantize,
    Resample,
    Residual,
    View,
)
from tilewright.compiler.graph.pieces import drains
from tilewright.compiler.graph.products import Products, by_channel, steps
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization, Shape
from tilewright.support.errors import InputError
from tilewright.support.records import record
from tilewright.support.threads import one_blas_thread

Int8Map = NDArray[np.int8]


@record(frozen=True, kw_only=True, eq=False)
class Reference:
    """Executes a graph operator by operator; keeps its weights in the form of the products."""

    graph: Graph
    _products: dict[tuple[str, str], Products] = field(default_factory=dict, init=False, repr=False)

    def run(self, inputs: Mapping[str, Int8Map]) -> dict[str, Int8Map]:
        """Return the output maps for the given input maps, all of one or of as many samples.

        Raises:
            InputError: an input map is missing or has the wrong shape or dtype.
        """
        maps = self.run_all(inputs)
        return {name: maps[name] for name in self.graph.outputs}

    def run_all(self, inputs: Mapping[str, Int8Map]) -> dict[str, Int8Map]:
        """Like run, but return every feature map by name."""
        maps = {name: self._checked(inputs, name) for name in self.graph.inputs}
        counts = {name: data.shape[3:] for name, data in maps.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"the input maps differ in their number of samples: {counts}")
        with one_blas_thread():
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
            return np.concatenate([maps[name] for name in node.parts], node.axis)
        if isinstance(node, Pad):
            return _pad(maps[node.input], node.pads, node.value)
        if isinstance(node, Resample):
            return _resample(node, maps[node.input], self.graph.maps[node.output].channels)
        assert isinstance(node, View), type(node)
        data = maps[node.input]
        return data.reshape(*self.graph.maps[node.output].shape, *data.shape[3:])

    def _checked(self, inputs: Mapping[str, Int8Map], name: str) -> Int8Map:
        if name not in inputs:
            raise InputError(f"the input map {name!r} is missing; got {sorted(inputs)}")
        given, shape = inputs[name], self.graph.maps[name].shape
        if given.dtype != np.int8 or given.shape[:3] != shape or given.ndim > 4:
            raise InputError(
                f"the input map {name!r} must be int8 {list(shape)}, or that with an axis of "
                f"samples behind it, got {given.dtype} {list(given.shape)}"
            )
        return given

    def _quantization(self, name: str) -> Quantization:
        return self.graph.maps[name].quantization

    def _conv(self, node: Conv, maps: Mapping[str, Int8Map]) -> Int8Map:
        first, *others = (
            self._drain(part, maps) for part in drains(node, self._quantization(node.input))
        )
        for other in others:
            first = numerics.add(
                first, other, first_zero_point=0, second_zero_point=0, first_ratio=1.0,
                second_ratio=1.0, zero_point=0,
            )  # fmt: skip
        return first

    def _drain(self, node: Conv, maps: Mapping[str, Int8Map]) -> Int8Map:
        source = self._quantization(node.input)
        padded = _pad(maps[node.input], node.pads, source.zero_point)
        result = np.empty((*self.graph.maps[node.output].shape, *padded.shape[3:]), np.int8)
        epilogue = node.epilogue
        scales = numerics.requantize_scale(
            source.scale, node.weight_scales, epilogue.quantization.scale
        )
        key = node.output, node.name
        if key not in self._products:
            self._products[key] = Products(node=node, zero_point=source.zero_point)
        for place, total in self._products[key].blocks(padded, result.shape):
            product = numerics.rescale(
                total, *(by_channel(own[place[0]], total) for own in reversed(scales))
            )
            part = _finish(product, epilogue)
            if node.residual is not None:
                other = maps[node.residual.other][place]
                part = self._add_residual(node, node.residual, part, product, other)
            result[place] = part
        return result

    def _add_residual(
        self,
        node: Conv,
        residual: Residual,
        own: Int8Map,
        product: NDArray[np.float32],
        other: Int8Map,
    ) -> Int8Map:
        return self._combine(
            residual.kind,
            [(own, node.epilogue.result), (other, self._quantization(residual.other))],
            node.output,
            residual.low,
            residual.high,
            product if residual.unrounded else None,
        )

    def _combine(
        self,
        kind: str,
        operands: list[tuple[Int8Map, Quantization]],
        output: str,
        low: int,
        high: int,
        ratio: NDArray[np.float32] | None = None,
    ) -> Int8Map:
        """Combine two maps; `ratio`, of each value, in place of that of the quantizations."""
        (first, first_quantization), (second, second_quantization) = operands
        target = self._quantization(output)
        scales = first_quantization.scale, second_quantization.scale
        zero_points = {
            "first_zero_point": first_quantization.zero_point,
            "second_zero_point": second_quantization.zero_point,
            "zero_point": target.zero_point,
        }
        if kind == "multiply":
            product = numerics.requantize_scale(*scales, target.scale) if ratio is None else ratio
            return numerics.multiply(
                first,
                second,
                scale=product,
                low=low,
                high=high,
                unrounded=ratio is not None,
                **zero_points,
            )
        if ratio is None:
            ratio = numerics.scale_ratio(scales[0], target.scale)
        return numerics.add(
            first,
            second,
            first_ratio=ratio,
            second_ratio=float(numerics.scale_ratio(scales[1], target.scale)),
            low=low,
            high=high,
            **zero_points,
        )

    def _pool(self, node: Pool, data: Int8Map) -> Int8Map:
        source, output = self._quantization(node.input), self.graph.maps[node.output]
        if node.kind == "max":
            largest = _reduce_windows(np.maximum, _pad(data, node.pads, -128), node, output.shape)
            return np.asarray(np.clip(largest, node.low, node.high), np.int8)
        padded = _pad(data, node.pads, source.zero_point).astype(np.int32)
        total = _reduce_windows(np.add, padded, node, output.shape)
        total -= node.kernel[0] * node.kernel[1] * source.zero_point
        inside = np.ones((1, *data.shape[1:3]), np.int32)
        count = _reduce_windows(
            np.add, _pad(inside, node.pads, int(node.count_include_pad)), node, output.shape
        )
        ratio = numerics.average_scale(source.scale, output.quantization.scale, count)
        return numerics.requantize(
            total,
            0,
            ratio.reshape(ratio.shape + (1,) * (total.ndim - 3)),
            output.quantization.zero_point,
            node.low,
            node.high,
        )

    def _requantize(self, node: Requantize, data: Int8Map) -> Int8Map:
        """A unary operator is a table of all int8 values."""
        source = self._quantization(node.input)
        ratio = numerics.scale_ratio(source.scale, node.epilogue.quantization.scale)
        values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32)
        product = numerics.rescale(values - source.zero_point, ratio)
        return numerics.look_up(_finish(product, node.epilogue), data)


def _finish(product: NDArray[np.float32], epilogue: Epilogue) -> Int8Map:
    zero_point = epilogue.quantization.zero_point
    result = numerics.round_and_place(product, zero_point, epilogue.low, epilogue.high)
    return result if epilogue.table is None else numerics.look_up(epilogue.table, result)


def _resample(node: Resample, data: Int8Map, channels: int) -> Int8Map:
    groups = data.reshape(*node.phases, -1, *data.shape[1:])[:, :, :channels]
    rows, columns = np.ix_(node.rows, node.columns)
    vertical, horizontal = (
        np.arange(len(axis)) % phases
        for axis, phases in zip((node.rows, node.columns), node.phases, strict=True)
    )
    picked = groups[vertical[:, None], horizontal[None, :], :, rows, columns]
    return np.ascontiguousarray(np.moveaxis(picked, 2, 0))


def _pad(data: NDArray[Any], pads: tuple[int, int, int, int], value: int) -> NDArray[Any]:
    top, left, bottom, right = pads
    if not any(pads):
        return data
    height, width = data.shape[1:3]
    data = data[:, max(-top, 0) : height + min(bottom, 0), max(-left, 0) : width + min(right, 0)]
    top, left, bottom, right = (max(pad, 0) for pad in pads)
    channels, height, width, *samples = data.shape
    padded = np.full(
        (channels, height + top + bottom, width + left + right, *samples), value, data.dtype
    )
    padded[:, top : top + height, left : left + width] = data
    return padded


def _reduce_windows(
    combine: np.ufunc, padded: NDArray[Any], node: Pool, shape: Shape
) -> NDArray[Any]:
    """Combine the pixels of each window: along the kernel's rows, then along its columns."""
    for axis in (1, 2):
        kernel, stride, dilation = (
            pair[axis - 1] for pair in (node.kernel, node.strides, node.dilations)
        )
        along = np.moveaxis(padded, axis, 0)
        count = shape[axis]
        starts = [k * dilation for k in range(kernel)]
        views = [along[steps(k, stride, count) if stride else [k] * count] for k in starts]
        padded = np.moveaxis(reduce(combine, views), 0, axis)
    return padded
