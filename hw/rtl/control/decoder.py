"""Combinational instruction decoder, derived from the instruction table."""

from amaranth.hdl import Cat, Const, Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import fields_layout
from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.config import Config

ENGINE_BITS = 3


def engine_operations(config: Config) -> dict[isa.Engine, isa.Operation]:
    """Return the operation of each engine that this config has, in the order of the table.

    A queue's entries have the fields of one operation, so an engine has one.
    """
    operations = [o for o in isa.operations(config) if o.engine is not None]
    found = {o.engine: o for o in operations if o.engine is not None}
    assert len(found) == len(operations), "two operations of one engine"
    return found


def waits_layout() -> data.ArrayLayout:
    """The wait slots of an instruction."""
    slot = data.StructLayout(
        {"engine": unsigned(ENGINE_BITS), "count": unsigned(isa.RETIREMENT_BITS)}
    )
    return data.ArrayLayout(slot, isa.NUM_WAITS)


def fields_of_word(word: Value, operation: isa.Operation, config: Config) -> data.View:
    """View the bits of an instruction word (512) as the operation's own fields."""
    layout = fields_layout(operation, config)
    first = encoding.layout(operation, config)[len(isa.COMMON_FIELDS)][1]
    return data.View(layout, word[first : first + layout.size])


class Decoder(wiring.Component):
    """Says what an instruction word is; combinational.

    Members
    -------
    word : In(512)
    illegal : Out(1), exactly where `encoding.decode` raises IllegalInstruction
    is_end : Out(1), the opcode is END
    operation : Out, one-hot by opcode, in the order of engine_operations(config)
    waits : Out(waits_layout())
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "word": In(isa.INSTRUCTION_BITS),
                "illegal": Out(1),
                "is_end": Out(1),
                "operation": Out(len(engine_operations(config))),
                "waits": Out(waits_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        opcode = self.word[0 : isa.COMMON_FIELDS[0].width]
        m.d.comb += [
            self.illegal.eq(1),
            self.is_end.eq(opcode == isa.BY_NAME["END"].opcode),
            self.operation.eq(
                Cat(opcode == o.opcode for o in engine_operations(self._config).values())
            ),
        ]
        with m.Switch(opcode):
            for operation in isa.operations(self._config):
                with m.Case(operation.opcode):
                    m.d.comb += self.illegal.eq(~self._is_legal(operation))
        common = encoding.layout(isa.BY_NAME["END"], self._config)
        for field, first, bits in common[-2 * isa.NUM_WAITS :]:
            slot, member = field.name.removeprefix("wait").split("_")
            m.d.comb += self.waits[int(slot)][member].eq(self.word[first : first + bits])
        return m

    def _is_legal(self, operation: isa.Operation) -> Value:
        """Enumerated fields have one of their values and the reserved bits are zero."""
        legal = Const(1, 1)
        end = 0
        for field, first, bits in encoding.layout(operation, self._config):
            end = first + bits
            if field.values is not None and len(field.values) < 1 << bits:
                value = self.word[first:end]
                legal &= Cat(value == int(each) for each in field.values).any()
        return legal & ~self.word[end:].any()
