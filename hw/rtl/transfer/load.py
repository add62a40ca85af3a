"""The load engine: DRAM words over AXI into activation, weight or parameter SRAM."""

from amaranth.hdl import Assert, Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import (
    LOAD_ID,
    Activity,
    axi_read_signature,
    engine_signature,
    write_port_signature,
)
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.rtl.transfer.assemble import WordAssembler, beat_layout
from tilewright.hw.rtl.transfer.burst import (
    AXI_INCR,
    BurstSplitter,
    RunIterator,
    burst_words_layout,
    retirement_domain,
)
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_NAME

LOAD = BY_NAME["LOAD"]
MASK_GRANULARITY = 8
"""Data bits per mask bit of the write port of activation SRAM."""


class LoadEngine(wiring.Component):
    """Executes LOAD instructions in order; up to config.axi_outstanding bursts in flight.

    With an idle engine an instruction accepted in cycle t has its first burst on AR in t+2; a beat
    that is accepted in cycle t completes a word that is written in t+2 at the earliest. Steady
    state: one burst address a cycle, one beat a cycle for words of a beat and more, one word a
    cycle for narrower words. Instructions follow one another without a gap. A word whose beats
    had an error response is written as it came. With path_registers an instruction retires in the
    cycle behind its last write, and runs follow one another every other cycle at most.

    Members
    -------
    engine_signature(LOAD)
    bus : Out(axi_read_signature), arid is LOAD_ID; rid and rlast are not looked at
    activation, weight, parameter : Out(write_port_signature); only activation has byte masks
    dram_base : In(64), bus address of DRAM byte 0, a multiple of 4096
    stop : In(1), forget what is not a burst yet; bursts that were sent run to their end
    coming_writes : In(a bit a bank of the activation SRAM), others write it in the next cycle,
        unless they are stopped, and nobody else writes another SRAM; exists with path_registers
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._memories = {
            "activation": (config.activation_words, 8 * config.activation_word_bytes),
            "weight": (config.weight_words, 8 * config.weight_word_bytes),
            "parameter": (config.parameter_words, 8 * config.parameter_word_bytes),
        }
        super().__init__(
            {
                **engine_signature([LOAD], config).members,
                "bus": Out(axi_read_signature(config)),
                **{
                    name: Out(
                        write_port_signature(
                            address_bits=(words - 1).bit_length(),
                            width=width,
                            granularity=MASK_GRANULARITY if name == "activation" else width,
                        )
                    )
                    for name, (words, width) in self._memories.items()
                },
                "dram_base": In(64),
                "stop": In(1),
                **({"coming_writes": In(config.activation_banks)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        forgetful = ResetInserter(self.stop)
        iterator = RunIterator(config=config, operation=LOAD)
        splitter = BurstSplitter(config=config, operation=LOAD)
        m.submodules.iterator, m.submodules.splitter = forgetful(iterator), forgetful(splitter)
        m.submodules.beats = beats = SkidBuffer(shape=beat_layout(config))
        m.submodules.assembler = assembler = WordAssembler(config=config)
        pending = burst_words_layout(LOAD, config)
        # One more burst, the current one, is in the assembler.
        m.submodules.bursts = bursts = SyncFIFO(
            width=pending.size, depth=config.axi_outstanding - 1
        )
        wiring.connect(m, wiring.flipped(self.instruction), iterator.instruction)
        wiring.connect(m, iterator.run, splitter.run)
        wiring.connect(m, beats.source, assembler.beat)

        bus, burst = self.bus, splitter.burst
        m.d.comb += [
            splitter.dram_base.eq(self.dram_base),
            bus.arid.eq(LOAD_ID),
            bus.araddr.eq(burst.payload.address),
            bus.arlen.eq(burst.payload.length),
            bus.arsize.eq(exact_log2(config.axi_bytes)),
            bus.arburst.eq(AXI_INCR),
            bus.arvalid.eq(burst.valid & ~burst.payload.words.empty & bursts.w_rdy),
            burst.ready.eq(bursts.w_rdy & (burst.payload.words.empty | bus.arready)),
            bursts.w_en.eq(burst.valid & burst.ready),
            bursts.w_data.eq(burst.payload.words),
            assembler.burst.valid.eq(bursts.r_rdy),
            assembler.burst.payload.eq(bursts.r_data),
            bursts.r_en.eq(assembler.burst.ready),
            beats.sink.valid.eq(bus.rvalid),
            bus.rready.eq(beats.sink.ready),
            beats.sink.payload.data.eq(bus.rdata),
            beats.sink.payload.error.eq(bus.rresp[1]),
        ]
        moving = self._write(m, assembler)
        under_way = iterator.active | burst.valid | bursts.r_rdy | assembler.active
        if config.path_registers:
            under_way |= self.retire
        with m.If(moving | assembler.moving):
            m.d.comb += self.activity.eq(Activity.BUSY)
        with m.Elif(assembler.word.valid):
            m.d.comb += self.activity.eq(Activity.BANK)
        with m.Elif(under_way):
            m.d.comb += self.activity.eq(Activity.MEMORY)
        return m

    def _write(self, m: Module, assembler: WordAssembler) -> Value:
        """Write the assembled word; return whether it leaves in this cycle."""
        word = assembler.word
        self._connect(m, assembler)
        m.d.comb += [
            self.fault_is_bus.eq(word.payload.error),
            self.fault_index.eq(word.payload.index),
            self.fault.eq(
                word.valid & word.ready & ~word.payload.empty
                & (word.payload.error | ~word.payload.in_range)
            ),
        ]  # fmt: skip
        m.d[retirement_domain(self._config)] += self.retire.eq(
            word.valid & word.ready & word.payload.last
        )
        return word.valid & word.ready

    def _connect(self, m: Module, assembler: WordAssembler) -> None:
        """Offer the word to its memory; it is ready where that grants it, or there is none.

        With path_registers that is known a cycle before; a word in front of a write that did not
        come is written twice.
        """
        granted = Signal()
        word, payload = assembler.word, assembler.word.payload
        dropped = payload.empty | ~payload.in_range
        ports = [getattr(self, name) for name in self._memories]
        for number, port in enumerate(ports):
            is_own = payload.target == number
            wanted = payload.written[number] if self._config.path_registers else ~dropped & is_own
            m.d.comb += [
                port.request.eq(word.valid & wanted),
                port.address.eq(payload.address),
                port.data.eq(payload.data),
                port.mask.eq(-1),
            ]
            with m.If(is_own):
                m.d.comb += granted.eq(port.grant)
        if self._config.path_registers:
            is_granted = Signal(init=1)
            refused = Cat(port.request & ~port.grant for port in ports)
            m.d.sync += [
                is_granted.eq(~(assembler.next_banks & self.coming_writes).any()),
                Assert(~(is_granted & refused.any())),
            ]
            m.d.comb += word.ready.eq(is_granted)
        else:
            m.d.comb += word.ready.eq(dropped | granted)
