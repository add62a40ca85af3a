"""AXI4-Lite slave that turns the channels into single-cycle register reads and writes.

AMBA AXI protocol specification (IHI 0022), chapters A3 and B1.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import axi_lite_signature

OKAY, SLAVE_ERROR = 0, 2


class AxiLiteSlave(wiring.Component):
    """One read and one write at a time: a read every two cycles at most, a write every three.

    With `late_reads` a read is answered in the cycle after that of its address: one every three.

    Each ready is a register's (A3.1.1: nothing combinational between inputs and outputs). Address
    and data of a write are taken together, in the cycle after both are there.

    Members
    -------
    bus : In(axi_lite_signature())
    write : Out(1), for one cycle, with write_address (bytes), write_data and write_strobe
    write_error : In(1), in the same cycle: answer SLVERR
    read : Out(1), for one cycle, with read_address (bytes)
    read_data : In(32), read_error : In(1), in the same cycle
    """

    def __init__(self, *, late_reads: bool = False):
        self._late_reads = late_reads
        super().__init__(
            {
                "bus": In(axi_lite_signature()),
                "write": Out(1),
                "write_address": Out(12),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "write_error": In(1),
                "read": Out(1),
                "read_address": Out(12),
                "read_data": In(32),
                "read_error": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        accept = Signal()
        m.d.sync += accept.eq(bus.awvalid & bus.wvalid & ~accept & ~bus.bvalid)
        m.d.comb += [
            bus.awready.eq(accept),
            bus.wready.eq(accept),
            self.write.eq(accept),
            self.write_address.eq(bus.awaddr),
            self.write_data.eq(bus.wdata),
            self.write_strobe.eq(bus.wstrb),
            bus.arready.eq(~bus.rvalid & ~self.read if self._late_reads else ~bus.rvalid),
        ]
        m.d["sync" if self._late_reads else "comb"] += [
            self.read.eq(bus.arvalid & bus.arready),
            self.read_address.eq(bus.araddr),
        ]
        with m.If(self.write):
            m.d.sync += [
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(self.write_error, SLAVE_ERROR, OKAY)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(self.read):
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rdata.eq(self.read_data),
                bus.rresp.eq(Mux(self.read_error, SLAVE_ERROR, OKAY)),
            ]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
