"""Combinational instruction decoder, derived from the instruction table."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_NAME, operations

ENGINE_BITS = 3


def queued(operations: Sequence[isa.Operation]) -> tuple[isa.Operation, ...]:
    """Return the operations that go to an engine, not those of dispatch itself."""
    return tuple(operation for operation in operations if operation.engine is not None)


def engine_operations(
    operations: Sequence[isa.Operation],
) -> dict[isa.Engine, tuple[isa.Operation, ...]]:
    """Return the operations of each engine, engines in the order of their first operation."""
    found: dict[isa.Engine, tuple[isa.Operation, ...]] = {}
    for operation in queued(operations):
        found[operation.engine] = (*found.get(operation.engine, ()), operation)
    return found


def engines(config: Config) -> tuple[isa.Engine, ...]:
    """Return the engines that this config has, in the order of their places in the hardware."""
    return tuple(engine_operations(operations(config)))


def waits_layout() -> data.ArrayLayout:
    """The wait slots of an instruction."""
    slot = data.StructLayout(
        {"engine": unsigned(ENGINE_BITS), "count": unsigned(isa.RETIREMENT_BITS)}
    )
    return data.ArrayLayout(slot, isa.NUM_WAITS)


def common_fields(word: Value, config: Config) -> dict[str, Value]:
    """Return the bits of an instruction word (512) that every operation has, by field name."""
    rows = encoding.layout(BY_NAME["END"], config)
    return {field.name: word[first : first + bits] for field, first, bits in rows}


def own_fields(word: Value, bits: int, config: Config) -> Value:
    """Return the first bits of an instruction word (512) behind the common fields.

    Every operation's own fields start there, so this is the union of several operations' fields.
    """
    _, first, width = encoding.layout(BY_NAME["END"], config)[-1]
    return word[first + width : first + width + bits]


class Decoder(wiring.Component):
    """Says what an instruction word is, among these operations; combinational.

    Members
    -------
    word : In(512)
    illegal : Out(1), exactly where `encoding.decode` raises IllegalInstruction; with path_registers
        a bit for each operation that is not legal and one for an unknown one, of which none is set
        where the instruction is legal
    is_end : Out(1), the opcode is END
    operation : Out, one-hot by opcode, in the order of queued(operations)
    waits : Out(waits_layout())
    """

    def __init__(self, *, config: Config, operations: Sequence[isa.Operation]):
        self._config = config
        self._operations = operations
        super().__init__(
            {
                "word": In(isa.INSTRUCTION_BITS),
                "illegal": Out(1 + len(operations) * config.path_registers),
                "is_end": Out(1),
                "operation": Out(len(queued(operations))),
                "waits": Out(waits_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        common = common_fields(self.word, self._config)
        opcode = common["opcode"]
        m.d.comb += [
            self.illegal.eq(1),
            self.is_end.eq(opcode == BY_NAME["END"].opcode),
            self.operation.eq(Cat(opcode == o.opcode for o in queued(self._operations))),
        ]
        with m.Switch(opcode):
            for place, operation in enumerate(self._operations, start=1):
                with m.Case(operation.opcode):
                    is_illegal = ~self._is_legal(operation)
                    if self._config.path_registers:
                        is_illegal = Cat(Const(0, place), is_illegal)
                    m.d.comb += self.illegal.eq(is_illegal)
        for slot in range(isa.NUM_WAITS):
            for member in ("engine", "count"):
                m.d.comb += self.waits[slot][member].eq(common[f"wait{slot}_{member}"])
        return m

    def _is_legal(self, operation: isa.Operation) -> Value:
        """Enumerated fields have one of their values and the reserved bits are zero."""
        legal = Const(1, 1)
        end = 0
        for field, first, bits in encoding.layout(operation, self._config):
            end = first + bits
            values = operation.legal(field)
            if values is not None and len(values) < 1 << bits:
                value = self.word[first:end]
                legal &= Cat(value == each for each in sorted(values)).any()
        return legal & ~self.word[end:].any()
