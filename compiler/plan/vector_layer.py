"""What the vector unit does for a layer of its own: pooling, element-wise, unary, padding."""

from collections.abc import Iterator

from tilewright.compiler.graph.graph import (
    Elementwise,
    Epilogue,
    Node,
    Pad,
    Pool,
    Requantize,
    Resample,
)
from tilewright.compiler.plan.boxes import Box, reach
from tilewright.compiler.plan.epilogue import Header, combine_header, epilogue_header
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.hw.spec.isa import Reduction
from tilewright.hw.spec.numerics import INT8_MIN, average_scale, scale_ratio
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Window:
    """The sliding window of a vector layer over its (first) input."""

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    padding: int = 0
    reduction: Reduction = Reduction.SUM

    def reach(self, axis: int, outputs: tuple[int, int], size: int) -> tuple[int, int]:
        """Return the source rows (axis 0) or columns inside `size` that outputs read."""
        return reach(
            outputs,
            self.kernel[axis],
            self.strides[axis],
            self.pads[axis],
            self.dilations[axis],
            size,
        )


@record(frozen=True, kw_only=True)
class Part:
    """An output box whose pixels share one parameter block."""

    box: Box
    header: Header
    bias: int
    scale: float


@record(frozen=True, kw_only=True)
class VectorLayer:
    """A vector-unit layer: window, stage 1 of each part, optional table and second operand."""

    node: Node
    source: str
    window: Window
    parts: tuple[Part, ...]
    epilogue: Epilogue
    operand: str | None = None

    @property
    def num_phases(self) -> int:
        """Groups of the source's channels of which a step reads the same blocks each."""
        return self.node.num_phases if isinstance(self.node, Resample) else 1

    def reach(self, axis: int, outputs: tuple[int, int], size: int) -> tuple[int, int]:
        """Return the source rows (axis 0) or columns inside `size` that outputs read."""
        if not isinstance(self.node, Resample):
            return self.window.reach(axis, outputs, size)
        read = (self.node.rows, self.node.columns)[axis][slice(*outputs)]
        return min(read), max(read) + 1

    def source_box(self, tile: Box, size: tuple[int, int]) -> Box:
        """Return the pixels of a source map of `size` (height, width) that a tile reads."""
        top, bottom = self.reach(0, (tile.top, tile.bottom), size[0])
        left, right = self.reach(1, (tile.left, tile.right), size[1])
        return Box(top=top, bottom=bottom, left=left, right=right)


def describe(node: Node, context: LayerView) -> VectorLayer:
    """Return what the vector unit does for a node."""
    match node:
        case Pool():
            return _pool(node, context)
        case Elementwise():
            return _elementwise(node, context)
        case Requantize():
            return _requantize(node, context)
        case Pad():
            return _pad(node, context)
        case Resample():
            return _resample(node, context)
    raise AssertionError(f"no vector layer for {type(node).__name__}")


def _whole(node: Node, context: LayerView) -> Box:
    out = context.map(node.output)
    return Box(top=0, bottom=out.height, left=0, right=out.width)


def _exact(quantization: Quantization) -> Header:
    """Header of a stage 1 that hands int8 values on unchanged."""
    return epilogue_header(Epilogue(quantization=Quantization(scale=1.0, zero_point=0)))


def _pool(node: Pool, context: LayerView) -> VectorLayer:
    source, out = context.map(node.input), context.map(node.output)
    limits: Header = {"low": node.low, "high": node.high}
    whole = _whole(node, context)
    epilogue = Epilogue(quantization=out.quantization, low=node.low, high=node.high)
    window = Window(
        kernel=node.kernel, strides=node.strides, pads=node.pads, dilations=node.dilations
    )
    if node.kind == "max":
        part = Part(box=whole, header={"zero_point": 0} | limits, bias=0, scale=1.0)
        window = Window(**vars(window) | {"reduction": Reduction.MAX, "padding": INT8_MIN})
        return VectorLayer(
            node=node, source=node.input, window=window, parts=(part,), epilogue=epilogue
        )
    zero_point = source.quantization.zero_point
    parts = tuple(
        Part(
            box=box,
            header=epilogue_header(epilogue),
            bias=-count * zero_point,
            scale=float(average_scale(source.quantization.scale, out.quantization.scale, divisor)),
        )
        for box, count, divisor in average_parts(node, whole, source.height, source.width)
    )
    return VectorLayer(node=node, source=node.input, window=window, parts=parts, epilogue=epilogue)


def average_parts(
    node: Pool, whole: Box, height: int, width: int
) -> Iterator[tuple[Box, int, int]]:
    """Yield (box, pixels of the map in each window, divisor) of an average's uniform parts."""
    rows = _runs(node, 0, height, whole.bottom)
    columns = _runs(node, 1, width, whole.right)
    for top, bottom, inside_y, counted_y in rows:
        for left, right, inside_x, counted_x in columns:
            box = Box(top=top, bottom=bottom, left=left, right=right)
            yield box, inside_y * inside_x, counted_y * counted_x


def _runs(node: Pool, axis: int, size: int, outputs: int) -> list[tuple[int, int, int, int]]:
    """Runs (first, behind last, pixels inside the map, pixels counted) of outputs on one axis."""
    runs: list[tuple[int, int, int, int]] = []
    for out in range(outputs):
        start = out * node.strides[axis] - node.pads[axis]
        taps = [start + k * node.dilations[axis] for k in range(node.kernel[axis])]
        inside = sum(1 for tap in taps if 0 <= tap < size)
        counted = node.kernel[axis] if node.count_include_pad else inside
        if runs and runs[-1][2:] == (inside, counted):
            runs[-1] = (runs[-1][0], out + 1, inside, counted)
        else:
            runs.append((out, out + 1, inside, counted))
    return runs


def _elementwise(node: Elementwise, context: LayerView) -> VectorLayer:
    first, second = context.map(node.first), context.map(node.second)
    out = context.map(node.output)
    header = _exact(first.quantization) | combine_header(
        node.kind, first.quantization, second.quantization, out.quantization, node.low, node.high
    )
    part = Part(box=_whole(node, context), header=header, bias=0, scale=1.0)
    return VectorLayer(
        node=node,
        source=node.first,
        window=Window(),
        parts=(part,),
        epilogue=Epilogue(quantization=first.quantization),
        operand=node.second,
    )


def _requantize(node: Requantize, context: LayerView) -> VectorLayer:
    source = context.map(node.input).quantization
    part = Part(
        box=_whole(node, context),
        header=epilogue_header(node.epilogue),
        bias=-source.zero_point,
        scale=float(scale_ratio(source.scale, node.epilogue.quantization.scale)),
    )
    return VectorLayer(
        node=node, source=node.input, window=Window(), parts=(part,), epilogue=node.epilogue
    )


def _pad(node: Pad, context: LayerView) -> VectorLayer:
    quantization = context.map(node.input).quantization
    part = Part(box=_whole(node, context), header=_exact(quantization), bias=0, scale=1.0)
    return VectorLayer(
        node=node,
        source=node.input,
        window=Window(pads=node.pads, padding=node.value),
        parts=(part,),
        epilogue=Epilogue(quantization=quantization),
    )


def _resample(node: Resample, context: LayerView) -> VectorLayer:
    quantization = context.map(node.input).quantization
    part = Part(box=_whole(node, context), header=_exact(quantization), bias=0, scale=1.0)
    return VectorLayer(
        node=node,
        source=node.input,
        window=Window(),
        parts=(part,),
        epilogue=Epilogue(quantization=quantization),
    )
