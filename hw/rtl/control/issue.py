"""The queue of decoded instructions in front of an engine, with the wait gate at its head."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.control.decoder import ENGINE_BITS
from tilewright.hw.rtl.control.dispatch import COUNT_BITS, counts_layout, entry_layout
from tilewright.hw.rtl.interfaces import bits, engine_layout
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config


class IssueQueue(wiring.Component):
    """FIFO of `config.queue_depth` instructions of an engine; issues the head once it may.

    The instructions move up from register to register, so that the head is one.

    An entry accepted in cycle t can issue in t+1. A retirement that `retired` shows in cycle t
    can release the head in cycle t; the engine takes one instruction a cycle at most.

    Members
    -------
    entry : In(stream of entry_layout)
    instruction : Out(stream of engine_layout)
    retired : In(counts_layout()), retirements of every engine since the start
    waiting : Out(1), the head's waits are not met
    waiting_for : Out(3), the engine of the head's first unmet slot, valid with `waiting`
    """

    def __init__(self, *, config: Config, operations: Sequence[isa.Operation]):
        self._depth = config.queue_depth
        self._layout = entry_layout(operations, config)
        super().__init__(
            {
                "entry": In(stream.Signature(self._layout)),
                "instruction": Out(stream.Signature(engine_layout(operations, config))),
                "retired": In(counts_layout()),
                "waiting": Out(1),
                "waiting_for": Out(ENGINE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        entries = [Signal(self._layout, name=f"entry{n}") for n in range(self._depth)]
        head, payload = entries[0], self.instruction.payload
        level = Signal(range(self._depth + 1))
        accepted, issued = bits("accepted", "issued")
        m.d.comb += [
            self.entry.ready.eq(level != self._depth),
            accepted.eq(self.entry.valid & self.entry.ready),
            issued.eq(self.instruction.valid & self.instruction.ready),
            *(payload[name].eq(head[name]) for name in payload.shape().members),
            self.instruction.valid.eq((level != 0) & ~self.waiting),
        ]
        m.d.sync += level.eq(level + accepted - issued)
        # A free place takes what dispatch shows, accepted or not: its enable needs no handshake.
        for place, entry in enumerate(entries):
            with m.If(issued | (level == place)):
                m.d.sync += entry.eq(self.entry.payload)
                if place + 1 < self._depth:
                    with m.If(level > place + 1):
                        m.d.sync += entry.eq(entries[place + 1])
        self._gate(m, head.waits, level != 0)
        return m

    def _gate(self, m: Module, waits: data.View, occupied: Value) -> None:
        """Compare the head's waits with the retirements; the first unmet slot is the lowest."""
        unused = (1 << ENGINE_BITS) - len(isa.Engine)
        retired = Array([*self.retired, *[Const(0, COUNT_BITS)] * unused])
        unmet = Signal(isa.NUM_WAITS)
        m.d.comb += [
            unmet.eq(Cat(retired[wait.engine] < wait.count for wait in waits)),
            self.waiting.eq(occupied & unmet.any()),
        ]
        for slot in reversed(range(isa.NUM_WAITS)):
            with m.If(unmet[slot]):
                m.d.comb += self.waiting_for.eq(waits[slot].engine)
