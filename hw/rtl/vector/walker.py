"""Address generator of an output buffer or a second operand: lane group, row, pixel."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import address_shape
from tilewright.hw.rtl.signals import index_bits
from tilewright.hw.rtl.vector.layouts import walk_layout
from tilewright.hw.spec.config import Config


class Walker(wiring.Component):
    """Walks `for group: for y: for x` over a feature map, one position a step.

    Members
    -------
    load : In(1); takes `walk`: from the next cycle on the outputs are those of its first position
    walk : In(walk_layout)
    step : In(1); the next cycle has the next position
    address : Out(20 bits), activation word, modulo 2^20
    group : Out, lane group in that word
    last : Out(1), this is the walk's last position
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "load": In(1),
                "walk": In(walk_layout(config)),
                "step": In(1),
                "address": Out(address_shape()),
                "group": Out(index_bits(config.row_groups)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        walk = Signal.like(self.walk, reset_less=True)
        row, block = (Signal(address_shape(), name=n, reset_less=True) for n in ("row", "block"))
        pixels_left = Signal.like(walk.out_width, reset_less=True)
        rows_left = Signal.like(walk.out_height, reset_less=True)
        groups_left = Signal.like(walk.groups, reset_less=True)
        row_ends, block_ends = pixels_left == 1, rows_left == 1
        word_ends = self.group == self._config.row_groups - 1
        next_row = Signal.like(row)
        next_block = Signal.like(block)
        m.d.comb += [
            self.last.eq(row_ends & block_ends & (groups_left == 1)),
            next_block.eq(block + Mux(word_ends, walk.stride, 0)),
            next_row.eq(Mux(block_ends, next_block, row + walk.pitch)),
        ]
        with m.If(self.load):
            m.d.sync += [
                walk.eq(self.walk),
                self.address.eq(self.walk.base),
                row.eq(self.walk.base),
                block.eq(self.walk.base),
                self.group.eq(self.walk.group),
                pixels_left.eq(self.walk.out_width),
                rows_left.eq(self.walk.out_height),
                groups_left.eq(self.walk.groups),
            ]
        with m.Elif(self.step):
            m.d.sync += [
                self.address.eq(Mux(row_ends, next_row, self.address + 1)),
                pixels_left.eq(Mux(row_ends, walk.out_width, pixels_left - 1)),
            ]
            with m.If(row_ends):
                m.d.sync += [
                    row.eq(next_row),
                    rows_left.eq(Mux(block_ends, walk.out_height, rows_left - 1)),
                ]
            with m.If(row_ends & block_ends):
                m.d.sync += [
                    block.eq(next_block),
                    self.group.eq(Mux(word_ends, 0, self.group + 1)),
                    groups_left.eq(groups_left - 1),
                ]
        return m
