"""The tiling of a depthwise layer on its unit: tile size, channel blocks, buffers."""

from collections.abc import Iterator

from tilewright.compiler.plan.boxes import Box, boxes, ceilings, source_box, split, tile_sides
from tilewright.compiler.plan.conv_plan import ConvMemory
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.rings import Reader
from tilewright.compiler.plan.tiling import INSTRUCTION_OVERHEAD, Plan, Work, ring_pace
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import depthwise_block_cycles, word_cycles
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class DepthwiseShape:
    """A depthwise convolution's sizes; `parts` are the kernel's (rows, columns) by instruction."""

    config: Config
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    parts: tuple[tuple[int, int], ...]
    blocks: int
    in_height: int
    in_width: int
    out_height: int
    out_width: int

    def source_box(self, tile: Box) -> Box:
        """Return the source pixels that a tile of outputs reads."""
        return source_box(
            tile,
            kernel=self.kernel,
            strides=self.strides,
            pads=self.pads,
            dilations=self.dilations,
            size=(self.in_height, self.in_width),
        )

    def cycles(self, height: int, width: int) -> int:
        """Return the unit's cycles for one block of a tile."""
        words = self.words(height, width)
        return sum(depthwise_block_cycles(part, self.config) for part in words)

    def words(self, height: int, width: int) -> list[int]:
        """Return the words that each part reads for one block of a tile."""
        columns = (width - 1) * self.strides[1]
        return [height * rows * (columns + taps) for rows, taps in self.parts]


@record(frozen=True, kw_only=True)
class DepthwisePlan(Plan):
    """One tiling of a layer on the depthwise unit."""

    reader = Reader.DEPTHWISE
    blocks: int
    """Channel blocks of a step."""


def depthwise_plans(shape: DepthwiseShape, memory: ConvMemory) -> list[DepthwisePlan]:
    """Return every tiling that fits. Raises DoesNotFitError when even one pixel does not.

    `memory.accumulators` are the words of one instruction's results.
    """
    plans: list[DepthwisePlan] = []
    for sizes in _tile_sizes(shape, memory):
        plans += [
            plan
            for height, width in sizes
            for blocks in ceilings(shape.blocks)
            for plan in _plans(shape, memory, height, width, blocks)
        ]
        if plans:
            break
    if not plans:
        raise DoesNotFitError(
            f"a depthwise convolution {shape.kernel[0]}x{shape.kernel[1]} does not fit into "
            f"{memory.workspace} free words of activation SRAM; raise activation_kib"
        )
    return plans


def _tile_sizes(
    shape: DepthwiseShape, memory: ConvMemory
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return tiles (height, width) of whole rows, then those of parts of one row."""
    limit, whole = memory.accumulators, shape.out_width
    heights, widths = tile_sides(
        (shape.out_height, whole),
        (shape.in_height, shape.in_width),
        kernel=shape.kernel,
        strides=shape.strides,
        dilations=shape.dilations,
    )
    rows = [(height, whole) for height in heights if whole in widths and whole <= limit]
    return rows, [(1, width) for width in widths if width <= limit]


def _plans(
    shape: DepthwiseShape, memory: ConvMemory, height: int, width: int, blocks: int
) -> Iterator[DepthwisePlan]:
    tiles = boxes(shape.out_height, shape.out_width, height, width)
    sources = [shape.source_box(tile).pixels for tile in tiles]
    single = len(tiles) == 1 and blocks == shape.blocks
    work = _work(shape, memory, tiles, sum(sources))
    steps = len(tiles) * len(split(shape.blocks, blocks))
    first = sources[0] * blocks * memory.streams_input
    last = shape.cycles(1, tiles[-1].width) + tiles[-1].pixels * blocks * memory.streams_output
    startup = first + last + INSTRUCTION_OVERHEAD * steps
    if memory.is_chained:  # what the next layer waits for: a tile, or blocks of the only one
        startup += work.depthwise // (len(tiles) if len(tiles) > 1 else steps)
    for copies in (1,) if single else (2, 1):
        input_ring = max(sources) * blocks * copies * memory.streams_input
        operand_ring = height * width * blocks * copies * memory.streams_operand
        output_ring = height * width * blocks * copies * memory.streams_output
        if input_ring + operand_ring + output_ring <= memory.workspace:
            is_buffered = single or copies == 2
            yield DepthwisePlan(
                tile_height=height,
                tile_width=width,
                blocks=blocks,
                copies=copies,
                input_ring=input_ring,
                operand_ring=operand_ring,
                output_ring=output_ring,
                work=work,
                startup=startup if is_buffered else startup + (max(work) + startup) // 2,
                pace=max(
                    ring_pace(steps, ring // copies, work.depthwise, copies)
                    for ring in (input_ring, output_ring)
                ),
            )


def _work(shape: DepthwiseShape, memory: ConvMemory, tiles: list[Box], source: int) -> Work:
    config = shape.config
    beats = word_cycles(config.activation_pitch, config)
    outputs = shape.out_height * shape.out_width * shape.blocks
    drain = config.row_groups * memory.pixel_cycles(config)
    load = source * shape.blocks * memory.streams_input + outputs * memory.streams_operand
    return Work(
        depthwise=shape.blocks * sum(shape.cycles(tile.height, tile.width) for tile in tiles),
        load=load * beats,
        vector=outputs * drain,
        store=outputs * beats * memory.streams_output,
    )
