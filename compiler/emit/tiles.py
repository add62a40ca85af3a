"""Feature maps as lowering sees them: views of pixels in activation SRAM, loaded or stored by tile.

A resident map is one view. A map in DRAM gets ring slots: `MapReader` loads what a tile needs,
`MapWriter` stores what a tile produced.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeVar

from tilewright.compiler.emit.context import Context, View
from tilewright.compiler.limits import MAX_COUNT, MAX_RUN
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.rings import Ring
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Combine
from tilewright.hw.spec.operations.transfer import Load, Store
from tilewright.hw.spec.operations.vector import Vector
from tilewright.hw.spec.operations.window import Window
from tilewright.hw.spec.tensor import Layout
from tilewright.support.records import replace

Windowed = TypeVar("Windowed", bound=Window)
Moving = TypeVar("Moving", Load, Store)
Pair = tuple[int, int]


@lru_cache(maxsize=1 << 10)
def _dense(rows: int, height: int, width: int) -> Layout:
    """Return the layout of a box whose words lie densely from word 0 on."""
    return Layout.dense(0, (rows, height, width), word_axis=0, block=rows, pitch=1)


def tile_view(rows: int, start: int, box: Box, first_block: int) -> View:
    """Return the view of a box whose words lie densely from the word `start` on."""
    layout = _dense(rows, box.height, box.width)
    view = View(base=0, strides=layout.strides, box=box)
    view.base = start - view.first_word(first_block)
    return view


def transfers(
    kind: type[Moving], context: Context, name: str, view: View, blocks: tuple[int, int]
) -> Iterator[Moving]:
    """Yield each LOAD or STORE that copies blocks of a view's box from or to DRAM."""
    for first in range(blocks[0], blocks[1], MAX_COUNT):
        yield _transfer(kind, context, name, view, first, min(MAX_COUNT, blocks[1] - first))


def _transfer(
    kind: type[Moving], context: Context, name: str, view: View, first_block: int, blocks: int
) -> Moving:
    dram = context.in_dram(name)
    moving = _moving(kind, *_runs(context, name, view, dram, blocks))
    based: Moving = moving.based(
        dram_address=dram.word(first_block, view.box.top, view.box.left),
        sram_address=view.first_word(first_block),
    )
    return based


def _moving_runs(
    kind: type[Moving], run: int, counts: Pair, dram_strides: Pair, sram_strides: Pair
) -> Moving:
    """Return a LOAD or STORE of runs in two dimensions, without its bases."""
    return kind(
        run=run,
        count0=counts[0],
        count1=counts[1],
        count2=1,
        dram_stride0=dram_strides[0],
        dram_stride1=dram_strides[1],
        sram_stride0=sram_strides[0],
        sram_stride1=sram_strides[1],
    )


_moving: Any = lru_cache(maxsize=1 << 10)(_moving_runs)


def _runs(
    context: Context, name: str, view: View, dram: Layout, blocks: int
) -> tuple[int, Pair, Pair, Pair]:
    """Return the run, the counts and the strides of a transfer of blocks of a view's box."""
    box, pixels, pitch = view.box, context.map(name).pixels, context.config.activation_pitch
    if box.width * pitch == dram.strides[1] and box.pixels <= MAX_RUN:
        is_dense = dram.strides[0] == pixels * pitch
        whole = is_dense and box.pixels == pixels == view.block_stride
        whole = whole and blocks * pixels <= MAX_RUN
        if whole:
            return blocks * pixels, (1, 1), (0, 0), (0, 0)
        return box.pixels, (blocks, 1), (dram.strides[0], 0), (view.block_stride, 0)
    counts, dram_strides = (box.height, blocks), (dram.strides[1], dram.strides[0])
    return box.width, counts, dram_strides, (view.pitch, view.block_stride)


@dataclass(kw_only=True)
class _Slot:
    """A place of a ring: what it has room for, and the blocks that are there."""

    view: View
    held: tuple[int, int]
    loaded: set[int] = field(default_factory=set)


