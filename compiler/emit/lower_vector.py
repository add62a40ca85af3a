"""Lower layers that only the vector unit computes: loads, VECTOR, stores, tile by tile."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from tilewright.compiler.emit.context import Context, View
from tilewright.compiler.emit.lowering import Lowering, Need, Step
from tilewright.compiler.emit.resample import resampled
from tilewright.compiler.emit.streams import ParameterStream
from tilewright.compiler.emit.tiles import MapReader, MapWriter, with_operand, with_window
from tilewright.compiler.graph.graph import Elementwise, Resample
from tilewright.compiler.plan.boxes import Box, boxes, split
from tilewright.compiler.plan.rings import Ring
from tilewright.compiler.plan.vector_layer import VectorLayer
from tilewright.compiler.plan.vector_plan import VectorPlan
from tilewright.hw.spec.isa import Engine, Source
from tilewright.hw.spec.operations.vector import Vector


class VectorLowering(Lowering):
    """Lowers a Pool, Elementwise, Requantize, Pad or Resample."""

    engine = Engine.VECTOR

    def __init__(self, layer: VectorLayer, context: Context, plan: VectorPlan) -> None:
        self.layer, self.context, self.plan, self.config = layer, context, plan, context.config
        self.output_name, self.tiles_ahead = layer.node.output, plan.copies - 1
        self.ring_needs = plan.ring_needs
        source = context.map(layer.source)
        self.source_size = (source.height, source.width)
        self.parameters = ParameterStream(context)
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
        layer, context, places = self.layer, self.context, self.plan.copies
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
        total = self.context.place(layer.node.output).blocks
        for tile in boxes(out.height, out.width, self.plan.tile_height, self.plan.tile_width):
            for blocks in split(total, self.plan.blocks):
                source = self._source_blocks(blocks)
                needs = [Need(name=layer.source, box=self._source_box(tile), blocks=source)]
                if layer.operand:
                    needs.append(Need(name=layer.operand, box=tile, blocks=blocks))
                yield Step(
                    needs=tuple(needs),
                    load=partial(self._load, tile, blocks),
                    compute=partial(self._compute, tile, blocks),
                )

    def _source_box(self, tile: Box) -> Box:
        return self.layer.source_box(tile, self.source_size)

    def _source_blocks(self, blocks: tuple[int, int]) -> tuple[int, int]:
        """The blocks of the source that a step of those blocks of the result reads.

        Where the source has several phases a step makes all blocks, of all of them.
        """
        return blocks[0], blocks[1] * self.layer.num_phases

    def _load(self, tile: Box, blocks: tuple[int, int]) -> None:
        self._source(tile, blocks)
        if self.operand is not None:
            self.operand.view(tile, blocks, blocks)

    def _source(self, tile: Box, blocks: tuple[int, int]) -> View:
        wanted = self._source_blocks(blocks)
        return self.input.view(self._source_box(tile), wanted, wanted)

    def _compute(self, tile: Box, blocks: tuple[int, int]) -> None:
        layer, window = self.layer, self.layer.window
        view = self._source(tile, blocks)
        operand = self.operand.view(tile, blocks, blocks) if self.operand else None
        out = self.output.view(tile, blocks)
        first = blocks[0] * self.config.row_groups
        for number, part in enumerate(layer.parts):
            box = _intersection(part.box, tile)
            if box is None:
                continue
            parameters = self.parameters.get(number)
            vector = Vector(
                groups=(blocks[1] - blocks[0]) * self.config.row_groups,
                source_kind=Source.ACTIVATION,
                reduction=window.reduction,
                source=view.first_word(blocks[0]),
                source_stride=view.block_stride,
                source_pitch=view.pitch,
                destination=out.word(blocks[0], box.top, box.left),
                destination_stride=out.block_stride,
                destination_pitch=out.pitch,
                use_table=int(layer.epilogue.table is not None),
                uniform=1,
                parameters=parameters.header,
                table=parameters.table,
            )
            if isinstance(layer.node, Resample):
                views, group = (view, out), blocks[1]
                for item in resampled(layer.node, vector, box, blocks[0], views, group):
                    self.context.tasks.emit(item)
                continue
            vector = with_window(
                vector,
                box,
                view,
                kernel=window.kernel,
                strides=window.strides,
                pads=window.pads,
                dilations=window.dilations,
                padding=window.padding,
            )
            if operand is not None and isinstance(layer.node, Elementwise):
                kind = layer.node.kind
                vector = with_operand(vector, kind, operand, box, first, self.config)
            self.context.tasks.emit(vector)
        self.output.finish(out, tile, blocks)


def _intersection(first: Box, second: Box) -> Box | None:
    box = Box(
        top=max(first.top, second.top),
        bottom=min(first.bottom, second.bottom),
        left=max(first.left, second.left),
        right=min(first.right, second.right),
    )
    return box if box.height > 0 and box.width > 0 else None
