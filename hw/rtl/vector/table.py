"""The 256-entry tables of the lanes, double buffered."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.signals import index_bits, loaded
from tilewright.hw.rtl.vector.layouts import NUM_SLOTS
from tilewright.hw.spec.config import Config

ENTRIES = 256
CHUNK_BYTES = 8
"""A table is written eight entries a cycle."""
NUM_CHUNKS = ENTRIES // CHUNK_BYTES


def table_write_signature() -> wiring.Signature:
    """A chunk of a table, seen from its writer: entries 8*chunk .. 8*chunk + 7 of slot's table."""
    return wiring.Signature(
        {
            "enable": Out(1),
            "slot": Out(1),
            "chunk": Out(range(NUM_CHUNKS)),
            "data": Out(8 * CHUNK_BYTES),
        }
    )


class LookUp(wiring.Component):
    """A copy of the tables for every lane: index in cycle t, value in cycle t + 1.

    With path registers the words read go to registers first, in a cycle with `moves_on`.

    Members
    -------
    write : In(table_write_signature), all lanes' copies
    enable : In(1), slot : In(1), index : In(lanes of int8)
    value : Out(lanes of int8), of the last cycle with enable; with path registers of the word and
        entry that moved on
    moves_on : In(1), with path registers
    """

    def __init__(self, *, config: Config):
        self._config = config
        lanes = data.ArrayLayout(signed(8), config.lanes)
        super().__init__(
            {
                "write": In(table_write_signature()),
                "enable": In(1),
                "slot": In(1),
                "index": In(lanes),
                "value": Out(lanes),
                **({"moves_on": In(1)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for lane in range(self._config.lanes):
            memory = Memory(shape=unsigned(8 * CHUNK_BYTES), depth=NUM_SLOTS * NUM_CHUNKS, init=[])
            m.submodules[f"table{lane}"] = memory
            write, read = memory.write_port(), memory.read_port()
            index = self.index[lane].as_unsigned()
            entry = Signal(index_bits(CHUNK_BYTES), name=f"entry{lane}", reset_less=True)
            m.d.comb += [
                write.en.eq(self.write.enable),
                write.addr.eq(Cat(self.write.chunk, self.write.slot)),
                write.data.eq(self.write.data),
                read.en.eq(self.enable),
                read.addr.eq(Cat(index[3:], self.slot)),
            ]
            with m.If(self.enable):
                m.d.sync += entry.eq(index[:3])
            word = read.data
            if self._config.path_registers:
                with m.If(self.moves_on):
                    word, entry = loaded(m, **{f"word{lane}": word, f"word_entry{lane}": entry})
            m.d.comb += self.value[lane].eq(word.word_select(entry, 8).as_signed())
        return m
