"""The tiling of a convolution that runs by itself, by its cycles from first load to last store.

A step is a tile of a block group. The estimate is the largest of these bounds, on a bus that moves
a beat a cycle and engines that work in order:

1. The array: what is loaded before a step starts, and the array's work from that step on. Taken at
   the first part of the first step, at its last part, at the second step, at the last step of the
   first tile (with block groups outermost: of the first group), and at the last tile (the last
   step). Behind it the last step's results are drained and stored.
2. The first step, then all drains; or its drain, then all stores.
3. Buffers: a place of the input's ring is taken from the load to the last use, one of the output's
   from the drain to the end of the store, a region of the accumulators from the first product to
   the end of the drain.
"""

import dataclasses
from collections.abc import Iterator
from functools import lru_cache

from tilewright.compiler.plan.conv_plan import (
    FIRST_PIECES,
    ConvMemory,
    ConvPlan,
    does_not_fit,
    group_limit,
    input_chunks,
    store_unit,
    tile_sizes,
)
from tilewright.compiler.plan.conv_shape import BlockGroup, ConvShape
from tilewright.compiler.plan.conv_work import (
    TileSums,
    drain_cycles,
    input_blocks,
    tile_sums,
    weight_passes,
    weight_tile_beats,
)
from tilewright.compiler.plan.schedule_cache import memoised
from tilewright.compiler.plan.tiling import Work
from tilewright.hw.spec.cycles import matrix_tile_cycles, word_cycles
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.isa import INSTRUCTION_BYTES
from tilewright.support.records import record

MAX_COPIES = 4
"""Places of a ring, at most."""
PIPELINE_CYCLES = 40
"""From the last word that an engine reads to the issue of what waits for its result."""
STEP_CYCLES = 12
"""Charged for each step, so that instructions are not cut finer than it pays."""


@lru_cache(maxsize=64)
def plan_conv(shape: ConvShape, memory: ConvMemory) -> ConvPlan:
    """Return the cheapest tiling. Raises DoesNotFitError when even one pixel does not fit."""
    found = memoised(
        "conv", (repr(shape), repr(memory)), lambda: dataclasses.asdict(_search(shape, memory))
    )
    return ConvPlan(**found | {"work": Work(*found["work"])})


def _search(shape: ConvShape, memory: ConvMemory) -> ConvPlan:
    costs = _Costs(shape, memory)
    tilings = list(_tilings(shape, memory))
    if not tilings:
        raise does_not_fit(shape, memory)
    best = min(tilings, key=lambda t: (costs.cycles(t), -t.height * t.width))
    work = costs.work(best)
    return ConvPlan(
        tile_height=best.height,
        tile_width=best.width,
        pixels_outer=best.pixels_outer,
        input_blocks=best.chunk,
        group_blocks=best.group_blocks,
        copies=best.copies,
        input_places=best.input_places,
        input_ring=best.ring_words[0],
        operand_ring=best.ring_words[1],
        output_ring=best.ring_words[2],
        work=work,
        startup=costs.cycles(best) - max(work),
    )


@record(frozen=True, kw_only=True)
class Tiling:
    """One choice; the fields are those of ConvPlan."""

    tiles: TileSums
    height: int
    width: int
    pixels_outer: bool
    chunk: int
    group_blocks: int
    groups: tuple[BlockGroup, ...]
    input_places: int
    copies: int
    ring_words: tuple[int, int, int]
    """Of input, operand and output."""

    @property
    def steps(self) -> int:
        return self.tiles.count * len(self.groups)


def _tilings(shape: ConvShape, memory: ConvMemory) -> Iterator[Tiling]:
    """Yield the tilings that fit; of the input blocks to hold, the most that do."""
    unit = store_unit(shape.config) if memory.streams_results else 1
    cuts: dict[int, tuple[BlockGroup, ...]] = {}
    for height, width in tile_sizes(shape, memory.accumulators):
        tiles, pixels, fits = tile_sums(shape, height, width), height * width, False
        for chunk in input_chunks(shape, memory):
            if fits:
                break
            limit = group_limit(shape, memory.accumulators, pixels, unit, chunk)
            for size in _group_sizes(limit, unit):
                rings = _rings(shape, memory, tiles, pixels, chunk, max(unit, size))
                if rings is None:
                    continue
                fits = True
                if size not in cuts:
                    cuts[size] = tuple(shape.groups(size))
                for pixels_outer in (True, False) if tiles.count > 1 else (True,):
                    yield Tiling(
                        tiles=tiles,
                        height=height,
                        width=width,
                        pixels_outer=pixels_outer,
                        chunk=chunk,
                        group_blocks=size,
                        groups=cuts[size],
                        input_places=rings[0],
                        copies=rings[1],
                        ring_words=rings[2],
                    )