@dataclass(kw_only=True)
class MapReader:
    """Gives views of a map's boxes; loads from DRAM into `ring` what is not there yet."""

    context: Context
    name: str
    ring: Ring | None
    """None for a resident map, and for one of which only padding is read."""
    places: int = 1
    """Boxes that the ring has room for."""
    _slots: list[_Slot] = field(default_factory=list)
    _taken: int = 0

    def view(self, box: Box, held: tuple[int, int], wanted: tuple[int, int]) -> View:
        """Return a view of `box` with the blocks `wanted` = [first, behind last) in place.

        `held` is the range of blocks that the ring slot has room for; a slot is reused while box
        and range are among the last `places`.
        """
        if self.context.is_resident(self.name):
            return self.context.in_sram(self.name)
        slot = self._slot(box, held)
        missing = [b for b in range(*wanted) if b not in slot.loaded]
        if missing and box.pixels:
            first, last = missing[0], missing[-1]
            assert last - first + 1 == len(missing)
            blocks = (first, last + 1)
            for load in transfers(Load, self.context, self.name, slot.view, blocks):
                self.context.tasks.emit(load)
        slot.loaded.update(missing)
        return slot.view

    def _slot(self, box: Box, held: tuple[int, int]) -> _Slot:
        for slot in self._slots:
            if slot.view.box == box and slot.held == held:
                return slot
        start, words = (self.ring.start, self.ring.words) if self.ring else (0, 0)
        place_words = words // self.places
        assert (held[1] - held[0]) * box.pixels <= place_words
        start += self._taken % self.places * place_words
        view = tile_view(self.context.config.rows, start, box, held[0])
        self._taken += 1
        self._slots = [*self._slots, _Slot(view=view, held=held)][-self.places :]
        return self._slots[-1]


@dataclass(kw_only=True)
class MapWriter:
    """Gives views to write a map's boxes; stores to DRAM what was written."""

    context: Context
    name: str
    ring: Ring | None

    def view(self, box: Box, blocks: tuple[int, int]) -> View:
        """Return a view in which `box` of the blocks [first, behind last) can be written."""
        if self.ring is None:
            return self.context.in_sram(self.name)
        start = self.ring.take((blocks[1] - blocks[0]) * box.pixels)
        return tile_view(self.context.config.rows, start, box, blocks[0])

    def finish(self, view: View, box: Box, blocks: tuple[int, int]) -> None:
        """`box` of the blocks is written; store it, if the map lives in DRAM."""
        self.context.produced.append((self.name, box, blocks))
        if self.ring is not None:
            for store in transfers(Store, self.context, self.name, view, blocks):
                self.context.tasks.emit(store)


def window_origin(
    out: Box,
    view: View,
    *,
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    kernel_start: tuple[int, int] = (0, 0),
) -> tuple[int, int]:
    """Return row and column in the source view at which the first window of an output box starts.

    Of the window only what starts at `kernel_start` counts.
    """
    row = out.top * strides[0] - pads[0] + kernel_start[0] * dilations[0] - view.box.top
    column = out.left * strides[1] - pads[1] + kernel_start[1] * dilations[1] - view.box.left
    return row, column


def with_window(
    instruction: Windowed,
    out: Box,
    view: View,
    *,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    padding: int,
    kernel_start: tuple[int, int] = (0, 0),
) -> Windowed:
    """Return a MATRIX or VECTOR with the window of an output box in the source view.

    `kernel` is the size of the part of the window that starts at `kernel_start`.
    """
    origin_y, origin_x = window_origin(
        out, view, strides=strides, pads=pads, dilations=dilations, kernel_start=kernel_start
    )
    return replace(
        instruction,
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        out_height=out.height,
        out_width=out.width,
        stride_y=strides[0],
        stride_x=strides[1],
        dilation_y=dilations[0],
        dilation_x=dilations[1],
        origin_y=origin_y,
        origin_x=origin_x,
        height=view.box.height,
        width=view.box.width,
        padding=padding,
    )


def with_operand(
    vector: Vector,
    kind: Literal["add", "multiply"],
    view: View,
    box: Box,
    first_group: int,
    config: Config,
    *,
    unrounded: bool = False,
) -> Vector:
    """Return a VECTOR with its second operand, which begins at lane group `first_group`.

    unrounded: it is combined with stage 1's product.
    """
    block, group = divmod(first_group, config.row_groups)
    return replace(
        vector,
        combine=Combine.ADD if kind == "add" else Combine.MULTIPLY,
        operand=view.word(block, box.top, box.left),
        operand_stride=view.block_stride,
        operand_pitch=view.pitch,
        operand_group=group,
        unrounded=int(unrounded),
    )


def drain(box: Box, out: View, first_group: int, config: Config) -> Vector:
    """Return a VECTOR from a dense source, still without words and rows, to a box of the result.

    first_group: lane group of the result at which it starts. While the source's height is 0, all of
    it is padding.
    """
    block, group = divmod(first_group, config.row_groups)
    return Vector(
        kernel_height=1,
        kernel_width=1,
        out_height=box.height,
        out_width=box.width,
        stride_y=1,
        stride_x=1,
        width=box.width,
        source_pitch=box.width,
        destination=out.word(block, box.top, box.left),
        destination_stride=out.block_stride,
        destination_pitch=out.pitch,
        destination_group=group,
    )
