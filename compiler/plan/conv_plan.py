"""The tiling of a convolution: tile size, loop order, buffers; searched over the cycle formulas."""

import math
from collections.abc import Iterator

from tilewright.compiler.limits import MAX_BLOCKS, MAX_GROUPS
from tilewright.compiler.plan.boxes import ceilings, tile_sides
from tilewright.compiler.plan.conv_shape import ConvShape
from tilewright.compiler.plan.conv_work import (
    TileSums,
    drain_cycles,
    input_blocks,
    tile_sums,
    weight_passes,
    weight_tile_beats,
)
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.rings import Reader
from tilewright.compiler.plan.tiling import INSTRUCTION_OVERHEAD, Plan, Work, ring_pace
from tilewright.hw.spec.config import Config, largest_divisor
from tilewright.hw.spec.cycles import matrix_tile_cycles, vector_pixel_cycles, word_cycles
from tilewright.support.records import record

MIN_INSTRUCTION_CYCLES = 512
"""Output blocks are put into one instruction until it takes about this long."""
FIRST_PIECES = 8
"""Pieces in which the first block group reads its input, so that the array starts early."""


@record(frozen=True, kw_only=True)
class ConvMemory:
    """Which maps a convolution streams through the workspace, and the workspace's words."""

    workspace: int
    accumulators: int
    """Accumulator words that a tile of pixels may take."""
    streams_input: bool
    streams_operand: bool
    streams_output: bool
    combines: bool
    """Whether a second operand, streamed or not, is combined with the results."""
    num_drains: int = 1
    """How often the vector unit reads the sums; all but the first time it adds to the results."""
    is_chained: bool = False
    """Other layers run at the same time, tile by tile: pixels must be outermost."""

    def pixel_cycles(self, config: Config) -> int:
        """Cycles in which the vector unit finishes a lane group of an output pixel."""
        more = (self.num_drains - 1) * vector_pixel_cycles(1, True, config)
        return vector_pixel_cycles(1, self.combines, config) + more

    @property
    def streams_results(self) -> bool:
        """Whether rings hold whole activation words for a block group's results."""
        return self.streams_operand or self.streams_output


@record(frozen=True, kw_only=True)
class ConvPlan(Plan):
    """One tiling of a convolution on the array."""

    reader = Reader.MATRIX
    pixels_outer: bool
    """Tiles outside, output blocks inside; else the reverse."""
    input_blocks: int
    """Input blocks held at a time."""
    group_blocks: int
    """Output blocks of one MATRIX instruction, at most."""
    input_places: int
    """Tiles that the input's ring has room for; `copies` are those of operand and output."""


def conv_plans(shape: ConvShape, memory: ConvMemory) -> list[ConvPlan]:
    """Return every tiling that fits. Raises DoesNotFitError when even one pixel does not."""
    plans = [
        plan
        for height, width in tile_sizes(shape, memory.accumulators)
        for blocks in input_chunks(shape, memory)
        for outer in ((True,) if memory.is_chained else (True, False))
        for plan in _plans(shape, memory, height, width, blocks, outer)
    ]
    if not plans:
        raise does_not_fit(shape, memory)
    return plans


def does_not_fit(shape: ConvShape, memory: ConvMemory) -> DoesNotFitError:
    """Return the error of a layer without a tiling."""
    return DoesNotFitError(
        f"a convolution {shape.kernel[0]}x{shape.kernel[1]} of {shape.in_blocks} input blocks "
        f"does not fit into {memory.workspace} free words of activation SRAM; raise activation_kib"
    )


def store_unit(config: Config) -> int:
    """Output blocks whose channels end on a border of activation words."""
    return math.lcm(config.rows, config.cols) // config.cols


def tile_sizes(shape: ConvShape, limit: int) -> Iterator[tuple[int, int]]:
    """Yield (height, width) of tiles of at most `limit` pixels: whole rows, or parts of one."""
    heights, widths = tile_sides(
        (shape.out_height, shape.out_width),
        (shape.in_height, shape.in_width),
        kernel=shape.kernel,
        strides=shape.strides,
        dilations=shape.dilations,
    )
    has_whole_rows = widths[:1] == [shape.out_width] and shape.out_width <= limit
    for width in widths[:1] if has_whole_rows else widths:
        for height in heights:
            if height * width <= limit:
                yield height, width
    for width in widths[1:]:
        if width <= limit:
            yield 1, width


