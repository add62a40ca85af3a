"""The pixel loops of one weight tile: an activation address, an accumulator address a cycle."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import INDEX_BITS, address_shape, bits
from tilewright.hw.rtl.signals import count_down, delayed, index_bits
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import accumulate_latency

COORDINATE_BITS = 24
"""Coordinates are signed and cannot overflow."""
COUNT_BITS = 14
STEP_BITS = 8


def tile_layout() -> data.StructLayout:
    """One weight tile's pixel stream, as the PixelSequencer receives it."""
    return data.StructLayout(
        {
            "source": address_shape(),
            "y": signed(COORDINATE_BITS),
            "x": signed(COORDINATE_BITS),
            "destination": address_shape(),
            "row_step": address_shape(),
            "stride_y": unsigned(STEP_BITS),
            "stride_x": unsigned(STEP_BITS),
            "out_height": unsigned(COUNT_BITS),
            "out_width": unsigned(COUNT_BITS),
            "height": unsigned(COUNT_BITS),
            "width": unsigned(COUNT_BITS),
            "padding": signed(8),
            "overwrite": 1,  # the accumulators' old contents do not count
            "new_block": 1,  # destination need not be that of the tile before
            "empty": 1,  # no pixels: the instruction has a zero count
            "last": 1,  # of the instruction
            "weights_out_of_range": 1,
            "index": unsigned(INDEX_BITS),
        }
    )


def pixel_layout(config: Config) -> data.StructLayout:
    """What the PixelSequencer does in a cycle."""
    return data.StructLayout(
        {
            "valid": 1,  # a pixel enters the array
            "first": 1,  # of its weight tile: swap the weights before it
            "read": 1,  # its activations come from SRAM, otherwise they are padding
            "source": unsigned(index_bits(config.activation_words)),
            "padding": signed(8),
            "write": 1,  # its sums go to the accumulators
            "overwrite": 1,
            "destination": unsigned(index_bits(config.accumulator_words)),
            "retire": 1,  # nothing of its instruction follows
            "fault": 1,
            "index": unsigned(INDEX_BITS),
        }
    )


class PixelSequencer(wiring.Component):
    """Walks the pixels of weight tiles, one a cycle, without a break between tiles.

    A tile that is taken in cycle t has its first pixel at `pixel` in cycle t+2. The next tile is
    taken in the cycle before the last pixel's. A block that accumulates and starts at one of the
    last words of the tile before, two or with path_registers three, is not taken until those sums
    can be read.

    Members
    -------
    tile : In(stream of tile_layout)
    pixel : Out(pixel_layout), registered; valid, read, write, retire, fault are 0 in idle cycles
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {"tile": In(stream.Signature(tile_layout())), "pixel": Out(pixel_layout(config))}
        )
        self._tile = Signal(tile_layout(), reset_less=True)
        """The tile; source, y, x and destination are those of the current pixel."""
        self._row_source = Signal(address_shape(), reset_less=True)
        self._row_x = Signal(signed(COORDINATE_BITS), reset_less=True)
        self._first = Signal(reset_less=True)
        self._active = Signal()
        self._has_pixel = Signal()

    def elaborate(self, platform):
        m = Module()
        tile, new, free = self._tile, self.tile.payload, self.tile.ready
        ends = Signal()
        _, row_ends = count_down(
            m, new.out_width, name="columns", start=free, step=self._active, again=tile.out_width
        )
        _, is_last_row = count_down(
            m, new.out_height, name="rows", start=free, step=self._active & row_ends
        )
        m.d.comb += [
            self._has_pixel.eq(self._active & ~tile.empty),
            ends.eq(tile.empty | (row_ends & is_last_row)),
            self.tile.ready.eq((~self._active | ends) & ~self._reads_pending_sum(m)),
        ]
        # What is offered is taken, valid or not, so that few registers need to know.
        with m.If(free):
            m.d.sync += [
                tile.eq(new),
                self._row_source.eq(new.source),
                self._row_x.eq(new.x),
                self._first.eq(1),
                self._active.eq(self.tile.valid),
            ]
        with m.Elif(ends):
            m.d.sync += self._active.eq(0)
        with m.Elif(self._active):
            m.d.sync += self._first.eq(0)
            self._step_addresses(m, row_ends)
        self._present(m, ends)
        return m

    def _step_addresses(self, m, row_ends):
        tile = self._tile
        next_row = Signal(address_shape())
        m.d.comb += next_row.eq(self._row_source + tile.row_step)
        m.d.sync += tile.destination.eq(tile.destination + 1)
        with m.If(row_ends):
            m.d.sync += [
                self._row_source.eq(next_row),
                tile.source.eq(next_row),
                tile.y.eq(tile.y + tile.stride_y),
                tile.x.eq(self._row_x),
            ]
        with m.Else():
            m.d.sync += [
                tile.source.eq(tile.source + tile.stride_x),
                tile.x.eq(tile.x + tile.stride_x),
            ]

    def _reads_pending_sum(self, m):
        """The next tile's first pixels read a sum that the last pixels are yet to write.

        Tiles of one block are far enough apart; see accumulate_latency. The words are compared in
        the cycle before: no tile is there within two cycles of the one before, so that in the cycle
        of a pixel the word has gone on by one, and in the one behind the last it stays.
        """
        new, word = self.tile.payload, self._tile.destination
        had_pixel = Signal()
        is_word, is_next_word = bits("is_word", "is_next_word")
        accumulates = new.new_block & ~new.overwrite & ~new.empty
        starts_now = accumulates & (new.destination == word)
        starts_next = accumulates & (new.destination == (word + 1)[: len(word)])
        m.d.sync += [had_pixel.eq(self._has_pixel), is_word.eq(starts_now)]
        if not self.config.path_registers:
            assert accumulate_latency(self.config) == 3
            m.d.sync += is_next_word.eq(starts_next)
            return Mux(self._has_pixel, is_word | is_next_word, had_pixel & is_word)
        assert accumulate_latency(self.config) == 4
        # Two cycles before the word was one less, or, behind the last pixel, the same.
        at_pixel = delayed(m, starts_next | starts_now | is_word, "is_pending_at_pixel")
        behind = Mux(self._has_pixel, starts_now | is_word, had_pixel & is_word)
        return Mux(self._has_pixel, at_pixel, delayed(m, behind, "is_pending_behind"))

    def _present(self, m, ends):
        """Check the current pixel and register it."""
        config, tile, pixel = self.config, self._tile, self.pixel
        inside = Signal()
        source_in_range = Signal()
        destination_in_range = Signal()
        step = self._has_pixel
        m.d.comb += [
            # A negative coordinate is a large unsigned one.
            inside.eq((tile.y.as_unsigned() < tile.height) & (tile.x.as_unsigned() < tile.width)),
            source_in_range.eq(tile.source < config.activation_words),
            destination_in_range.eq(tile.destination < config.accumulator_words),
        ]
        weights_fault = self._first & tile.weights_out_of_range
        fault = (inside & ~source_in_range) | ~destination_in_range | weights_fault
        m.d.sync += [
            pixel.valid.eq(step),
            pixel.read.eq(step & inside & source_in_range),
            pixel.write.eq(step & destination_in_range),
            pixel.retire.eq(self._active & ends & tile.last),
            pixel.fault.eq(step & fault),
            pixel.first.eq(self._first),
            pixel.source.eq(tile.source),
            pixel.padding.eq(tile.padding),
            pixel.overwrite.eq(tile.overwrite),
            pixel.destination.eq(tile.destination),
            pixel.index.eq(tile.index),
        ]
