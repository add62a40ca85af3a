"""A buffer that keeps a stall of its consumer off the path to its producer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class SkidBuffer(wiring.Component):
    """Two places, so that both handshakes come from registers alone.

    Members
    -------
    sink : In(stream), ready while the spare place is free
    source : Out(stream); what is accepted in cycle t shows in t+1; one a cycle
    fills : Out(1), the spare place is taken in the next cycle
    """

    def __init__(self, *, shape):
        self._shape = shape
        super().__init__(
            {
                "sink": In(stream.Signature(shape)),
                "source": Out(stream.Signature(shape)),
                "fills": Out(1),
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
        m.d.sync += spare_valid.eq(self.fills)
        with m.If(~spare_valid):
            m.d.sync += spare.eq(self.sink.payload)
        with m.If(~stalls):
            m.d.sync += self.source.valid.eq(spare_valid | self.sink.valid)
            m.d.sync += head.eq(Mux(spare_valid, spare, self.sink.payload))
        return m