def _group_sizes(limit: int, unit: int) -> Iterator[int]:
    """Yield the limit, and what is less of 1, 2, 4, ... units."""
    yield limit
    size = unit
    while size < limit:
        yield size
        size *= 2


def _rings(
    shape: ConvShape, memory: ConvMemory, tiles: TileSums, pixels: int, chunk: int, blocks: int
) -> tuple[int, int, tuple[int, int, int]] | None:
    """Return (input places, copies, ring words) with the most copies that fit, None if none do.

    More than two copies only where each ring gets banks of its own.
    """
    config = shape.config
    words = min(-(-blocks * config.cols // config.rows), -(-shape.out_channels // config.rows))
    source = tiles.largest_source * chunk * memory.streams_input
    operand, output = (
        words * pixels * memory.streams_operand,
        words * pixels * memory.streams_output,
    )
    is_single = tiles.count == 1 and chunk == shape.in_blocks
    bank = config.activation_bank_words
    for copies in range(MAX_COPIES, 0, -1):
        places = 1 if is_single else copies
        rings = (source * places, operand * copies, output * copies)
        need = sum(rings)
        if copies > 2:
            need = sum(-(-ring // bank) * bank for ring in rings) + bank
        if need <= memory.workspace:
            return places, copies, rings
    return None


class _Costs:
    """The bounds of one layer's tilings."""

    def __init__(self, shape: ConvShape, memory: ConvMemory) -> None:
        config = shape.config
        self.shape, self.memory, self.config = shape, memory, config
        self.weight_beats = weight_tile_beats(config)
        self.beats = word_cycles(config.activation_pitch, config)
        self.fetch_beats = word_cycles(INSTRUCTION_BYTES, config)
        self.pixel_cycles = memory.pixel_cycles(config)
        self.weights = shape.weight_tiles * self.weight_beats
        self.drain = drain_cycles(shape, self.pixel_cycles)
        self.out_beats = shape.result_words * self.beats

    def work(self, t: Tiling) -> Work:
        """Return the cycles of each engine."""
        return Work(
            matrix=self.shape.weight_tiles * t.tiles.array_cycles,
            load=self._instructions(t) * self.fetch_beats
            + self._weight_loads(t)
            + self._input_loads(t)
            + self.out_beats * self.memory.streams_operand,
            vector=self.drain,
            store=self.out_beats * self.memory.streams_output,
        )

    def cycles(self, t: Tiling) -> int:
        """Return the estimate."""
        work, first, last = self.work(t), t.groups[0], t.groups[-1]
        pixels = min(t.height, self.shape.out_height) * min(t.width, self.shape.out_width)
        step = self._array(first, pixels)
        drained, stored = self._results(last, t.tiles.last_pixels)
        parts, blocks = self._parts(first)
        begin = self._weights(first) // parts + self._source(t, blocks)
        array = max(
            begin + work.matrix,
            self._weights(first)
            + self._source(t, first.reach)
            + work.matrix
            - step * (parts - 1) // parts,
            self._second(t) + work.matrix - step,
            self._middle(t, work, pixels),
            work.load + self._last(t),
        )
        return STEP_CYCLES * t.steps + max(
            array + drained + stored,
            begin + step + work.vector + stored,
            begin + step + self._results(first, pixels)[0] + work.store,
            self._buffers(t, work),
        )

    def _second(self, t: Tiling) -> int:
        """What is loaded before the second step starts."""
        first = t.groups[0]
        loaded = self._weights(first) + self._source(t, first.reach)
        if t.pixels_outer and len(t.groups) > 1:
            return loaded + self._weights(t.groups[1])
        return loaded + (self._source(t, first.reach) if t.tiles.count > 1 else 0)

    def _middle(self, t: Tiling, work: Work, pixels: int) -> int:
        """Bound 1 at the last step of the first tile, or of the first group."""
        first, last, tiles = t.groups[0], t.groups[-1], t.tiles
        if t.pixels_outer:
            loaded = self.weights * self.memory.streams_input
            loaded += self._source(t, self._tile_blocks(t))
            behind = self.shape.weight_tiles * matrix_tile_cycles(pixels, self.config)
            return loaded + work.matrix - behind + self._array(last, pixels)
        loaded = self._weights(first)
        loaded += tiles.source * first.reach * self.beats * self.memory.streams_input
        behind = first.blocks * first.sources * self.shape.taps * tiles.array_cycles
        return loaded + work.matrix - behind + self._array(first, tiles.last_pixels)

    def _instructions(self, t: Tiling) -> int:
        """Instructions; they are fetched over the bus of the loads."""
        memory = self.memory
        weight_loads = len(t.groups) if self._weight_loads(t) == self.weights else t.steps
        input_loads = t.tiles.count if t.pixels_outer else t.steps
        return (
            t.steps * (2 + memory.streams_operand + memory.streams_output)
            + weight_loads
            + input_loads * memory.streams_input
        )

    def _last(self, t: Tiling) -> int:
        """The array's work when the last load has arrived."""
        if t.pixels_outer and t.tiles.count > 1 and self._weight_loads(t) == self.weights:
            return self.shape.weight_tiles * matrix_tile_cycles(t.tiles.last_pixels, self.config)
        return self._array(t.groups[-1], t.tiles.last_pixels) * self.memory.streams_input

    def _buffers(self, t: Tiling, work: Work) -> int:
        """Bound 3."""
        config, memory = self.config, self.memory
        trip = MEMORY_LATENCY + PIPELINE_CYCLES
        uses = t.tiles.count if t.pixels_outer else t.steps
        region = -(-t.group_blocks * t.height * t.width // config.accumulator_bank_words)
        regions = max(2 * memory.accumulators // config.accumulator_bank_words // region, 1)
        bounds = [(work.matrix + work.vector + 2 * PIPELINE_CYCLES * t.steps) // regions]
        if memory.streams_input and (t.tiles.count > 1 or t.chunk < self.shape.in_blocks):
            bounds.append((self._input_loads(t) + work.matrix + uses * trip) // t.input_places)
        if memory.streams_operand:
            bounds.append((self.out_beats + work.vector + t.steps * trip) // t.copies)
        if memory.streams_output:
            bounds.append((work.vector + work.store + t.steps * trip) // t.copies)
        return max(bounds)

    def _array(self, group: BlockGroup, pixels: int) -> int:
        tiles = group.blocks * group.sources * self.shape.taps
        return tiles * matrix_tile_cycles(pixels, self.config)

    def _weights(self, group: BlockGroup) -> int:
        """Beats of a group's weights; 0 within a network, where they are loaded ahead."""
        tiles = group.blocks * group.sources * self.shape.taps
        return tiles * self.weight_beats * self.memory.streams_input

    def _source(self, t: Tiling, blocks: int) -> int:
        """Beats of some blocks of the first tile's input."""
        return t.tiles.first_source * blocks * self.beats * self.memory.streams_input

    def _results(self, group: BlockGroup, pixels: int) -> tuple[int, int]:
        """Cycles of a step's drain and store."""
        drained = pixels * group.blocks * self.config.col_groups * self.pixel_cycles
        words = -(-group.blocks * self.config.cols // self.config.rows) * pixels
        return drained, words * self.beats * self.memory.streams_output

    def _parts(self, first: BlockGroup) -> tuple[int, int]:
        """Parts of the first step, and the input blocks that the first of them needs."""
        if first.blocks > 1:
            return 1, first.reach
        blocks = -(-first.sources // FIRST_PIECES)
        return -(-first.sources // blocks), blocks

    def _weight_loads(self, t: Tiling) -> int:
        """Beats of all weight loads."""
        return self.weights * weight_passes(self.shape, t.tiles, len(t.groups), t.pixels_outer)

    def _input_loads(self, t: Tiling) -> int:
        """Beats of all loads of the input."""
        return self._tile_blocks(t) * t.tiles.source * self.beats * self.memory.streams_input

    def _tile_blocks(self, t: Tiling) -> int:
        return input_blocks(self.shape, t.tiles, t.groups, t.chunk, t.pixels_outer)
