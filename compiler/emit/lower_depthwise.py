"""Lower a depthwise convolution to loads, DEPTHWISE, VECTOR and stores, tile by tile."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.emit.context import Context, View
from tilewright.compiler.emit.lowering import Lowering, Need, Step
from tilewright.compiler.emit.streams import ParameterStream
from tilewright.compiler.emit.tiles import (
    MapReader,
    MapWriter,
    drain,
    window_origin,
    with_operand,
)
from tilewright.compiler.graph.graph import Conv
from tilewright.compiler.limits import MAX_BLOCKS, MAX_GROUPS
from tilewright.compiler.plan.boxes import Box, boxes, split
from tilewright.compiler.plan.chains import kernel_parts
from tilewright.compiler.plan.depthwise_plan import DepthwisePlan, DepthwiseShape
from tilewright.compiler.plan.epilogue import conv_drains, conv_header, conv_scales, folded_bias
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.compiler.plan.rings import Ring
from tilewright.hw.spec.isa import Engine, Source
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.support.records import replace

_Value = TypeVar("_Value", bound=np.generic)


def depthwise_shape(node: Conv, context: LayerView) -> DepthwiseShape:
    """Return the sizes of a depthwise convolution that the unit runs."""
    source, target = context.map(node.input), context.map(node.output)
    return DepthwiseShape(
        config=context.config,
        kernel=node.kernel,
        strides=node.strides,
        pads=node.pads,
        dilations=node.dilations,
        parts=tuple(
            (rows[1] - rows[0], columns[1] - columns[0])
            for rows, columns in kernel_parts(node, context.config)
        ),
        blocks=context.place(node.output).blocks,
        in_height=source.height,
        in_width=source.width,
        out_height=target.height,
        out_width=target.width,
    )


class DepthwiseLowering(Lowering):
    """Lowers a convolution with one filter a channel. Raises ModelError (accumulator bound)."""

    engine = Engine.DEPTHWISE

    def __init__(
        self, node: Conv, context: Context, shape: DepthwiseShape, plan: DepthwisePlan
    ) -> None:
        self.node, self.context, self.shape, self.plan = node, context, shape, plan
        self.config, self.output_name = context.config, node.output
        self.kernel_parts = kernel_parts(node, context.config)
        self.tiles_ahead = plan.copies - 1
        self.ring_needs = plan.ring_needs
        self.parameters = ParameterStream(context)
        self.drains = conv_drains(node, context)
        self.numbers = self._define_parameters()

    def bind(self, rings: Sequence[Ring | None]) -> None:
        """As Lowering."""
        node, context = self.node, self.context
        places = 1 + self.tiles_ahead
        self.input = MapReader(context=context, name=node.input, ring=rings[0], places=places)
        self.operand = (
            MapReader(context=context, name=node.residual.other, ring=rings[1], places=places)
            if node.residual is not None
            else None
        )
        self.output = MapWriter(context=context, name=node.output, ring=rings[2])

    def steps(self) -> Iterator[Step]:
        """As Lowering; a step for each instruction, of which a tile's first one loads."""
        shape, plan, residual = self.shape, self.plan, self.node.residual
        tiles = boxes(shape.out_height, shape.out_width, plan.tile_height, plan.tile_width)
        for tile in tiles:
            for blocks in split(shape.blocks, plan.blocks):
                needs = [Need(name=self.node.input, box=shape.source_box(tile), blocks=blocks)]
                if residual is not None:
                    needs.append(Need(name=residual.other, box=tile, blocks=blocks))
                parts = self._parts(tile, blocks)
                for number, (group, part) in enumerate(parts):
                    position = (number == 0, number == len(parts) - 1)
                    yield Step(
                        needs=tuple(needs),
                        load=partial(self._load, tile, blocks) if number == 0 else None,
                        compute=partial(self._compute, tile, blocks, group, part, position),
                        prefetch=partial(self.parameters.prefetch, self.numbers[group]),
                    )

    def _load(self, tile: Box, blocks: tuple[int, int]) -> None:
        self.input.view(self.shape.source_box(tile), blocks, blocks)
        if self.operand is not None:
            self.operand.view(tile, blocks, blocks)

    def _parts(self, tile: Box, blocks: tuple[int, int]) -> list[tuple[tuple[int, int], Box]]:
        """Return the (channel blocks, box) of each instruction of a tile."""
        return [
            (group, Box(top=tile.top + a, bottom=tile.top + b, left=tile.left, right=tile.right))
            for group in self._groups(blocks)
            for a, b in split(tile.height, self._rows(tile, group))
        ]

    def _rows(self, tile: Box, group: tuple[int, int]) -> int:
        """Output rows of one instruction: what its accumulators hold."""
        limit = self.context.tasks.depthwise_words // (group[1] - group[0])
        return max(limit // tile.width, 1)

    def _instruction_blocks(self) -> int:
        """Channel blocks of one instruction: as many as its accumulators hold, if drained alike."""
        if self.config.rows != self.config.cols:
            return 1
        pixels = self.plan.tile_height * self.plan.tile_width
        limit = self.context.tasks.depthwise_words
        parameters = self.config.parameter_words // 8
        weights = len(self.kernel_parts) * self.config.depthwise_words
        block = self.config.row_groups * len(self.node.weight_scales) + weights
        fields = min(MAX_BLOCKS, MAX_GROUPS // self.config.row_groups)
        return max(1, min(limit // pixels, self.plan.blocks, parameters // block, fields))

    def _groups(self, blocks: tuple[int, int]) -> list[tuple[int, int]]:
        """Cut a step's channel blocks into those of single instructions."""
        step = self._instruction_blocks()
        return [(blocks[0] + a, blocks[0] + b) for a, b in split(blocks[1] - blocks[0], step)]

    def _define_parameters(self) -> dict[tuple[int, int], int]:
        """Define a parameter block for each instruction's channels; return its number."""
        node, context = self.node, self.context
        source = context.map(node.input).quantization
        biases = [self._by_block(folded_bias(part, source.zero_point)) for part in self.drains]
        weights = self._by_block(node.weight[:, 0])
        numbers: dict[tuple[int, int], int] = {}
        for step in split(self.shape.blocks, self.plan.blocks):
            for first, behind in self._groups(step):
                parts = [
                    weights[first:behind, :, slice(*rows), slice(*columns)].transpose(0, 2, 3, 1)
                    for rows, columns in self.kernel_parts
                ]
                for number, (drained, bias) in enumerate(zip(self.drains, biases, strict=True)):
                    scales = [self._by_block(row) for row in conv_scales(drained, context)]
                    defined = self.parameters.define(
                        conv_header(drained, context, is_part=len(self.drains) > 1),
                        bias[first:behind].reshape(-1),
                        np.stack([scale[first:behind].reshape(-1) for scale in scales]),
                        drained.epilogue.table,
                        [np.ascontiguousarray(part) for part in parts] if number == 0 else (),
                    )
                    numbers.setdefault((first, behind), defined)
        return numbers

    def _by_block(self, channels: NDArray[_Value]) -> NDArray[_Value]:
        """Return values per channel as [blocks, rows, ...], missing channels 0."""
        rows, blocks = self.config.rows, self.shape.blocks
        padded = np.zeros((blocks * rows, *channels.shape[1:]), channels.dtype)
        padded[: len(channels)] = channels
        return padded.reshape(blocks, rows, *channels.shape[1:])

    def _compute(
        self,
        tile: Box,
        blocks: tuple[int, int],
        group: tuple[int, int],
        part: Box,
        position: tuple[bool, bool],
    ) -> None:
        """Emit one instruction of a tile; position: whether it is the tile's first, its last."""
        is_first, is_last = position
        if is_first:
            self.out = self.output.view(tile, blocks)
        source = self.input.view(self.shape.source_box(tile), blocks, blocks)
        operand = self.operand.view(tile, blocks, blocks) if self.operand else None
        self._convolve(part, group, source, self.out, operand)
        if is_last:
            self.output.finish(self.out, tile, blocks)

    def _convolve(
        self, box: Box, group: tuple[int, int], source: View, out: View, operand: View | None
    ) -> None:
        """Emit the instructions of an output box of one group of channel blocks."""
        node, tasks = self.node, self.context.tasks
        parameters = self.parameters.get(self.numbers[group])
        blocks = group[1] - group[0]
        accumulators = tasks.take_depthwise(blocks * box.pixels)
        weights = parameters.weights
        for number, (rows, columns) in enumerate(self.kernel_parts):
            origin_y, origin_x = window_origin(
                box,
                source,
                strides=node.strides,
                pads=node.pads,
                dilations=node.dilations,
                kernel_start=(rows[0], columns[0]),
            )
            depthwise = Depthwise(
                kernel_height=rows[1] - rows[0],
                kernel_width=columns[1] - columns[0],
                out_height=box.height,
                out_width=box.width,
                stride_y=node.strides[0],
                stride_x=node.strides[1],
                dilation_y=node.dilations[0],
                origin_y=origin_y,
                origin_x=origin_x,
                height=source.box.height,
                width=source.box.width,
                padding=self.context.map(node.input).quantization.zero_point,
                blocks=blocks,
                source=source.first_word(group[0]),
                source_stride=source.block_stride,
                source_pitch=source.pitch,
                weights=weights,
                destination=accumulators,
                destination_stride=box.pixels,
                accumulate=int(number > 0),
            )
            tasks.emit(depthwise)
            weights += blocks * self.config.depthwise_words
        for number in range(len(self.drains)):
            self._drain(number, box, group, accumulators, out, operand)

    def _drain(
        self,
        number: int,
        box: Box,
        group: tuple[int, int],
        accumulators: int,
        out: View,
        operand: View | None,
    ) -> None:
        config, residual, part = self.config, self.node.residual, self.drains[number]
        parameters = self.parameters.get(self.numbers[group] + number)
        first_group = group[0] * config.row_groups
        vector = replace(
            drain(box, out, first_group, config),
            groups=(group[1] - group[0]) * config.row_groups,
            height=box.height,
            source_kind=Source.ACCUMULATOR,
            source=accumulators,
            source_stride=box.pixels,
            use_table=int(part.epilogue.table is not None),
            negative_scales=int(part.negative_scale is not None),
            parameters=parameters.header,
            table=parameters.table,
        )
        if number > 0:
            vector = with_operand(vector, "add", out, box, first_group, config)
        elif operand is not None and residual is not None:
            vector = with_operand(
                vector, residual.kind, operand, box, first_group, config,
                unrounded=residual.unrounded,
            )  # fmt: skip
        self.context.tasks.emit(vector)
