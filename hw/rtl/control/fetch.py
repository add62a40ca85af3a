"""Fetch: prefetches the program from DRAM into a small FIFO of instruction words."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.control.dispatch import fetched_layout
from tilewright.hw.rtl.interfaces import FETCH_ID, INDEX_BITS, axi_read_signature, bits
from tilewright.hw.rtl.transfer.burst import AXI_INCR
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import BURST_BOUNDARY_BYTES, FETCH_AHEAD
from tilewright.hw.spec.instruction_set import BY_NAME

PROGRAM_ADDRESS_BITS = 32


class Fetch(wiring.Component):
    """Reads a program in order, one burst an instruction, up to FETCH_AHEAD instructions ahead.

    An address goes out only when its instruction has a place, so rready is constant 1. Nothing
    more is requested once an END has arrived. An instruction whose last beat is accepted in cycle t
    shows in t+2. With latency L on `bus` and n = 64/axi_bytes beats an instruction the sustained
    rate is FETCH_AHEAD instructions in max(FETCH_AHEAD*n, L + n + 3) cycles.

    Members
    -------
    start : In(1), begin at `program_address` with index 0; only while idle; wins over stop
    stop : In(1), forget what was fetched; what is in flight is dropped as it arrives
    program_address : In(32), bytes from the DRAM base, a multiple of 64
    dram_base : In(64), bus address of DRAM byte 0, a multiple of 4096
    bus : Out(axi_read_signature), arid is FETCH_ID; rid and rlast are not looked at
    instruction : Out(stream of fetched_layout()): error is 1 where a beat had an error response
    idle : Out(1), no read is under way
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "program_address": In(PROGRAM_ADDRESS_BITS),
                "dram_base": In(64),
                "bus": Out(axi_read_signature(config)),
                "instruction": Out(stream.Signature(fetched_layout())),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        running = Signal()
        in_flight = Signal(range(FETCH_AHEAD + 1))
        arrived, ended, taken = bits("arrived", "ended", "taken")
        requested = self._request(m, running & ~ended, taken)
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(self.stop):
            m.d.sync += running.eq(0)
        m.d.sync += in_flight.eq(in_flight + requested - arrived)
        m.d.comb += self.idle.eq(in_flight == 0)
        self._receive(m, running, arrived, ended, taken)
        return m

    def _request(self, m, wanted, taken):
        """Send out the addresses; return whether an instruction is requested in this cycle."""
        bus = self.bus
        instruction_bits = exact_log2(isa.INSTRUCTION_BYTES)
        boundary_bits = exact_log2(BURST_BOUNDARY_BYTES)
        number = Signal(PROGRAM_ADDRESS_BITS - instruction_bits)
        kept = Signal(range(FETCH_AHEAD + 1))
        requested = Signal()
        m.d.comb += [
            requested.eq(
                wanted & ~self.stop & (kept != FETCH_AHEAD) & (~bus.arvalid | bus.arready)
            ),
            bus.arid.eq(FETCH_ID),
            bus.arlen.eq(isa.INSTRUCTION_BYTES // self._config.axi_bytes - 1),
            bus.arsize.eq(exact_log2(self._config.axi_bytes)),
            bus.arburst.eq(AXI_INCR),
            bus.rready.eq(1),
        ]
        with m.If(requested):
            m.d.sync += [
                bus.arvalid.eq(1),
                bus.araddr.eq(
                    Cat(Const(0, instruction_bits), number)
                    + Cat(Const(0, boundary_bits), self.dram_base[boundary_bits:])
                ),
                number.eq(number + 1),
            ]
        with m.Elif(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(self.start):
            m.d.sync += [number.eq(self.program_address[instruction_bits:]), kept.eq(0)]
        with m.Else():
            m.d.sync += kept.eq(kept + requested - taken)
        return requested

    def _receive(self, m, running, arrived, ended, taken):
        """Write arriving beats into the FIFO and hand out its words."""
        bus, head = self.bus, self.instruction
        bits = self._config.axi_data_bits
        beats = isa.INSTRUCTION_BITS // bits
        m.submodules.words = words = Memory(shape=isa.INSTRUCTION_BITS, depth=FETCH_AHEAD, init=[])
        write, read = words.write_port(granularity=bits), words.read_port()
        errors = Signal(FETCH_AHEAD)
        beat = Signal(range(beats))
        level = Signal(range(FETCH_AHEAD + 1))
        index = Signal(INDEX_BITS)
        next_head = Signal()
        opcode = bus.rdata[: isa.COMMON_FIELDS[0].width]
        is_end = (beat == 0) & (opcode == BY_NAME["END"].opcode)

        m.d.comb += [
            arrived.eq(bus.rvalid & (beat == beats - 1)),
            taken.eq(head.valid & head.ready),
            next_head.eq((level != 0) & (~head.valid | head.ready)),
            write.data.eq(bus.rdata.replicate(beats)),
            write.en.eq(Mux(bus.rvalid, 1 << beat, 0)),
            read.en.eq(next_head),
            head.payload.word.eq(read.data),
            head.payload.index.eq(index),
        ]
        with m.If(bus.rvalid):
            place = Const(1, FETCH_AHEAD) << write.addr
            m.d.sync += [
                beat.eq(Mux(arrived, 0, beat + 1)),
                errors.eq(Mux(bus.rresp[1], errors | place, errors & ~Mux(beat == 0, place, 0))),
                write.addr.eq(write.addr + arrived),
                ended.eq(ended | is_end),
            ]
        with m.If(next_head):
            m.d.sync += [
                read.addr.eq(read.addr + 1),
                head.payload.error.eq((errors >> read.addr)[0]),
            ]
        m.d.sync += [
            head.valid.eq(next_head | (head.valid & ~head.ready)),
            index.eq(index + taken),
            level.eq(level + arrived - next_head),
        ]
        with m.If(~running | self.stop | self.start):
            m.d.sync += [head.valid.eq(0), level.eq(0), index.eq(0), ended.eq(0)]
            m.d.sync += [read.addr.eq(0), write.addr.eq(0)]
