"""The depthwise unit's data path: from the activation word's read to the accumulator's write."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.lane import Lane
from tilewright.hw.rtl.depthwise.layouts import access_layout, mark_layout, word_layout
from tilewright.hw.rtl.interfaces import bits, read_port_signature, write_port_signature
from tilewright.hw.rtl.memory import accumulator_banks_of
from tilewright.hw.rtl.read import RepeatedRead
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config

WORD_BITS = 32
"""Bits of an accumulator."""


class DepthwisePipeline(wiring.Component):
    """A word a cycle: read in cycle t, products from t + 2 to t + 3, its sum written in t + 5.

    With path_registers products and what follows are a cycle later: behind its read a word goes
    through a buffer of two, so that no stall behind it reaches the read and the weights' swap. Out
    of that it comes as the product stage takes what is before it, not into an empty stage.

    An empty stage takes what the stage before it holds, whatever happens behind it. A complete
    sum stays in the sums' registers until the accumulators' old word is there, if it is needed,
    and until the sum before it is written; then the words behind it stay, too.

    Members
    -------
    access : In(stream of access_layout)
    weights : In, the active weights of WeightLatch; swap : Out(1), before a block's first word
    activation_read, accumulator_read : Out(read_port_signature)
    accumulator_write : Out(write_port_signature) with one mask bit
    coming_writes : In, see DepthwiseEngine
    retire : Out(1), in the cycle of an instruction's last write
    """

    def __init__(self, *, config: Config):
        self._config = config
        accumulator = {
            "address_bits": index_bits(config.accumulator_words),
            "width": 8 * config.accumulator_word_bytes,
        }
        activation = {
            "address_bits": index_bits(config.activation_words),
            "width": 8 * config.activation_word_bytes,
        }
        num_weights = DEPTHWISE_KERNEL_ROWS * config.depthwise_taps * config.rows
        super().__init__(
            {
                "access": In(stream.Signature(access_layout(config))),
                "weights": In(8 * num_weights),
                "swap": Out(1),
                "activation_read": Out(read_port_signature(**activation)),
                "accumulator_read": Out(read_port_signature(**accumulator)),
                "accumulator_write": Out(
                    write_port_signature(**accumulator, granularity=accumulator["width"])
                ),
                "coming_writes": In(config.accumulator_banks),
                "retire": Out(1),
            }
        )
        mark = mark_layout(config)
        self._lanes = [Lane(config=config) for _ in range(config.rows)]
        self._word_valid, self._word_ready = bits("word_valid", "word_ready")
        self._word_mark = Signal(mark, reset_less=True)
        self._product_valid, self._product_ready = bits("product_valid", "product_ready")
        self._product_mark = Signal(mark, reset_less=True)
        self._sum_mark = Signal(mark, reset_less=True)
        self._total_ready = Signal()

    def elaborate(self, platform):
        m = Module()
        for number, lane in enumerate(self._lanes):
            m.submodules[f"lane_{number}"] = lane
        word = self._read_word(m)
        self._enter(m, self._buffer(m, word) if self._config.path_registers else word)
        self._multiply(m)
        sums_leave = self._add(m)
        self._accumulate(m, sums_leave)
        return m

    def _read_word(self, m):
        """The activation SRAM's data, or padding, with their mark; swap the weights."""
        access, port = self.access.p, self.activation_read
        m.submodules.activation_reader = reader = RepeatedRead(access.address.shape())
        connect_reader(m, reader, port)
        held = stream.Signature(word_layout(self._config)).create(path=("held",))
        m.d.comb += [
            reader.valid.eq(self.access.valid),
            reader.read.eq(access.read),
            reader.address.eq(access.address),
            self.access.ready.eq(reader.ready),
            reader.held_ready.eq(held.ready),
        ]
        mark = Signal.like(self._word_mark, name="held_mark", reset_less=True)
        is_padding = Signal(reset_less=True)
        padding = Signal.like(access.padding, reset_less=True)
        with m.If(self.access.valid & self.access.ready):
            m.d.sync += [
                mark.eq(access.mark),
                is_padding.eq(~access.read),
                padding.eq(access.padding),
            ]
        word = Mux(is_padding, padding.replicate(self._config.rows), port.data)
        m.d.comb += [
            held.valid.eq(reader.held_valid),
            held.p.mark.eq(mark),
            held.p.activations.eq(word),
            self.swap.eq(held.valid & held.ready & mark.swap),
        ]
        return held

    def _buffer(self, m, held):
        """Two places; a block's first word enters when none is left of those before it."""
        m.submodules.word_buffer = buffer = SkidBuffer(shape=word_layout(self._config))
        enters = ~(held.p.mark.swap & buffer.source.valid)
        m.d.comb += [
            buffer.sink.valid.eq(held.valid & enters),
            buffer.sink.p.eq(held.p),
            held.ready.eq(buffer.sink.ready & enters),
        ]
        return buffer.source

    def _enter(self, m, word):
        """The word to the lanes' input, with path_registers and the weights of its kernel row."""
        moves = Signal(name="word_moves")
        activations = register(8 * self._config.rows, "word")
        m.d.comb += [word.ready.eq(self._word_ready), moves.eq(word.valid & word.ready)]
        with m.If(self._word_ready):
            m.d.sync += self._word_valid.eq(word.valid)
        with m.If(self._loads(moves, self._word_ready)):
            m.d.sync += self._word_mark.eq(word.p.mark)
        with m.If(self._loads(moves & word.p.mark.compute, self._word_ready)):
            m.d.sync += activations.eq(word.p.activations)
        chosen = word.p.mark if self._config.path_registers else self._word_mark
        for number, lane in enumerate(self._lanes):
            m.d.comb += [
                lane.activation.eq(activations.word_select(number, 8).as_signed()),
                lane.weights.eq(self.weights.word_select(number, len(lane.weights))),
                lane.kernel_row.eq(chosen.kernel_row),
                lane.choose.eq(self._word_ready),
            ]

    def _loads(self, moves, ready):
        """When a stage's registers load: with path_registers what comes is taken, valid or not."""
        return ready if self._config.path_registers else moves

    def _multiply(self, m):
        """The word times the weights of its kernel row."""
        mark = self._word_mark
        moves = Signal(name="product_moves")
        m.d.comb += moves.eq(self._word_valid & self._product_ready)
        with m.If(self._product_ready):
            m.d.sync += self._product_valid.eq(self._word_valid)
        with m.If(self._loads(moves, self._product_ready)):
            m.d.sync += self._product_mark.eq(mark)
        for lane in self._lanes:
            m.d.comb += lane.multiply.eq(self._loads(moves & mark.compute, self._product_ready))

    def _add(self, m):
        """Products to the sums; a result reads the accumulators' word. Return when it leaves."""
        mark = self._product_mark
        m.submodules.accumulator_reader = reader = RepeatedRead(mark.destination.shape())
        connect_reader(m, reader, self.accumulator_read)
        moves = Signal(name="sum_moves")
        m.d.comb += [
            reader.valid.eq(self._product_valid & mark.result),
            reader.read.eq(mark.write & mark.accumulate),
            reader.address.eq(mark.destination),
            reader.held_ready.eq(self._total_ready),
            moves.eq(self._product_valid & self._product_ready),
        ]
        # Whether the total is ready comes late: it chooses between what follows from either.
        is_free = reader.empty, reader.empty | reader.held_valid
        is_granted = ~mark.result | ~reader.read | reader.grant
        stalled, moving = (~self._product_valid | (free & is_granted) for free in is_free)
        m.d.comb += self._product_ready.eq(Mux(self._total_ready, moving, stalled))
        if self._config.path_registers:
            m.d.comb += self._word_ready.eq(self._product_ready)
        else:
            no_word = ~self._word_valid
            m.d.comb += self._word_ready.eq(
                Mux(self._total_ready, no_word | moving, no_word | stalled)
            )
        with m.If(moves & mark.result):
            m.d.sync += self._sum_mark.eq(mark)
        for lane in self._lanes:
            m.d.comb += [
                lane.first_row.eq(mark.kernel_row == 0),
                lane.add.eq(moves & mark.compute),
                lane.last_column.eq(self._sum_mark.last_column),
            ]
        return reader.held_valid

    def _accumulate(self, m, sum_valid):
        """The sum, with the old word where it accumulates, to the accumulators."""
        config, port, mark = self._config, self.accumulator_write, self._sum_mark
        occupied = Signal()
        writes = Signal(reset_less=True)
        retires = Signal(reset_less=True)
        destination = Signal.like(mark.destination, reset_less=True)
        leaves, takes = bits("total_leaves", "total_takes")
        if config.path_registers:
            next_destination = Mux(takes, mark.destination, destination)
            is_ready = self._follow_writes(m, takes, next_destination)
        else:
            is_ready = ~occupied | ~writes | port.grant
        m.d.comb += [
            leaves.eq(occupied & is_ready),
            takes.eq(self._total_ready & sum_valid & mark.write),
            self._total_ready.eq(is_ready),
            self.retire.eq(leaves & retires),
            port.request.eq(occupied & writes),
            port.address.eq(destination),
            port.mask.eq(1),
        ]
        with m.If(self._total_ready):
            m.d.sync += occupied.eq(sum_valid)
        with m.If(self._total_ready & sum_valid):
            m.d.sync += [writes.eq(mark.write), retires.eq(mark.retire)]
        totals = [register(WORD_BITS, f"total_{number}") for number in range(config.cols)]
        with m.If(takes):
            m.d.sync += destination.eq(mark.destination)
            for number, total in enumerate(totals):
                old = self.accumulator_read.data.word_select(number, WORD_BITS)
                added = self._lanes[number].sum if number < config.rows else 0
                m.d.sync += total.eq(Mux(mark.accumulate, old, 0) + added)
        m.d.comb += port.data.eq(Cat(totals))

    def _follow_writes(self, m, takes, next_destination):
        """Whether no write waits for its grant: with path_registers known in the cycle before."""
        is_free = Signal(init=1)
        banks = accumulator_banks_of(next_destination, self._config)
        is_refused = (self.coming_writes & banks).any()
        m.d.sync += is_free.eq(~((takes | ~is_free) & is_refused))
        return is_free


def connect_reader(m, reader, port):
    """Give a RepeatedRead its memory port."""
    m.d.comb += [
        port.request.eq(reader.request),
        port.address.eq(reader.request_address),
        reader.grant.eq(port.grant),
    ]
