"""Places of a stream: one, and two that keep a stall of the consumer off the producer's path."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamRegister(wiring.Component):
    """One place; what comes is taken as soon as that is free, valid or not.

    Members
    -------
    sink : In(stream), ready when nothing is held or it leaves
    source : Out(stream); what is accepted in cycle t shows in t+1; one a cycle
    """

    def __init__(self, *, shape):
        super().__init__(
            {"sink": In(stream.Signature(shape)), "source": Out(stream.Signature(shape))}
        )
        self._held = Signal(shape, name="held", reset_less=True)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.sink.ready.eq(~self.source.valid | self.source.ready),
            self.source.payload.eq(self._held),
        ]
        with m.If(self.sink.ready):
            m.d.sync += [
                self.source.valid.eq(self.sink.valid),
                self._held.eq(self.sink.payload),
            ]
        return m


class SkidBuffer(wiring.Component):
    """Two places, so that both handshakes come from registers alone.

    Members
    -------
    sink : In(stream), ready while the spare place is free
    source : Out(stream); what is accepted in cycle t shows in t+1; one a cycle
    fills : Out(1), the spare place is taken in the next cycle
    behind_valid, behind : Out, with `looks_behind`; what source shows in the next cycle, if what
        it shows leaves
    """

    def __init__(self, *, shape, looks_behind: bool = False):
        self._shape = shape
        self._looks_behind = looks_behind
        super().__init__(
            {
                "sink": In(stream.Signature(shape)),
                "source": Out(stream.Signature(shape)),
                "fills": Out(1),
                **({"behind_valid": Out(1), "behind": Out(shape)} if looks_behind else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        head = Signal(self._shape, reset_less=True)
        spare = Signal(self._shape, reset_less=True)
        spare_valid = Signal()
        stalls = self.source.valid & ~self.source.ready
        m.d.comb += [
            self.sink.ready.eq(~spare_valid),
            self.source.payload.eq(head),
            self.fills.eq(stalls & (spare_valid | self.sink.valid)),
        ]
        behind_valid = spare_valid | self.sink.valid
        behind = Mux(spare_valid, spare, self.sink.payload)
        if self._looks_behind:
            m.d.comb += [self.behind_valid.eq(behind_valid), self.behind.eq(behind)]
        m.d.sync += spare_valid.eq(self.fills)
        with m.If(~spare_valid):
            m.d.sync += spare.eq(self.sink.payload)
        with m.If(~stalls):
            m.d.sync += [self.source.valid.eq(behind_valid), head.eq(behind)]
        return m
