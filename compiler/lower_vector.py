"""Lower layers that only the vector unit computes: pooling, element-wise, unary, padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tilewright.compiler.context import Context, DoesNotFitError
from tilewright.compiler.epilogue import (
    Header,
    combine_fields,
    combine_header,
    epilogue_header,
    ratio,
)
from tilewright.compiler.graph import (
    Elementwise,
    Epilogue,
    Node,
    Pad,
    Pool,
    Quantization,
    Requantize,
)
from tilewright.compiler.lowering import Lowering, Need, Step
from tilewright.compiler.rings import Reader, Ring, RingNeed
from tilewright.compiler.streams import ParameterStream
from tilewright.compiler.tiles import (
    Box,
    MapReader,
    MapWriter,
    boxes,
    source_box,
    split,
    window_fields,
)
from tilewright.hw.spec.isa import Engine, Reduction, Source
from tilewright.hw.spec.numerics import INT8_MIN

MAX_GROUPS = (1 << 12) - 1


@dataclass(frozen=True, kw_only=True)
class Window:
    """The sliding window of a vector layer over its (first) input."""

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    padding: int = 0
    reduction: Reduction = Reduction.SUM


@dataclass(frozen=True, kw_only=True)
class Part:
    """An output box whose pixels share one parameter block."""

    box: Box
    header: Header
    bias: int
    scale: float


@dataclass(frozen=True, kw_only=True)
class VectorLayer:
    """A vector-unit layer: window, stage 1 of each part, optional table and second operand."""

    node: Node
    source: str
    window: Window
    parts: tuple[Part, ...]
    epilogue: Epilogue
    operand: str | None = None


def describe(node: Node, context: Context) -> VectorLayer:
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
    raise AssertionError(f"no vector layer for {type(node).__name__}")


def _whole(node: Node, context: Context) -> Box:
    out = context.map(node.output)
    return Box(top=0, bottom=out.height, left=0, right=out.width)


def _exact(quantization: Quantization) -> Header:
    """Header of a stage 1 that hands int8 values on unchanged."""
    return epilogue_header(Epilogue(quantization=Quantization(scale=1.0, zero_point=0)))


def _pool(node: Pool, context: Context) -> VectorLayer:
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
            scale=average_scale(source.quantization, out.quantization, divisor),
        )
        for box, count, divisor in average_parts(node, whole, source.height, source.width)
    )
    return VectorLayer(node=node, source=node.input, window=window, parts=parts, epilogue=epilogue)


def average_scale(source: Quantization, result: Quantization, divisor: int) -> float:
    """fl(sx / fl(sy * divisor))."""
    return float(np.float32(source.scale) / (np.float32(result.scale) * np.float32(divisor)))


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


def _elementwise(node: Elementwise, context: Context) -> VectorLayer:
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


def _requantize(node: Requantize, context: Context) -> VectorLayer:
    source = context.map(node.input).quantization
    part = Part(
        box=_whole(node, context),
        header=epilogue_header(node.epilogue),
        bias=-source.zero_point,
        scale=ratio(source, node.epilogue.quantization),
    )
    return VectorLayer(
        node=node, source=node.input, window=Window(), parts=(part,), epilogue=node.epilogue
    )


def _pad(node: Pad, context: Context) -> VectorLayer:
    quantization = context.map(node.input).quantization
    part = Part(box=_whole(node, context), header=_exact(quantization), bias=0, scale=1.0)
    return VectorLayer(
        node=node,
        source=node.input,
        window=Window(pads=node.pads, padding=node.value),
        parts=(part,),
        epilogue=Epilogue(quantization=quantization),
    )


class VectorLowering(Lowering):
    """Lowers a Pool, Elementwise, Requantize or Pad. Raises DoesNotFitError."""

    engine = Engine.VECTOR
    tiles_ahead = 0

    def __init__(self, node: Node, context: Context) -> None:
        self.layer, self.context, self.config = describe(node, context), context, context.config
        layer, self.output_name = self.layer, node.output
        self.workspace = context.workspace[1]
        self.source = context.map(layer.source)
        self.blocks = context.place(layer.node.output).blocks
        self.tile_height, self.tile_width, self.chunk, self.copies = self._plan()
        words = self._ring_words(self.tile_height, self.tile_width, self.chunk, self.copies)
        readers = (Reader.MATRIX, Reader.OPERAND, Reader.STORE)
        self.ring_needs = tuple(
            RingNeed(reader=reader, words=ring) for reader, ring in zip(readers, words, strict=True)
        )
        self.parameters = ParameterStream(context=context)
        lanes = self.config.lanes
        for part in layer.parts:
            self.parameters.define(
                part.header,
                np.full(lanes, part.bias, np.int32),
                np.full(lanes, part.scale, np.float32),
                layer.epilogue.table,
            )

    def bind(self, rings: Sequence[Ring | None]) -> None:
        """As Lowering."""
        layer, context = self.layer, self.context
        places = self.copies
        self.input = MapReader(context=context, name=layer.source, ring=rings[0], places=places)
        self.operand = (
            MapReader(context=context, name=layer.operand, ring=rings[1], places=places)
            if layer.operand
            else None
        )
        self.output = MapWriter(context=context, name=layer.node.output, ring=rings[2])

    def steps(self) -> Iterator[Step]:
        """As Lowering."""
        layer, out = self.layer, self.context.map(self.layer.node.output)
        for blocks in split(self.blocks, self.chunk):
            for tile in boxes(out.height, out.width, self.tile_height, self.tile_width):
                needs = [Need(name=layer.source, box=self._source_box(tile), blocks=blocks)]
                if layer.operand:
                    needs.append(Need(name=layer.operand, box=tile, blocks=blocks))
                yield Step(needs=tuple(needs), compute=partial(self._compute, tile, blocks))

    def _streams(self) -> tuple[bool, bool, bool]:
        names = (self.layer.source, self.layer.operand, self.layer.node.output)
        return tuple(bool(n) and not self.context.is_resident(str(n)) for n in names)  # type: ignore[return-value]

    def _plan(self) -> tuple[int, int, int, int]:
        """Return (tile height, tile width, blocks, tiles of a ring); the largest tile that fits."""
        out = self.context.map(self.layer.node.output)
        limit = MAX_GROUPS // self.config.row_groups
        if not any(self._streams()):
            return out.height, out.width, min(self.blocks, limit), 1
        for width in _sizes(out.width):
            for height in _sizes(out.height):
                for chunk in _sizes(min(self.blocks, limit)):
                    for copies in (2, 1):
                        words = self._ring_words(height, width, chunk, copies)
                        if sum(words) <= self.workspace:
                            return height, width, chunk, copies
        raise DoesNotFitError(
            f"{self.layer.node.name}: one output pixel's window of {self.layer.window.kernel} and "
            f"its result do not fit into {self.workspace} free words of activation SRAM; "
            f"raise activation_kib"
        )

    def _ring_words(self, height: int, width: int, chunk: int, copies: int) -> tuple[int, ...]:
        out = self.context.map(self.layer.node.output)
        tiles = boxes(out.height, out.width, height, width)
        source = max(self._source_box(tile).pixels for tile in tiles)
        words = (source * chunk, height * width * chunk, height * width * chunk)
        return tuple(
            w * copies * streams for w, streams in zip(words, self._streams(), strict=True)
        )

    def _source_box(self, tile: Box) -> Box:
        window = self.layer.window
        return source_box(
            tile,
            kernel=window.kernel,
            strides=window.strides,
            pads=window.pads,
            dilations=window.dilations,
            size=(self.source.height, self.source.width),
        )

    def _compute(self, tile: Box, blocks: tuple[int, int]) -> None:
        layer, window = self.layer, self.layer.window
        view = self.input.view(self._source_box(tile), blocks, blocks)
        operand = self.operand.view(tile, blocks, blocks) if self.operand else None
        out = self.output.view(tile, blocks)
        first = blocks[0] * self.config.row_groups
        for number, part in enumerate(layer.parts):
            box = _intersection(part.box, tile)
            if box is None:
                continue
            parameters = self.parameters.get(number)
            fields = window_fields(
                box,
                view,
                kernel=window.kernel,
                strides=window.strides,
                pads=window.pads,
                dilations=window.dilations,
                padding=window.padding,
            )
            if operand is not None and isinstance(layer.node, Elementwise):
                fields |= combine_fields(layer.node.kind, operand, box, first, self.config)
            self.context.tasks.emit(
                "VECTOR",
                **fields,
                groups=(blocks[1] - blocks[0]) * self.config.row_groups,
                source_kind=Source.ACTIVATION,
                reduction=window.reduction,
                source=view.base + (blocks[0] - view.first_block) * view.block_stride,
                source_stride=view.block_stride,
                destination=out.word(blocks[0], box.top, box.left),
                destination_stride=out.block_stride,
                destination_pitch=out.pitch,
                use_table=int(layer.epilogue.table is not None),
                uniform=1,
                parameters=parameters.header,
                table=parameters.table,
            )
        self.output.finish(out, tile, blocks)


def _intersection(first: Box, second: Box) -> Box | None:
    box = Box(
        top=max(first.top, second.top),
        bottom=min(first.bottom, second.bottom),
        left=max(first.left, second.left),
        right=min(first.right, second.right),
    )
    return box if box.height > 0 and box.width > 0 else None


def _sizes(size: int) -> list[int]:
    """Ceilings of size / n, from the whole down to 1."""
    return sorted({-(-size // n) for n in range(1, size + 1)}, reverse=True)
