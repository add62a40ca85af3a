"""Fetches an instruction's header and table before it starts; holds the slots."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import address_shape, bits, engine_layout
from tilewright.hw.rtl.vector.layouts import VECTOR, slots_layout
from tilewright.hw.rtl.vector.source import parameter_port
from tilewright.hw.rtl.vector.table import CHUNK_BYTES, NUM_CHUNKS, table_write_signature
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER

COPIED_FIELDS = ("padding", "reduction", "combine", "use_table", "negative_scales", "unrounded")


class Prefetch(wiring.Component):
    """Reads one parameter word a cycle: header_words, then a word for each eight table entries.

    With `valid` from cycle t on and all reads granted, `done` rises in cycle t + header_words, or
    t + header_words + 32 with a table. The last word lands in the cycle in which `done` rises.

    Members
    -------
    valid : In(1), instruction : In(engine_layout); steady from `valid` to `start`
    slot : In(1), where its header and table go; the slot's former instruction has retired
    start : In(1); the instruction starts: the rest of the slot is filled, `done` falls
    done : Out(1)
    slots : Out(slots_layout)
    table_write : Out(table_write_signature)
    parameter : read port
    fault : Out(1); a word of `instruction` is out of range
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "instruction": In(engine_layout([VECTOR], config)),
                "slot": In(1),
                "start": In(1),
                "done": Out(1),
                "slots": Out(slots_layout()),
                "table_write": Out(table_write_signature()),
                "parameter": Out(parameter_port(config)),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields = self.instruction.fields.VECTOR
        in_table = Signal()
        word = Signal(range(NUM_CHUNKS))
        chunk = Signal(range(NUM_CHUNKS))
        lane = Signal(range(max(2, self._config.lanes)))
        address = Signal(address_shape())
        reads, exists, moves, restart = bits("reads", "exists", "moves", "restart")
        header_ends = ~in_table & (word == self._config.header_words - 1)
        table_ends = in_table & (chunk == NUM_CHUNKS - 1)
        m.d.comb += [
            address.eq(Mux(in_table, fields.table, fields.parameters) + word),
            exists.eq(address < self._config.parameter_words),
            reads.eq(self.valid & ~self.done),
            self.parameter.request.eq(reads & exists),
            self.parameter.address.eq(address),
            moves.eq(reads & (~exists | self.parameter.grant)),
            self.fault.eq(reads & ~exists),
            restart.eq(~self.valid | self.start),
        ]
        word_ends = ~in_table | (lane == self._config.lanes - 1)
        with m.If(restart):
            m.d.sync += [self.done.eq(0), in_table.eq(0), word.eq(0), chunk.eq(0), lane.eq(0)]
        with m.Elif(moves):
            m.d.sync += [
                word.eq(Mux(header_ends, 0, word + word_ends)),
                in_table.eq(in_table | header_ends),
                self.done.eq(Mux(in_table, table_ends, header_ends & ~fields.use_table)),
            ]
            with m.If(in_table):
                m.d.sync += [chunk.eq(chunk + 1), lane.eq(Mux(word_ends, 0, lane + 1))]
        self._land(m, moves & exists, in_table, word, chunk, lane)
        with m.If(self.start):
            m.d.sync += self.slots[self.slot].index.eq(self.instruction.index)
            m.d.sync += [self.slots[self.slot][n].eq(fields[n]) for n in COPIED_FIELDS]
        return m

    def _land(self, m, granted, in_table, word, chunk, lane):
        """The cycle after the grant: data to the header registers or the tables."""
        header_lands, table_lands = bits("header_lands", "table_lands")
        landing_word = Signal.like(word)
        landing_lane = Signal.like(lane)
        landing_chunk = Signal.like(chunk)
        landing_slot = Signal()
        m.d.sync += [header_lands.eq(granted & ~in_table), table_lands.eq(granted & in_table)]
        with m.If(granted):
            m.d.sync += [
                landing_word.eq(word),
                landing_lane.eq(lane),
                landing_chunk.eq(chunk),
                landing_slot.eq(self.slot),
            ]
        m.d.comb += [
            self.table_write.enable.eq(table_lands),
            self.table_write.slot.eq(landing_slot),
            self.table_write.chunk.eq(landing_chunk),
            self.table_write.data.eq(
                self.parameter.data.word_select(landing_lane, 8 * CHUNK_BYTES)
            ),
        ]
        word_bytes = self._config.parameter_word_bytes
        for field in PARAMETER_HEADER:
            number, offset = divmod(field.offset, word_bytes)
            size = {"b": 1, "f": 4}[field.format]
            with m.If(header_lands & (landing_word == number)):
                value = self.parameter.data[8 * offset : 8 * (offset + size)]
                m.d.sync += self.slots[landing_slot].header[field.name].eq(value)
