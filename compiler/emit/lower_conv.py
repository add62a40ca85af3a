"""Lower a convolution to loads, MATRIX, VECTOR and stores, tile by tile."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial

import numpy as np

from tilewright.compiler.emit.context import Context, View
from tilewright.compiler.emit.conv_weights import ConvWeights, KernelPart
from tilewright.compiler.emit.lowering import Lowering, Need, Step
from tilewright.compiler.emit.streams import ParameterStream, WeightStream
from tilewright.compiler.emit.tiles import (
    MapReader,
    MapWriter,
    drain,
    with_operand,
    with_window,
)
from tilewright.compiler.graph.graph import Conv
from tilewright.compiler.limits import MAX_BLOCKS, MAX_KERNEL
from tilewright.compiler.plan.boxes import Box, boxes, source_box, split
from tilewright.compiler.plan.conv_plan import (
    FIRST_PIECES,
    ConvMemory,
    ConvPlan,
    store_unit,
)
from tilewright.compiler.plan.conv_shape import BlockGroup, ConvShape
from tilewright.compiler.plan.epilogue import (
    conv_drains,
    conv_header,
    conv_scales,
    epilogue_header,
    folded_bias,
)
from tilewright.compiler.plan.rings import Ring
from tilewright.hw.spec.isa import Engine, Source
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.hw.spec.operations.vector import Vector
from tilewright.support.records import replace


def conv_memory(
    node: Conv, context: Context, *, is_on_unit: bool = False, is_chained: bool
) -> ConvMemory:
    """Return which maps a convolution streams, and the memory that it may take."""
    tasks = context.tasks
    return ConvMemory(
        workspace=context.workspace[1],
        accumulators=tasks.depthwise_words if is_on_unit else tasks.matrix_words,
        streams_input=not context.is_resident(node.input),
        streams_operand=node.residual is not None and not context.is_resident(node.residual.other),
        streams_output=not context.is_resident(node.output),
        combines=node.residual is not None,
        num_drains=max(len(node.epilogue.pieces), 1),
        is_chained=is_chained,
    )


class ConvLowering(Lowering):
    """Lowers a convolution on the array. Raises ModelError (accumulator bound)."""

    engine = Engine.MATRIX

    def __init__(self, node: Conv, context: Context, shape: ConvShape, plan: ConvPlan) -> None:
        self.node, self.context, self.shape, self.plan = node, context, shape, plan
        self.config, self.output_name = context.config, node.output
        self.tiles_ahead = plan.input_places - 1
        self.ring_needs = plan.ring_needs
        self.weights = WeightStream(context=context, layer=context.tasks.layer)
        self.parameters = ParameterStream(context)
        self.drains = conv_drains(node, context)
        self.groups = shape.groups(plan.group_blocks)
        self.parts = [list(self._kernel_parts(group)) for group in self.groups]
        self.total_groups = context.place(node.output).blocks * self.config.row_groups
        self.fill = -1
        self._source_boxes: dict[Box, Box] = {}
        self._matrices: dict[tuple[Hashable, ...], Matrix] = {}
        self._vectors: dict[tuple[Hashable, ...], Vector] = {}
        """By all but their bases."""
        self._define_weights()
        self._define_parameters()

    def bind(self, rings: Sequence[Ring | None]) -> None:
        """As Lowering."""
        node, context = self.node, self.context
        plan = self.plan
        self.input = MapReader(
            context=context, name=node.input, ring=rings[0], places=plan.input_places
        )
        self.operand = (
            MapReader(context=context, name=node.residual.other, ring=rings[1], places=plan.copies)
            if node.residual is not None
            else None
        )
        self.output = MapWriter(context=context, name=node.output, ring=rings[2])

    def steps(self) -> Iterator[Step]:
        """As Lowering."""
        shape, plan = self.shape, self.plan
        tiles = boxes(shape.out_height, shape.out_width, plan.tile_height, plan.tile_width)
        units = self._units()
        order = (
            ((tile, unit) for tile in tiles for unit in units)
            if plan.pixels_outer
            else ((tile, unit) for unit in units for tile in tiles)
        )
        loads = plan.input_blocks >= shape.in_blocks and plan.input_places > 1
        for tile, unit in order:
            is_first = loads and unit is units[0] and tile is not tiles[0]
            yield Step(
                needs=self._needs(tile, unit, whole=is_first),
                load=partial(self._load, tile) if is_first else None,
                compute=partial(self._compute, tile, unit),
                prefetch=partial(self._prefetch, unit),
            )

    def _prefetch(self, unit: list[BlockGroup]) -> None:
        """Load the weights and parameters of a unit's first group."""
        number = unit[0].number
        self.weights.prefetch([(number, part) for part in range(len(self.parts[number]))])
        self.parameters.prefetch(number * len(self.drains))

    def _load(self, tile: Box) -> None:
        """Load all that a tile reads of the input map."""
        blocks = (0, self.shape.in_blocks)
        self.input.view(self._source_box(tile), blocks, blocks)

    def _needs(self, tile: Box, unit: list[BlockGroup], *, whole: bool) -> tuple[Need, ...]:
        """Return what a unit reads; whole: all input blocks, as `_load` does."""
        ranges = [group.source_range for group in unit]
        blocks = (min(first for first, _ in ranges), max(behind for _, behind in ranges))
        if whole:
            blocks = (0, self.shape.in_blocks)
        needs = [Need(name=self.node.input, box=self._source_box(tile), blocks=blocks)]
        if self.node.residual is not None:
            other = self.node.residual.other
            needs.append(Need(name=other, box=tile, blocks=self._word_blocks(unit)))
        return tuple(needs)

    def _units(self) -> list[list[BlockGroup]]:
        """Groups up to a border of activation words share their places of the rings."""
        has_ring = self.plan.output_ring or self.plan.operand_ring
        unit = store_unit(self.config) if has_ring else 1
        units: list[list[BlockGroup]] = [[]]
        for group in self.groups:
            units[-1].append(group)
            behind = group.first + group.blocks
            if behind % unit == 0 and behind < self.shape.out_blocks:
                units.append([])
        return units

    def _kernel_parts(self, group: BlockGroup) -> Iterator[KernelPart]:
        """Cut a group's reduction so that a part's weights and input fit their rings."""
        config, (height, width) = self.config, self.shape.kernel
        words = group.blocks * config.rows
        limit = max(config.weight_words // 3 // words, 1)
        blocks = min(limit // (height * width), self.plan.input_blocks, group.sources, MAX_BLOCKS)
        if group.blocks > 1 or group.step:
            assert blocks >= group.sources, "a group's weights fit by construction"
        if group.number == 0 and group.blocks == 1 and blocks > 1:
            blocks = min(blocks, -(-group.sources // FIRST_PIECES))
        if blocks >= 1 and max(height, width) <= MAX_KERNEL:
            chunk = self.plan.input_blocks
            for low, high in split(group.sources, chunk):
                for first, behind in split(high - low, blocks):
                    yield KernelPart(
                        first=group.source + low + first,
                        blocks=behind - first,
                        rows=(0, height),
                        columns=(0, width),
                    )
            return
        kernel_columns = min(limit, width, MAX_KERNEL)
        kernel_rows = min(max(limit // width, 1), MAX_KERNEL)
        for block in range(group.sources):
            for rows in split(height, kernel_rows):
                for columns in split(width, kernel_columns):
                    yield KernelPart(
                        first=group.source + block, blocks=1, rows=rows, columns=columns
                    )

    def _define_weights(self) -> None:
        slots = self.context.place(self.node.input).slots
        weights = ConvWeights(node=self.node, slots=slots, shape=self.shape)
        for group, parts in zip(self.groups, self.parts, strict=True):
            for number, part in enumerate(parts):
                self.weights.define(
                    (group.number, number),
                    group.blocks * part.blocks * part.pixels,
                    partial(weights.tiles, group, part),
                )

    def _define_parameters(self) -> None:
        node, context = self.node, self.context
        zero_point, is_part = context.map(node.input).quantization.zero_point, len(self.drains) > 1
        pad = max(self.total_groups * self.config.lanes - self.shape.out_channels, 0)
        biases = [np.pad(folded_bias(part, zero_point), (0, pad)) for part in self.drains]
        scales = [np.pad(conv_scales(part, context), ((0, 0), (0, pad))) for part in self.drains]
        headers = [conv_header(part, context, is_part=is_part) for part in self.drains]
        for group in self.groups:
            first = group.first * self.config.cols
            behind = min(first + group.blocks * self.config.cols, self.shape.out_channels)
            behind = max(behind, first + self._lane_groups(group) * self.config.lanes)
            for part, header, bias, scale in zip(self.drains, headers, biases, scales, strict=True):
                self.parameters.define(
                    header, bias[first:behind], scale[:, first:behind], part.epilogue.table
                )
        if self._filled_from() < self.total_groups:
            zeros = np.zeros(self.config.lanes, np.int32)
            self.fill = self.parameters.define(
                epilogue_header(node.epilogue), zeros, zeros.astype(np.float32)
            )

    def _lane_groups(self, group: BlockGroup) -> int:
        """Lane groups that a block group writes."""
        first = group.first * self.config.col_groups
        return min(group.blocks * self.config.col_groups, self.total_groups - first)

    def _filled_from(self) -> int:
        return self.shape.out_blocks * self.config.col_groups

    def _word_blocks(self, unit: list[BlockGroup]) -> tuple[int, int]:
        """Activation blocks [first, behind last) that a unit writes."""
        first = unit[0].first * self.config.cols // self.config.rows
        last = unit[-1]
        behind = -(-(last.first + last.blocks) * self.config.cols // self.config.rows)
        blocks = self.context.place(self.node.output).blocks
        is_last = last.first + last.blocks == self.shape.out_blocks
        return first, blocks if is_last else min(behind, blocks)

    def _finished_blocks(self, unit: list[BlockGroup]) -> tuple[int, int]:
        """The same without a last block of which the next unit writes the rest."""
        first, behind = self._word_blocks(unit)
        channels = (unit[-1].first + unit[-1].blocks) * self.config.cols
        is_last = channels >= self.shape.out_channels
        return first, behind if is_last else channels // self.config.rows

    def _compute(self, tile: Box, unit: list[BlockGroup]) -> None:
        blocks = self._word_blocks(unit)
        out = self.output.view(tile, blocks)
        for group in unit:
            accumulators = self.context.tasks.take_accumulators(group.blocks * tile.pixels)
            for number, part in enumerate(self.parts[group.number]):
                self._matrix(tile, group, number, part, accumulators)
            self._drain(tile, group, accumulators, out, blocks)
        if self.fill >= 0 and unit[-1] is self.groups[-1]:
            self._fill_rest(tile, out)
        self.output.finish(out, tile, self._finished_blocks(unit))

    def _source_box(self, tile: Box) -> Box:
        found = self._source_boxes.get(tile)
        if found is None:
            node, shape = self.node, self.shape
            found = self._source_boxes[tile] = source_box(
                tile,
                kernel=shape.kernel,
                strides=node.strides,
                pads=node.pads,
                dilations=node.dilations,
                size=(shape.in_height, shape.in_width),
            )
        return found

    def _source_view(self, tile: Box, group: BlockGroup, part: KernelPart) -> View:
        box, shape, chunk = self._source_box(tile), self.shape, self.plan.input_blocks
        wanted = (part.first, part.first + part.blocks)
        if group.blocks > 1:
            wanted = group.source_range
        if chunk >= shape.in_blocks:
            held = (0, shape.in_blocks)
        else:
            low = group.source + (part.first - group.source) // chunk * chunk
            behind = max(min(low + chunk, group.source_range[1]), wanted[1])
            held = (low, behind)
        return self.input.view(box, held, wanted)

    def _matrix(
        self, tile: Box, group: BlockGroup, number: int, part: KernelPart, accumulators: int
    ) -> None:
        weights = self.weights.get((group.number, number))
        view = self._source_view(tile, group, part)
        box, (stride_y, stride_x) = view.box, self.node.strides
        start = tile.top * stride_y - box.top, tile.left * stride_x - box.left
        sizes = tile.height, tile.width, box.height, box.width
        cut = part.blocks, part.rows, part.columns
        key = (group.blocks, group.step, cut, number > 0, start, sizes, view.strides)
        matrix = self._matrices.get(key)
        if matrix is None:
            matrix = self._matrices[key] = self._matrix_at_0(tile, group, number, part, view)
        self.context.tasks.emit(
            matrix.based(
                source=view.first_word(part.first), weights=weights, destination=accumulators
            )
        )

    def _matrix_at_0(
        self, tile: Box, group: BlockGroup, number: int, part: KernelPart, view: View
    ) -> Matrix:
        """Return the MATRIX of a part without its bases."""
        node = self.node
        matrix = Matrix(
            out_blocks=group.blocks,
            in_blocks=part.blocks,
            source_out_stride=group.step * view.block_stride,
            source_in_stride=view.block_stride,
            source_pitch=view.pitch,
            destination_stride=tile.pixels,
            accumulate=int(number > 0),
        )
        return with_window(
            matrix,
            tile,
            view,
            kernel=(part.rows[1] - part.rows[0], part.columns[1] - part.columns[0]),
            strides=node.strides,
            pads=node.pads,
            dilations=node.dilations,
            padding=self.context.map(node.input).quantization.zero_point,
            kernel_start=(part.rows[0], part.columns[0]),
        )

    def _drain(
        self, tile: Box, group: BlockGroup, accumulators: int, out: View, blocks: tuple[int, int]
    ) -> None:
        first_group, lane_groups = group.first * self.config.col_groups, self._lane_groups(group)
        block, lane_group = divmod(first_group, self.config.row_groups)
        for number in range(len(self.drains)):
            parameters = self.parameters.get(group.number * len(self.drains) + number)
            operand = None
            if number > 0:
                operand = out
            elif self.operand is not None:
                operand = self.operand.view(tile, blocks, blocks)
            strides = out.strides, operand.strides if operand else None
            key = (lane_group, lane_groups, number, tile.height, tile.width, strides)
            vector = self._vectors.get(key)
            if vector is None:
                vector = self._vectors[key] = self._vector_at_0(tile, group, number, out, operand)
            self.context.tasks.emit(
                vector.based(
                    source=accumulators,
                    operand=operand.word(block, tile.top, tile.left) if operand else 0,
                    destination=out.word(block, tile.top, tile.left),
                    parameters=parameters.header,
                    table=parameters.table,
                )
            )

    def _vector_at_0(
        self, tile: Box, group: BlockGroup, number: int, out: View, operand: View | None
    ) -> Vector:
        """Return the VECTOR of a drain, whose bases are not yet what they will be."""
        first_group, part = group.first * self.config.col_groups, self.drains[number]
        vector = replace(
            drain(tile, out, first_group, self.config),
            groups=self._lane_groups(group),
            height=tile.height,
            source_kind=Source.ACCUMULATOR,
            source_stride=tile.pixels,
            use_table=int(part.epilogue.table is not None),
            negative_scales=int(part.negative_scale is not None),
        )
        if operand is None:
            return vector
        residual = self.node.residual if number == 0 else None
        return with_operand(
            vector,
            residual.kind if residual else "add",
            operand,
            tile,
            first_group,
            self.config,
            unrounded=residual.unrounded if residual else False,
        )

    def _fill_rest(self, tile: Box, out: View) -> None:
        """Write the zero point to the lanes behind the last output block."""
        parameters = self.parameters.get(self.fill)
        first = self._filled_from()
        vector = replace(
            drain(tile, out, first, self.config),
            groups=self.total_groups - first,
            source_kind=Source.ACTIVATION,
            uniform=1,
            parameters=parameters.header,
        )
        self.context.tasks.emit(vector)
