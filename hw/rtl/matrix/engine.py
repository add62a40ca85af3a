"""The matrix engine: sequencers, the array and the accumulation of its sums."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from tilewright.hw.rtl.interfaces import (
    Activity,
    engine_signature,
    read_port_signature,
    write_port_signature,
)
from tilewright.hw.rtl.matrix.array import Array
from tilewright.hw.rtl.matrix.pixel_sequencer import PixelSequencer
from tilewright.hw.rtl.matrix.tile import sum_bits
from tilewright.hw.rtl.matrix.tile_sequencer import MATRIX, TileSequencer
from tilewright.hw.rtl.memory import accumulator_banks_of
from tilewright.hw.rtl.signals import count_in_flight, delayed, index_bits, register
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import accumulate_latency, matrix_pipeline

WORD_BITS = 32
"""Bits of an accumulator."""
MOST_IN_FLIGHT = 255
"""More than there are stages from the loops to the write, each with an instruction of its own."""


class MatrixEngine(wiring.Component):
    """Runs MATRIX instructions (docs/architecture.md) in `Matrix.cycles` each (hw/spec/operations).

    It never stalls: every request must be granted in its cycle (asserted in simulation). Sums
    are read, added and written in consecutive cycles (accumulate_latency); with path_registers
    their data comes a cycle later, so that they are read a cycle before. A pixel outside
    the activation SRAM is padding, a sum outside the accumulators is dropped, weights that start
    outside the weight SRAM are not loaded; each raises the fault when its pixel issues.

    Members: those of engine_signature, and
    -------
    activation_read, weight_read, accumulator_read : Out(read_port_signature)
    accumulator_write : Out(write_port_signature) with one mask bit

    coming_writes : Out(a bit a bank of the accumulators), it is written in the next cycle; exists
        with path_registers

    With `instances` the array's tiles are instances of the module `tile_verilog(config)`.
    """

    def __init__(self, config: Config, *, instances: bool = False) -> None:
        self.config = config
        self.instances = instances
        self._tiles = TileSequencer(config)
        self._pixels = PixelSequencer(config)
        self._array = Array(config, instances=instances)
        accumulator = {
            "address_bits": index_bits(config.accumulator_words),
            "width": 8 * config.accumulator_word_bytes,
        }
        ports = {
            "activation_read": read_port_signature(
                address_bits=index_bits(config.activation_words),
                width=8 * config.activation_word_bytes,
            ),
            "weight_read": self._tiles.weight_read.signature,
            "accumulator_read": read_port_signature(**accumulator),
            "accumulator_write": write_port_signature(
                **accumulator, granularity=accumulator["width"]
            ),
        }
        coming = {"coming_writes": Out(config.accumulator_banks)} if config.path_registers else {}
        super().__init__(
            {
                **engine_signature([MATRIX], config).members,
                **coming,
                **{name: Out(signature) for name, signature in ports.items()},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tiles = self._tiles
        m.submodules.pixels = self._pixels
        m.submodules.array = self._array
        connect(m, flipped(self.instruction), self._tiles.instruction)
        connect(m, flipped(self.weight_read), self._tiles.weight_read)
        connect(m, self._tiles.tile, self._pixels.tile)
        m.d.comb += [
            self._array.weights.eq(self.weight_read.data[: 8 * self.config.cols]),
            self._array.load.eq(self._tiles.load),
            self._array.load_row.eq(self._tiles.load_row),
            self.fault.eq(self._pixels.pixel.fault),
            self.fault_index.eq(self._pixels.pixel.index),
        ]
        self._feed_array(m)
        self._accumulate(m)
        self._watch_activity(m)
        if not self.instances:
            self._assert_grants(m)
        return m

    def _feed_array(self, m):
        """Cycle t: the pixel's read. In the next, or with path_registers the one behind that, its
        data and the swap, in another the array's input."""
        pixel, read = self._pixels.pixel, self.activation_read
        m.d.comb += [read.request.eq(pixel.read), read.address.eq(pixel.source)]
        if self.config.path_registers:
            pixel = delayed(m, pixel, "read_pixel")
        fed_valid = Signal()
        is_padding = register(1, "is_padding")
        padding = register(8, "padding")
        m.d.sync += [
            fed_valid.eq(pixel.valid),
            self._array.swap.eq(pixel.valid & pixel.first),
            self._array.valid.eq(fed_valid),
        ]
        with m.If(pixel.valid):
            m.d.sync += [is_padding.eq(~pixel.read), padding.eq(pixel.padding)]
        with m.If(fed_valid):
            word = Mux(is_padding, padding.replicate(self.config.rows), read.data)
            m.d.sync += self._array.activations.eq(word)

    def _accumulate(self, m):
        """The sums meet the word that was read; the total is written in the next cycle."""
        config = self.config
        stages = self._delay_destinations(m)
        reading, adding, writing = stages[-accumulate_latency(config)], *stages[-2:]
        read, write = self.accumulator_read, self.accumulator_write
        m.d.comb += [
            read.request.eq(reading.write & ~reading.overwrite),
            read.address.eq(reading.destination),
            write.request.eq(writing.write),
            write.address.eq(writing.destination),
            write.mask.eq(1),
            self.retire.eq(writing.retire),
        ]
        if config.path_registers:
            banks = accumulator_banks_of(adding.destination, config)
            m.d.comb += self.coming_writes.eq(Mux(adding.write, banks, 0))
        totals = [register(WORD_BITS, f"total_{col}") for col in range(config.cols)]
        for col, total in enumerate(totals):
            added = self._array.sums.word_select(col, sum_bits(config)).as_signed()
            old = Mux(adding.overwrite, 0, read.data.word_select(col, WORD_BITS))
            m.d.sync += total.eq(old + added)
        m.d.comb += write.data.eq(Cat(totals))

    def _delay_destinations(self, m):
        """The pixels' accumulator words from their turn on; the last two are summed, written."""
        pixel = self._pixels.pixel
        layout = data.StructLayout(
            {
                "write": 1,
                "overwrite": 1,
                "retire": 1,
                "destination": unsigned(index_bits(self.config.accumulator_words)),
            }
        )
        stages = [pixel]
        for index in range(matrix_pipeline(self.config) - 1):
            before, after = stages[-1], Signal(layout, name=f"destination_{index}")
            m.d.sync += [after.write.eq(before.write), after.retire.eq(before.retire)]
            with m.If(before.write):
                m.d.sync += [
                    after.overwrite.eq(before.overwrite),
                    after.destination.eq(before.destination),
                ]
            stages.append(after)
        return stages

    def _watch_activity(self, m):
        accepted = self.instruction.valid & self.instruction.ready
        in_flight = count_in_flight(m, MOST_IN_FLIGHT, accepted=accepted, retired=self.retire)
        with m.If(in_flight != 0):
            m.d.comb += self.activity.eq(Activity.BUSY)

    def _assert_grants(self, m):
        for port in (
            self.activation_read,
            self.weight_read,
            self.accumulator_read,
            self.accumulator_write,
        ):
            with m.If(port.request):
                m.d.sync += Assert(port.grant)
