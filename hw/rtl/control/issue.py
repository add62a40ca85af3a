"""The queue of decoded instructions in front of an engine, with the wait gate at its head."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.control.decoder import ENGINE_BITS
from tilewright.hw.rtl.control.dispatch import counts_layout, entry_layout
from tilewright.hw.rtl.control.waits import pending_bits, still_pending
from tilewright.hw.rtl.interfaces import bits, engine_layout
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config


class IssueQueue(wiring.Component):
    """FIFO of `config.queue_depth` instructions of an engine; issues the head once it may.

    The instructions move up from register to register, so that the head is one; what each awaits
    is kept beside it.

    An entry accepted in cycle t can issue in t+1. A retirement in cycle t can release the head in
    t+1; the engine takes one instruction a cycle at most.

    Members
    -------
    entry : In(stream of entry_layout)
    instruction : Out(stream of engine_layout)
    retired : In(counts_layout()), retirements of every engine since the start
    retiring : In, a bit an engine number: it retires in this cycle
    waiting : Out(1), the head awaits a retirement
    waiting_for : Out(3), the engine of the head's first pending slot, valid with `waiting`
    """

    def __init__(self, *, config: Config, operations: Sequence[isa.Operation]):
        self._depth = config.queue_depth
        self._layout = entry_layout(operations, config)
        super().__init__(
            {
                "entry": In(stream.Signature(self._layout)),
                "instruction": Out(stream.Signature(engine_layout(operations, config))),
                "retired": In(counts_layout()),
                "retiring": In(len(isa.Engine)),
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
        pending = [still_pending(entry.waits, self.retired, self.retiring) for entry in entries]
        # A free place takes what dispatch shows, accepted or not: its enable needs no handshake,
        # and the last one's does not need the engine's: nothing is accepted while it is taken.
        for place, entry in enumerate(entries):
            m.d.sync += pending_bits(entry.waits).eq(pending[place])
            is_final = place + 1 == self._depth
            with m.If((level == place) | (0 if is_final else issued)):
                m.d.sync += entry.eq(self.entry.payload)
                if not is_final:
                    with m.If(level > place + 1):
                        m.d.sync += entry.eq(entries[place + 1])
                        m.d.sync += pending_bits(entry.waits).eq(pending[place + 1])
        m.d.comb += self.waiting.eq((level != 0) & pending_bits(head.waits).any())
        for wait in reversed(list(head.waits)):
            with m.If(wait.pending):
                m.d.comb += self.waiting_for.eq(wait.engine)
        return m
