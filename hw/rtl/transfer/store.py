"""The store engine: words of activation SRAM over AXI to DRAM."""

from amaranth.hdl import Module, ResetInserter, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import (
    INDEX_BITS,
    STORE_ID,
    Activity,
    accesses,
    axi_write_signature,
    choose_access,
    engine_signature,
)
from tilewright.hw.rtl.transfer.burst import (
    AXI_INCR,
    BurstSplitter,
    RunIterator,
    burst_words_layout,
    retirement_domain,
)
from tilewright.hw.rtl.transfer.pack import BeatPacker, WordReader, store_port
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import STORE_READ_AHEAD_BURSTS
from tilewright.hw.spec.instruction_set import BY_NAME

STORE = BY_NAME["STORE"]


def response_layout() -> data.StructLayout:
    """A burst whose response is awaited; `empty`: there is none, only a retirement."""
    return data.StructLayout({"last": 1, "empty": 1, "index": unsigned(INDEX_BITS)})


class StoreEngine(wiring.Component):
    """Executes STORE instructions in order; up to config.axi_outstanding bursts in flight.

    With an idle engine an instruction accepted in cycle t has its first burst on AW in t+3 and
    requests its first word in t+4; a word granted in cycle t is on W in t+3 (when it completes a
    beat). Steady state: one burst address a cycle, one beat a cycle for words of a beat and more,
    one word a cycle for narrower words. Instructions follow one another without a gap. AW and W
    do not wait for each other, except that AW runs STORE_READ_AHEAD_BURSTS ahead at most, and W
    one. With path_registers an instruction retires in the cycle behind its last response, and runs
    follow one another every other cycle at most; with wire_registers a granted word is on W in t+4.

    Members
    -------
    engine_signature(STORE)
    bus : Out(axi_write_signature), awid is STORE_ID; bid is not looked at
    activation : Out(store_port)
    dram_base : In(64), bus address of DRAM byte 0, a multiple of 4096
    stop : In(1), forget what is not a burst yet; bursts that were sent run to their end
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                **engine_signature([STORE], config).members,
                "bus": Out(axi_write_signature(config)),
                "activation": Out(store_port(config)),
                "dram_base": In(64),
                "stop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        forgetful = ResetInserter(self.stop)
        iterator = RunIterator(config=config, operation=STORE)
        splitter = BurstSplitter(config=config, operation=STORE)
        m.submodules.iterator, m.submodules.splitter = forgetful(iterator), forgetful(splitter)
        m.submodules.bursts = bursts = SyncFIFO(
            width=burst_words_layout(STORE, config).size, depth=STORE_READ_AHEAD_BURSTS
        )
        m.submodules.responses = responses = SyncFIFO(
            width=response_layout().size, depth=config.axi_outstanding
        )
        m.submodules.reader = reader = WordReader(config=config)
        m.submodules.packer = packer = BeatPacker(config=config)
        wiring.connect(m, wiring.flipped(self.instruction), iterator.instruction)
        wiring.connect(m, iterator.run, splitter.run)
        wiring.connect(m, reader.word, packer.word)
        wiring.connect(m, reader.activation, wiring.flipped(self.activation))

        bus = self.bus
        m.d.comb += [
            splitter.dram_base.eq(self.dram_base),
            reader.burst.valid.eq(bursts.r_rdy),
            reader.burst.payload.eq(bursts.r_data),
            bursts.r_en.eq(reader.burst.ready),
            bus.wvalid.eq(packer.beat.valid),
            bus.wdata.eq(packer.beat.payload.data),
            bus.wstrb.eq(packer.beat.payload.strobe),
            bus.wlast.eq(packer.beat.payload.last),
            packer.beat.ready.eq(bus.wready),
        ]
        self._address(m, splitter.burst, bursts, responses)
        self._respond(m, responses, reader)
        under_way = iterator.active | splitter.burst.valid | responses.r_rdy
        if config.path_registers:
            under_way |= self.retire
        asked = [access.request for access in accesses(self.activation)]
        with m.If(reader.moving | (bus.wvalid & bus.wready)):
            m.d.comb += self.activity.eq(Activity.BUSY)
        with m.Elif(choose_access(self.activation, asked)):
            m.d.comb += self.activity.eq(Activity.BANK)
        with m.Elif(under_way):
            m.d.comb += self.activity.eq(Activity.MEMORY)
        return m

    def _address(self, m, burst, bursts, responses):
        """Send each burst to AW, to the reader and to those whose response is awaited."""
        bus, words = self.bus, burst.payload.words
        free = ~bus.awvalid | bus.awready
        response = Signal(response_layout())
        m.d.comb += [
            burst.ready.eq(responses.w_rdy & (words.empty | (bursts.w_rdy & free))),
            bursts.w_en.eq(burst.valid & burst.ready & ~words.empty),
            bursts.w_data.eq(words),
            response.last.eq(words.last),
            response.empty.eq(words.empty),
            response.index.eq(words.index),
            responses.w_en.eq(burst.valid & burst.ready),
            responses.w_data.eq(response),
            bus.awid.eq(STORE_ID),
            bus.awsize.eq(exact_log2(self._config.axi_bytes)),
            bus.awburst.eq(AXI_INCR),
        ]
        with m.If(bursts.w_en):
            m.d.sync += [
                bus.awvalid.eq(1),
                bus.awaddr.eq(burst.payload.address),
                bus.awlen.eq(burst.payload.length),
            ]
        with m.Elif(bus.awready):
            m.d.sync += bus.awvalid.eq(0)

    def _respond(self, m, responses, reader):
        """Retire at the response of an instruction's last burst.

        A range fault in the very cycle of an error response is not reported: the first fault
        stays, and the response is the older one's.
        """
        bus = self.bus
        oldest = Signal(response_layout())
        answered = bus.bvalid & bus.bready
        failed = answered & bus.bresp[1]
        m.d.comb += [
            oldest.eq(responses.r_data),
            bus.bready.eq(responses.r_rdy & ~oldest.empty),
            responses.r_en.eq(oldest.empty | answered),
            self.fault.eq(failed | reader.fault),
            self.fault_is_bus.eq(failed),
        ]
        m.d[retirement_domain(self._config)] += self.retire.eq(
            responses.r_rdy & responses.r_en & oldest.last
        )
        with m.If(failed):
            m.d.comb += self.fault_index.eq(oldest.index)
        with m.Else():
            m.d.comb += self.fault_index.eq(reader.fault_index)
