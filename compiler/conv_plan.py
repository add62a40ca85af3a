"""The tiling of a convolution: tile size, loop order, buffers; searched over the cycle formulas."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tilewright.compiler.context import DoesNotFit
from tilewright.compiler.conv_shape import ConvShape
from tilewright.compiler.tiles import Box, boxes, source_box
from tilewright.hw.spec.config import Config, largest_divisor
from tilewright.hw.spec.cycles import ACCUMULATE_LATENCY

MIN_INSTRUCTION_CYCLES = 512
"""Output blocks are put into one instruction until it takes about this long."""
MAX_BLOCKS = 1023
INSTRUCTION_OVERHEAD = 16
"""Cycles the search charges a block group of a tile, so that it prefers fewer instructions."""
FIRST_PIECES = 8
"""The first block group reads its input in up to this many pieces, so that the array starts early."""


@dataclass(frozen=True, kw_only=True)
class ConvMemory:
    """Which maps a convolution streams through the workspace, and the workspace's words."""

    workspace: int
    streams_input: bool
    streams_operand: bool
    streams_output: bool


@dataclass(frozen=True, kw_only=True)
class ConvPlan:
    """One tiling. Ring sizes are in activation words; a ring of 0 words belongs to no stream."""

    tile_height: int
    tile_width: int
    pixels_outer: bool
    """Tiles outside, output blocks inside; else the reverse."""
    input_blocks: int
    """Input blocks held at a time."""
    group_blocks: int
    """Output blocks of one MATRIX instruction, at most."""
    weights_resident: bool
    """All weights stay in weight SRAM for the whole layer."""
    input_ring: int
    operand_ring: int
    output_ring: int
    cycles: int
    """Estimate: the longest of array, loads and stores, and the wait for the first data."""


def plan_conv(shape: ConvShape, memory: ConvMemory) -> ConvPlan:
    """Return the cheapest tiling. Raises DoesNotFit when even one pixel does not fit."""
    plans = (
        plan
        for height, width in _tile_sizes(shape)
        for blocks in _input_chunks(shape, memory)
        for outer in (True, False)
        for plan in _plans(shape, memory, height, width, blocks, outer)
    )
    best = min(plans, key=lambda p: (p.cycles, -p.tile_height * p.tile_width), default=None)
    if best is None:
        raise DoesNotFit(
            f"a convolution {shape.kernel[0]}x{shape.kernel[1]} of {shape.in_blocks} input blocks "
            f"does not fit into {memory.workspace} free words of activation SRAM; "
            f"raise activation_kib"
        )
    return best


def store_unit(config: Config) -> int:
    """Output blocks whose channels end on a border of activation words."""
    return math.lcm(config.rows, config.cols) // config.cols


