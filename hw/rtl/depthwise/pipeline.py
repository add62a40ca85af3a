"""The depthwise unit's data path: from the activation word's read to the accumulator's write."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.lane import Lane
from tilewright.hw.rtl.depthwise.layouts import access_layout, mark_layout, word_layout
from tilewright.hw.rtl.depthwise.results import ResultReader, total_layout
from tilewright.hw.rtl.interfaces import bits, read_port_signature, write_port_signature
from tilewright.hw.rtl.memory import accumulator_banks_of
from tilewright.hw.rtl.read import RepeatedRead, connect_reader, late_word
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config

WORD_BITS = 32
"""Bits of an accumulator."""


class DepthwisePipeline(wiring.Component):
    """A word a cycle: read in cycle t, products from t + 2 to t + 3, its sum written in t + 5.

    With path_registers a word lands in a register (with wire_registers in that behind its bank, and
    another one holds it), its weights are chosen in t + 2 and products take two cycles; a complete
    sum is queued for the accumulators' read, and their word lands in a register, too: it is written
    in t + 10.

    An empty stage takes what the stage before it holds, whatever happens behind it. A complete
    sum stays in the sums' registers until the accumulators' old word is there, if it is needed,
    and until the sum before it is written; then the words behind it stay, too. With
    path_registers all words between the two reads stay while the queue is full.

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
        self._lanes = [Lane(config=config) for _ in range(config.rows)]
        self._word, self._product = _Stage("word", config), _Stage("product", config)

    def elaborate(self, platform):
        m = Module()
        for number, lane in enumerate(self._lanes):
            m.submodules[f"lane_{number}"] = lane
        self._enter(m, self._read_word(m))
        if self._config.path_registers:
            total = self._add_in_stages(m)
        else:
            self._multiply(m, self._word, self._product)
            total = self._add(m)
        self._accumulate(m, total)
        return m

    def _read_word(self, m):
        """What the activation SRAM gives, with its mark; swap the weights."""
        access, port = self.access.p, self.activation_read
        m.submodules.activation_reader = reader = RepeatedRead(access.address.shape())
        connect_reader(m, reader, port)
        layout = word_layout(self._config)
        held = stream.Signature(layout).create(path=("held",))
        kept = Signal(layout, name="kept", reset_less=True)
        with m.If(self.access.valid & self.access.ready):
            m.d.sync += [
                kept.mark.eq(access.mark),
                kept.is_padding.eq(~access.read),
                kept.padding.eq(access.padding),
            ]
        m.d.comb += [
            reader.valid.eq(self.access.valid),
            reader.read.eq(access.read),
            reader.address.eq(access.address),
            self.access.ready.eq(reader.ready),
            reader.held_ready.eq(held.ready),
            held.valid.eq(reader.held_valid),
            held.p.eq(kept),
            held.p.data.eq(port.data),
            self.swap.eq(held.valid & held.ready & kept.mark.swap),
        ]
        if not self._config.path_registers:
            return held
        landed = stream.Signature(layout).create(path=("landed",))
        payload = Signal(layout, name="landed_payload", reset_less=True)
        m.d.comb += [held.ready.eq(landed.ready), landed.p.eq(payload)]
        if self._config.wire_registers:
            m.d.comb += landed.p.data.eq(late_word(m, landed.ready, port.data, "landed"))
        with m.If(landed.ready):
            m.d.sync += [landed.valid.eq(held.valid), payload.eq(held.p)]
        return landed

    def _enter(self, m, word):
        """The word to the lanes' input, with path_registers and the weights of its kernel row."""
        here = self._word
        activations = register(8 * self._config.rows, "word")
        moves = here.take(m, word.valid, word.p.mark, always=self._config.path_registers)
        m.d.comb += word.ready.eq(here.ready)
        padding = word.p.padding.replicate(self._config.rows)
        with m.If(self._loads(moves & word.p.mark.compute, here)):
            m.d.sync += activations.eq(Mux(word.p.is_padding, padding, word.p.data))
        chosen = word.p.mark if self._config.path_registers else here.mark
        for number, lane in enumerate(self._lanes):
            m.d.comb += [
                lane.activation.eq(activations.word_select(number, 8).as_signed()),
                lane.weights.eq(self.weights.word_select(number, len(lane.weights))),
                lane.kernel_row.eq(chosen.kernel_row),
                lane.choose.eq(here.ready),
            ]

    def _loads(self, moves, stage):
        """When a stage's registers load: with path_registers what comes is taken, valid or not."""
        return stage.ready if self._config.path_registers else moves

    def _multiply(self, m, word, product):
        """The word times the weights of its kernel row."""
        moves = product.take(m, word.valid, word.mark, always=self._config.path_registers)
        for lane in self._lanes:
            m.d.comb += lane.multiply.eq(self._loads(moves & word.mark.compute, product))

    def _add(self, m):
        """Products to the sums; a result reads the accumulators' word. Return what it leaves as."""
        mark, sum_mark = self._product.mark, Signal.like(self._product.mark, reset_less=True)
        m.submodules.accumulator_reader = reader = RepeatedRead(mark.destination.shape())
        connect_reader(m, reader, self.accumulator_read)
        total = stream.Signature(total_layout(self._config)).create(path=("total",))
        moves = Signal(name="sum_moves")
        m.d.comb += [
            reader.valid.eq(self._product.valid & mark.result),
            reader.read.eq(mark.write & mark.accumulate),
            reader.address.eq(mark.destination),
            reader.held_ready.eq(total.ready),
            moves.eq(self._product.valid & self._product.ready),
            total.valid.eq(reader.held_valid),
            total.p.old.eq(Mux(sum_mark.accumulate, self.accumulator_read.data, 0)),
        ]
        # Whether the total is ready comes late: it chooses between what follows from either.
        is_free = reader.empty, reader.empty | reader.held_valid
        is_granted = ~mark.result | ~reader.read | reader.grant
        stalled, moving = (~self._product.valid | (free & is_granted) for free in is_free)
        no_word = ~self._word.valid
        m.d.comb += [
            self._product.ready.eq(Mux(total.ready, moving, stalled)),
            self._word.ready.eq(Mux(total.ready, no_word | moving, no_word | stalled)),
        ]
        with m.If(moves & mark.result):
            m.d.sync += sum_mark.eq(mark)
        self._add_products(m, mark, moves)
        self._describe(m, sum_mark, total.p)
        return total

    def _add_in_stages(self, m):
        """The same with path_registers: half products, products, sums, queue of the results."""
        half, added = _Stage("half", self._config), _Stage("sum", self._config)
        m.submodules.result_reader = reader = ResultReader(config=self._config)
        wiring.connect(m, reader.accumulator, wiring.flipped(self.accumulator_read))
        self._multiply(m, self._word, half)
        self._product.take(m, half.valid, half.mark, always=True)
        for lane in self._lanes:
            m.d.comb += lane.combine.eq(self._product.ready)
        moves = added.take(m, self._product.valid, self._product.mark, always=True)
        self._add_products(m, self._product.mark, moves)
        m.d.comb += [
            reader.result.valid.eq(added.valid & added.mark.result),
            *(
                stage.ready.eq(reader.result.ready)
                for stage in (self._word, half, self._product, added)
            ),
        ]
        self._describe(m, added.mark, reader.result.p)
        return reader.total

    def _add_products(self, m, mark, moves):
        for lane in self._lanes:
            m.d.comb += [
                lane.first_row.eq(mark.kernel_row == 0),
                lane.add.eq(moves & mark.compute),
            ]

    def _describe(self, m, mark, result):
        """The sums that are complete, and what becomes of them."""
        names = ("write", "accumulate", "retire", "destination")
        m.d.comb += [result[name].eq(mark[name]) for name in names]
        for lane, total in zip(self._lanes, result.sums, strict=True):
            m.d.comb += [lane.last_column.eq(mark.last_column), total.eq(lane.sum)]

    def _accumulate(self, m, result):
        """The sum, with the old word where it accumulates, to the accumulators."""
        config, port = self._config, self.accumulator_write
        occupied = Signal()
        writes = Signal(reset_less=True)
        retires = Signal(reset_less=True)
        destination = Signal.like(result.p.destination, name="destination", reset_less=True)
        leaves, takes = bits("total_leaves", "total_takes")
        if config.path_registers:
            next_destination = Mux(takes, result.p.destination, destination)
            is_ready = self._follow_writes(m, takes, next_destination)
        else:
            is_ready = ~occupied | ~writes | port.grant
        m.d.comb += [
            leaves.eq(occupied & is_ready),
            takes.eq(result.ready & result.valid & result.p.write),
            result.ready.eq(is_ready),
            self.retire.eq(leaves & retires),
            port.request.eq(occupied & writes),
            port.address.eq(destination),
            port.mask.eq(1),
        ]
        with m.If(result.ready):
            m.d.sync += occupied.eq(result.valid)
        with m.If(result.ready & result.valid):
            m.d.sync += [writes.eq(result.p.write), retires.eq(result.p.retire)]
        totals = [register(WORD_BITS, f"total_{number}") for number in range(config.cols)]
        with m.If(takes):
            m.d.sync += destination.eq(result.p.destination)
            for number, total in enumerate(totals):
                old = result.p.old.word_select(number, WORD_BITS)
                added = result.p.sums[number] if number < config.rows else 0
                m.d.sync += total.eq(old + added)
        m.d.comb += port.data.eq(Cat(totals))

    def _follow_writes(self, m, takes, next_destination):
        """Whether no write waits for its grant: with path_registers known in the cycle before."""
        is_free = Signal(init=1)
        banks = accumulator_banks_of(next_destination, self._config)
        is_refused = (self.coming_writes & banks).any()
        m.d.sync += is_free.eq(~((takes | ~is_free) & is_refused))
        return is_free


class _Stage:
    """Registers of the pipeline: whether there is a word, and what it is."""

    def __init__(self, name: str, config: Config):
        self._name = name
        self.valid, self.ready = bits(f"{name}_valid", f"{name}_ready")
        self.mark = Signal(mark_layout(config), name=f"{name}_mark", reset_less=True)

    def take(self, m, valid, mark, *, always):
        """Take a word when the stage is ready; `always`: its mark, valid or not. Return whether."""
        moves = Signal(name=f"{self._name}_moves")
        m.d.comb += moves.eq(valid & self.ready)
        with m.If(self.ready):
            m.d.sync += self.valid.eq(valid)
        with m.If(self.ready if always else moves):
            m.d.sync += self.mark.eq(mark)
        return moves
