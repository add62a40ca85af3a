"""The AXI read arbiter: fetch before load on one read port."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import FETCH_ID, axi_read_signature
from tilewright.hw.spec.config import Config

ADDRESS_FIELDS = ("id", "addr", "len", "size", "burst")


class ReadArbiter(wiring.Component):
    """Joins two read masters; read data goes to fetch where rid is FETCH_ID, else to load.

    An address taken from a master in cycle t is on `memory` in t+1, one a cycle. Read data passes
    in its own cycle; it is taken when both masters are ready, so that rready depends on no input.
    (Fetch is always ready, and load when it awaits nothing, so neither can block the other.)

    Members
    -------
    fetch, load : In(axi_read_signature)
    memory : Out(axi_read_signature)
    """

    def __init__(self, *, config: Config):
        self._config = config
        master = axi_read_signature(config)
        super().__init__({"fetch": In(master), "load": In(master), "memory": Out(master)})

    def elaborate(self, platform):
        m = Module()
        fetch, load, memory = self.fetch, self.load, self.memory
        with m.If(~memory.arvalid | memory.arready):
            m.d.comb += [fetch.arready.eq(1), load.arready.eq(~fetch.arvalid)]
            m.d.sync += memory.arvalid.eq(fetch.arvalid | load.arvalid)
            for field in ADDRESS_FIELDS:
                target = getattr(memory, f"ar{field}")
                with m.If(fetch.arvalid):
                    m.d.sync += target.eq(getattr(fetch, f"ar{field}"))
                with m.Elif(load.arvalid):
                    m.d.sync += target.eq(getattr(load, f"ar{field}"))

        for_fetch = Signal()
        m.d.comb += [
            for_fetch.eq(memory.rid == FETCH_ID),
            memory.rready.eq(fetch.rready & load.rready),
            fetch.rvalid.eq(memory.rvalid & for_fetch & load.rready),
            load.rvalid.eq(memory.rvalid & ~for_fetch & fetch.rready),
        ]
        for master in (fetch, load):
            for field in ("id", "data", "resp", "last"):
                m.d.comb += getattr(master, f"r{field}").eq(getattr(memory, f"r{field}"))
        return m