def _tile_sizes(shape: ConvShape) -> Iterator[tuple[int, int]]:
    limit = shape.config.accumulator_words // 2
    widths = sorted({-(-shape.out_width // n) for n in range(1, shape.out_width + 1)}, reverse=True)
    heights = sorted(
        {-(-shape.out_height // n) for n in range(1, shape.out_height + 1)}, reverse=True
    )
    for width in widths[:1] if shape.out_width <= limit else widths:
        for height in heights:
            if height * width <= limit:
                yield height, width
    for width in widths[1:]:
        if width <= limit:
            yield 1, width


def _input_chunks(shape: ConvShape, memory: ConvMemory) -> list[int]:
    if not memory.streams_input:
        return [shape.in_blocks]
    return sorted({-(-shape.in_blocks // n) for n in range(1, shape.in_blocks + 1)}, reverse=True)


def _group_limit(shape: ConvShape, pixels: int, unit: int, chunk: int) -> int:
    """Output blocks of an instruction: a divisor or a multiple of the store unit."""
    config = shape.config
    if chunk < shape.in_blocks:
        return 1
    tiles = max(count for _, count in shape.source_ranges) * shape.taps
    cycles = tiles * max(pixels, config.rows, ACCUMULATE_LATENCY)
    wanted = -(-MIN_INSTRUCTION_CYCLES // cycles)
    by_weights = config.weight_words // 3 // (tiles * config.rows)
    by_accumulators = config.accumulator_words // 2 // pixels
    limit = max(1, min(wanted, by_weights, by_accumulators, MAX_BLOCKS, shape.out_blocks))
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
    unit = store_unit(config) if memory.streams_output else 1
    pixels = tile_height * tile_width
    group = _group_limit(shape, pixels, unit, chunk)
    span = max(unit, group)
    word_blocks = min(-(-span * config.cols // config.rows), -(-shape.out_channels // config.rows))
    tiles = boxes(shape.out_height, shape.out_width, tile_height, tile_width)
    tile_words = max(_source(shape, tile).pixels for tile in tiles)
    single = len(tiles) == 1 and chunk == shape.in_blocks
    for copies in (2, 1):
        input_ring = tile_words * chunk * (1 if single else copies) * memory.streams_input
        operand_ring = word_blocks * pixels * copies * memory.streams_operand
        output_ring = word_blocks * pixels * copies * memory.streams_output
        if input_ring + operand_ring + output_ring <= memory.workspace:
            break
    else:
        return
    resident = shape.weight_tiles * config.rows <= config.weight_words
    cycles = _cycles(shape, memory, tiles, chunk, group, resident, pixels_outer)
    if copies == 1:
        cycles += cycles // 2
    yield ConvPlan(
        tile_height=tile_height,
        tile_width=tile_width,
        pixels_outer=pixels_outer,
        input_blocks=chunk,
        group_blocks=group,
        weights_resident=resident,
        input_ring=input_ring,
        operand_ring=operand_ring,
        output_ring=output_ring,
        cycles=cycles,
    )


def _source(shape: ConvShape, tile: Box) -> Box:
    return source_box(
        tile,
        kernel=shape.kernel,
        strides=shape.strides,
        pads=shape.pads,
        dilations=shape.dilations,
        size=(shape.in_height, shape.in_width),
    )


def _cycles(
    shape: ConvShape,
    memory: ConvMemory,
    tiles: list[Box],
    chunk: int,
    group: int,
    resident: bool,
    pixels_outer: bool,
) -> int:
    config = shape.config
    floor = max(config.rows, ACCUMULATE_LATENCY)
    array = shape.weight_tiles * sum(max(tile.pixels, floor) for tile in tiles)
    weight_words = shape.weight_tiles * config.rows
    groups = shape.groups(group)
    group_fits = weight_words // len(groups) <= config.weight_words // 2
    once = resident or len(tiles) == 1 or (not pixels_outer and group_fits)
    load = _load_cycles(weight_words * (1 if once else len(tiles)), config.weight_pitch, config)
    first_input = 0
    if memory.streams_input:
        once = chunk == shape.in_blocks and (pixels_outer or len(tiles) == 1)
        blocks = shape.in_blocks
        if not once:
            blocks = sum(g.source_range[1] - g.source_range[0] for g in groups)
        words = blocks * sum(_source(shape, tile).pixels for tile in tiles)
        load += _load_cycles(words, config.activation_pitch, config)
        first_input = _source(shape, tiles[0]).pixels * -(-chunk // FIRST_PIECES)
    out_words = -(-shape.out_channels // config.rows) * shape.out_height * shape.out_width
    if memory.streams_operand:
        load += _load_cycles(out_words, config.activation_pitch, config)
    store = _load_cycles(out_words, config.activation_pitch, config) * memory.streams_output
    drain = -(-shape.out_channels // config.lanes) * shape.out_height * shape.out_width
    if memory.streams_operand:
        drain *= config.lanes // config.operand_lanes
    last = tiles[-1].pixels * config.col_groups
    parts = -(-shape.in_blocks // chunk)
    overhead = INSTRUCTION_OVERHEAD * len(tiles) * len(groups) * parts
    return max(array, load, store, drain) + first_input + last + overhead


def _load_cycles(words: int, pitch: int, config: Config) -> int:
    return words * max(1, pitch // config.axi_bytes)
