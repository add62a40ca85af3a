"""AXI4-Lite slave that turns the channels into single-cycle register reads and writes.

AMBA AXI protocol specification (IHI 0022), chapter B1.
"""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import axi_lite_signature

OKAY, SLAVE_ERROR = 0, 2


class AxiLiteSlave(wiring.Component):
    """One read and one write at a time; a transfer every two cycles at most in each direction.

    Members
    -------
    bus : In(axi_lite_signature())
    write : Out(1), for one cycle, with write_address (bytes), write_data and write_strobe
    write_error : In(1), in the same cycle: answer SLVERR
    read : Out(1), for one cycle, with read_address (bytes)
    read_data : In(32), read_error : In(1), in the same cycle
    """

    bus: In(axi_lite_signature())
    write: Out(1)
    write_address: Out(12)
    write_data: Out(32)
    write_strobe: Out(4)
    write_error: In(1)
    read: Out(1)
    read_address: Out(12)
    read_data: In(32)
    read_error: In(1)

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        m.d.comb += [
            self.write.eq(bus.awvalid & bus.wvalid & ~bus.bvalid),
            bus.awready.eq(self.write),
            bus.wready.eq(self.write),
            self.write_address.eq(bus.awaddr),
            self.write_data.eq(bus.wdata),
            self.write_strobe.eq(bus.wstrb),
            self.read.eq(bus.arvalid & ~bus.rvalid),
            bus.arready.eq(self.read),
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