def input_chunks(shape: ConvShape, memory: ConvMemory) -> list[int]:
    """Return how many input blocks a tiling can hold at a time, all of them first."""
    if not memory.streams_input:
        return [shape.in_blocks]
    return ceilings(shape.in_blocks)


def group_limit(shape: ConvShape, accumulators: int, pixels: int, unit: int, chunk: int) -> int:
    """Output blocks of an instruction: a divisor or a multiple of the store unit."""
    config = shape.config
    sources = max(count for _, count in shape.source_ranges)
    if chunk < shape.in_blocks or sources > MAX_BLOCKS:
        return 1
    tiles = sources * shape.taps
    cycles = tiles * matrix_tile_cycles(pixels, config)
    wanted = -(-MIN_INSTRUCTION_CYCLES // cycles)
    by_weights = config.weight_words // 3 // (tiles * config.rows)
    by_accumulators = accumulators // pixels
    by_fields = min(MAX_BLOCKS, MAX_GROUPS // config.col_groups)
    limit = max(1, min(wanted, by_weights, by_accumulators, by_fields, shape.out_blocks))
    return limit - limit % unit if limit > unit else largest_divisor(unit, limit)


def _plans(
    shape: ConvShape,
    memory: ConvMemory,
    tile_height: int,
    tile_width: int,
    chunk: int,
    pixels_outer: bool,
) -> Iterator[ConvPlan]:
    config = shape.config
    unit = store_unit(config) if memory.streams_results else 1
    pixels = tile_height * tile_width
    group = group_limit(shape, memory.accumulators, pixels, unit, chunk)
    span = max(unit, group)
    word_blocks = min(-(-span * config.cols // config.rows), -(-shape.out_channels // config.rows))
    tiles = tile_sums(shape, tile_height, tile_width)
    single = tiles.count == 1 and chunk == shape.in_blocks
    work, startup = _work(shape, memory, tiles, chunk, group, pixels_outer)
    for copies in (2, 1):
        input_places = 1 if single else copies
        input_ring = tiles.largest_source * chunk * input_places * memory.streams_input
        operand_ring = word_blocks * pixels * copies * memory.streams_operand
        output_ring = word_blocks * pixels * copies * memory.streams_output
        if input_ring + operand_ring + output_ring > memory.workspace:
            continue
        yield ConvPlan(
            tile_height=tile_height,
            tile_width=tile_width,
            pixels_outer=pixels_outer,
            input_blocks=chunk,
            group_blocks=group,
            copies=copies,
            input_places=input_places,
            input_ring=input_ring,
            operand_ring=operand_ring,
            output_ring=output_ring,
            work=work,
            startup=startup if copies == 2 else startup + (max(work) + startup) // 2,
            pace=max(
                ring_pace(tiles.count, input_ring // input_places, work.matrix, input_places),
                ring_pace(
                    tiles.count * -(-shape.out_blocks // span),
                    output_ring // copies,
                    work.matrix,
                    copies,
                ),
            ),
        )
        if not memory.is_chained:
            return


def _work(
    shape: ConvShape,
    memory: ConvMemory,
    tiles: TileSums,
    chunk: int,
    group: int,
    pixels_outer: bool,
) -> tuple[Work, int]:
    """Return the engines' work and the cycles beside it."""
    config = shape.config
    array = shape.weight_tiles * tiles.array_cycles
    groups = shape.groups(group)
    beats = word_cycles(config.activation_pitch, config)
    weights = shape.weight_tiles * weight_tile_beats(config)
    inputs = input_blocks(shape, tiles, groups, chunk, pixels_outer) * tiles.source
    results = shape.result_words * beats
    work = Work(
        matrix=array,
        load=weights * weight_passes(shape, tiles, len(groups), pixels_outer)
        + inputs * beats * memory.streams_input
        + results * memory.streams_operand,
        vector=drain_cycles(shape, memory.pixel_cycles(config)),
        store=results * memory.streams_output,
    )
    parts = -(-shape.in_blocks // chunk)
    startup = tiles.first_source * -(-chunk // FIRST_PIECES) * memory.streams_input
    startup += tiles.last_pixels * config.col_groups
    startup += INSTRUCTION_OVERHEAD * tiles.count * len(groups) * parts
    if memory.is_chained:  # what the next layer waits for: a tile, or a block of the only one
        startup += array // (tiles.count if tiles.count > 1 else len(groups))
    return work, startup
