"""The weight-tile loops of a MATRIX instruction, one tile ahead of the pixels.

All addresses are incremental; the three row products (origin, stride, dilation times pitch) form
by radix-4 Booth steps while an instruction's first weight tile loads.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import address_shape, engine_layout, read_port_signature
from tilewright.hw.rtl.matrix.pixel_sequencer import COORDINATE_BITS, tile_layout
from tilewright.hw.rtl.signals import count_down, delayed, index_bits
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import (
    MATRIX_SETUP_CYCLES,
    acceptance_gap,
    matrix_first_tile_cycles,
    matrix_tile_cycles,
)
from tilewright.hw.spec.instruction_set import BY_NAME

MATRIX = BY_NAME["MATRIX"]
PRODUCT_STEPS = MATRIX_SETUP_CYCLES - 1
"""Two bits of a factor a step: enough for the 14 bits of origin_y."""
LOOPS = ("kernel_width", "kernel_height", "in_blocks", "out_blocks")
"""The tile loops, inner to outer."""


class TileSequencer(wiring.Component):
    """Steps the tile loops of MATRIX instructions and loads each tile's weights.

    An instruction is accepted while idle or, without path_registers, in the cycle in which the last
    tile of the one before is taken. Its first tile is valid max(rows, L, MATRIX_SETUP_CYCLES)
    cycles later, each further one max(rows, L) cycles after the tile before was taken, where L is
    accumulate_latency.

    Members
    -------
    instruction : In(stream of engine_layout)
    tile : Out(stream of tile_layout)
    weight_read : Out(read_port_signature); a row a cycle, two cycles after the acceptance or the
        transfer of the tile before; needs no grant
    load, load_row : Out, in the cycle of the row's data
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        instruction = engine_layout([MATRIX], config)
        super().__init__(
            {
                "instruction": In(stream.Signature(instruction)),
                "tile": Out(stream.Signature(tile_layout())),
                "weight_read": Out(
                    read_port_signature(
                        address_bits=index_bits(config.weight_words),
                        width=8 * config.weight_word_bytes,
                    )
                ),
                "load": Out(1),
                "load_row": Out(index_bits(config.rows)),
            }
        )
        self._tile_cycles = matrix_tile_cycles(0, config)
        self._first_cycles = matrix_first_tile_cycles(config)
        self._current = Signal(instruction, reset_less=True)
        self._fields = self._current.fields.MATRIX
        self._busy = Signal()
        self._is_last = Signal()
        self._opens = Signal()
        """The next instruction's tiles follow, if this one's are taken or there are none."""
        self._moves = Signal()
        """The tile is taken, or there is none."""
        self._steps = Signal()
        """The loops step, and bases, coordinates and destination; with path_registers a cycle after
        the tile is taken."""
        self._cycle = Signal(range(self._first_cycles + 1), reset_less=True)
        """Cycles since the tile before was taken, less one."""
        self._is_first_tile = Signal(reset_less=True)
        self._empty = Signal(reset_less=True)
        self._weights_in_range = Signal(reset_less=True)
        self._product_step = Signal()
        self._last_of_loop = Signal(len(LOOPS))
        self._turns = [Signal(name=f"{name}_turns") for name in LOOPS]
        """The loop steps if the tile is taken; the loops inside it start anew."""
        self._any_turns = [Signal(name=f"{name}_or_outer_turns") for name in LOOPS]
        """The loop or one outside of it steps if the tile is taken."""

    def elaborate(self, platform):
        m = Module()
        is_last = self._is_last
        ready_cycle = Mux(self._is_first_tile, self._first_cycles - 1, self._tile_cycles - 1)
        has_gap = acceptance_gap(self.config)
        m.d.comb += [
            is_last.eq(self._empty | self._last_of_loop.all()),
            self._opens.eq(~self._busy if has_gap else ~self._busy | is_last),
            self._moves.eq(~self._busy | (self.tile.valid & self.tile.ready)),
            self.instruction.ready.eq(self._opens & self._moves),
            self._product_step.eq(self._busy & self._is_first_tile & (self._cycle < PRODUCT_STEPS)),
        ]
        new = self.instruction.payload.fields.MATRIX
        # Whether the loops move comes late: by then it is known what they move to. What is offered
        # is taken, valid or not.
        with m.If(self._moves):
            m.d.sync += [self._cycle.eq(0), self.tile.valid.eq(0), self._is_first_tile.eq(0)]
        with m.Elif(self._cycle != self._first_cycles):
            m.d.sync += self._cycle.eq(self._cycle + 1)
            m.d.sync += self.tile.valid.eq(self._busy & (self._cycle + 1 >= ready_cycle))
        if has_gap:
            with m.If(self._moves & is_last):
                m.d.sync += self._busy.eq(0)
        with m.If(self.instruction.ready):
            counts = (*LOOPS, "out_height", "out_width")
            m.d.sync += [
                self._current.eq(self.instruction.payload),
                self._busy.eq(self.instruction.valid),
                self._is_first_tile.eq(1),
                self._empty.eq(Cat(new[name] == 0 for name in counts).any()),
                self._weights_in_range.eq(new.weights < self.config.weight_words),
            ]
        self._step_loops(m, new)
        self._load_weights(m, new)
        self._step_source(m, new)
        self._step_coordinates(m, new)
        self._step_destination(m, new)
        self._present(m, is_last)
        return m

    def _step_loops(self, m, new):
        turns = []
        inner_ends = Const(1)
        for index, name in enumerate(LOOPS):
            ends = self._last_of_loop[index]
            with m.If(self._steps):
                _, is_last = count_down(
                    m, new[name], name=name, start=self._opens, step=inner_ends,
                    again=self._fields[name],
                )  # fmt: skip
            m.d.comb += ends.eq(is_last)
            turns.append(inner_ends & ~ends & ~self._empty)
            inner_ends = inner_ends & ends
        # Registers may be a cycle late: no tile is there within two cycles of the one before.
        domain = m.d.sync if self.config.path_registers else m.d.comb
        for index in range(len(LOOPS)):
            domain += [
                self._turns[index].eq(turns[index]),
                self._any_turns[index].eq(Cat(turns[index:]).any()),
            ]
        steps = self._moves
        if self.config.path_registers:
            steps = self._opens | delayed(m, self.tile.valid & self.tile.ready, "was_taken")
        m.d.comb += self._steps.eq(steps)

    def _load_weights(self, m, new):
        """One row a cycle from the tile's first cycle on; the ring goes on where it is."""
        config = self.config
        address = Signal(config.weight_words.bit_length(), reset_less=True)
        row = Signal(index_bits(config.rows), reset_less=True)
        is_row = Signal()
        m.d.comb += is_row.eq(
            self._busy & ~self._empty & self._weights_in_range & (self._cycle < config.rows)
        )
        with m.If(self.instruction.ready):
            m.d.sync += address.eq(new.weights)
        with m.Elif(is_row):
            m.d.sync += address.eq(Mux(address == config.weight_words - 1, 0, address + 1))
        has_read, read_row = self.weight_read.request, row
        if config.path_registers:  # the data comes later
            has_read = delayed(m, has_read, "has_read")
            read_row = delayed(m, read_row, "read_row")
        m.d.sync += [self.weight_read.request.eq(is_row), self.load.eq(has_read)]
        with m.If(is_row):
            m.d.sync += [self.weight_read.address.eq(address), row.eq(self._cycle)]
        with m.If(has_read):
            m.d.sync += self.load_row.eq(read_row)

    def _step_source(self, m, new):
        """Address of the tile's first pixel, and what it is at the start of each loop."""
        fields = self._fields
        pitch = Signal(address_shape(), reset_less=True)
        dilation_step, row_step = (
            self._multiply(m, new[name], pitch, name) for name in ("dilation_y", "stride_y")
        )
        origin_digit = self._digit(m, new.origin_y, "origin_y")
        bases = [Signal(address_shape(), name=f"{name}_base", reset_less=True) for name in LOOPS]
        steps = [
            fields.dilation_x,
            dilation_step,
            fields.source_in_stride,
            fields.source_out_stride,
        ]
        with m.If(self.instruction.ready):
            m.d.sync += pitch.eq(new.source_pitch)
        with m.Elif(self._product_step):
            m.d.sync += pitch.eq(pitch << 2)
        total = self._add_product(bases[0], origin_digit, pitch)
        first = Mux(self._product_step, total, new.source + new.origin_x)
        forms, starts, loads = self._product_step, self._opens, self._product_step | self._opens
        has_late_copies = self.config.path_registers
        copies = delayed(m, forms, "copies_base") if has_late_copies else None
        following = bases[-1]
        for index, (base, step) in reversed([*enumerate(zip(bases, steps, strict=True))]):
            following = Mux(self._turns[index], base + step, following)
            may_change = self._any_turns[index]
            if index > 0 and has_late_copies:  # the product is there before the loops step
                with m.If(copies | (self._steps & may_change)):
                    m.d.sync += base.eq(Mux(copies, bases[0], following))
            else:
                with m.If(forms | (self._steps & (starts | may_change))):
                    m.d.sync += base.eq(Mux(loads, first, following))
        m.d.comb += [self.tile.payload.source.eq(bases[0]), self.tile.payload.row_step.eq(row_step)]

    def _multiply(self, m, factor, pitch, name):
        """A register that becomes factor * pitch during the product steps."""
        product = Signal(address_shape(), name=f"{name}_product", reset_less=True)
        digit = self._digit(m, factor, name)
        with m.If(self.instruction.ready):
            m.d.sync += product.eq(0)
        with m.Elif(self._product_step):
            m.d.sync += product.eq(self._add_product(product, digit, pitch))
        return product

    def _add_product(self, total, digit, value):
        """Return total plus -2..2 times `value`, as the digit's bits (i-1, i, i+1) say.

        With path_registers -n is added as ~n with a carry: one carry chain, not two.
        """
        magnitude = Mux(digit[0] ^ digit[1], value, Mux(digit[1] ^ digit[2], value << 1, 0))
        if not self.config.path_registers:
            return total + Mux(digit[2], -magnitude, magnitude)
        inverted = magnitude[: len(total)] ^ digit[2].replicate(len(total))
        return (Cat(1, total) + Cat(digit[2], inverted))[1 : 1 + len(total)]

    def _digit(self, m, factor, name):
        """The current radix-4 Booth digit of a factor: its bits 2i-1, 2i, 2i+1 in step i."""
        rest = Signal(len(factor) + 1, name=f"{name}_rest", reset_less=True)
        with m.If(self.instruction.ready):
            m.d.sync += rest.eq(Cat(0, factor))
        with m.Elif(self._product_step):
            m.d.sync += rest.eq(rest >> 2)
        return rest[:3]

    def _step_coordinates(self, m, new):
        """Source row and column of the tile's first pixel."""
        fields = self._fields
        loop_of = {"x": 0, "y": 1}
        for axis, loop in loop_of.items():
            position = Signal(signed(COORDINATE_BITS), name=f"tile_{axis}", reset_less=True)
            with m.If(self._steps):
                with m.If(self._opens):
                    m.d.sync += position.eq(new[f"origin_{axis}"])
                with m.Elif(self._turns[loop]):
                    m.d.sync += position.eq(position + fields[f"dilation_{axis}"])
                with m.Elif(self._any_turns[loop + 1]):
                    m.d.sync += position.eq(fields[f"origin_{axis}"])
            m.d.comb += self.tile.payload[axis].eq(position)

    def _step_destination(self, m, new):
        payload = self.tile.payload
        destination = Signal(address_shape(), reset_less=True)
        new_block = Signal(reset_less=True)
        block_turns = self._turns[-1]
        with m.If(self._steps):
            m.d.sync += new_block.eq(self._opens | block_turns)
            with m.If(self._opens):
                m.d.sync += destination.eq(new.destination)
            with m.Elif(block_turns):
                m.d.sync += destination.eq(destination + self._fields.destination_stride)
        m.d.comb += [
            payload.destination.eq(destination),
            payload.new_block.eq(new_block),
            payload.overwrite.eq(new_block & ~self._fields.accumulate),
        ]

    def _present(self, m, is_last):
        """What of the tile is the instruction's."""
        payload = self.tile.payload
        names = ("stride_y", "stride_x", "out_height", "out_width", "height", "width", "padding")
        m.d.comb += [payload[name].eq(self._fields[name]) for name in names]
        m.d.comb += [
            payload.empty.eq(self._empty),
            payload.last.eq(is_last),
            payload.weights_out_of_range.eq(self._is_first_tile & ~self._weights_in_range),
            payload.index.eq(self._current.index),
        ]
