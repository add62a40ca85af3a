"""Fetch: prefetches the program from DRAM into a small FIFO of instruction words."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.control.dispatch import fetched_layout
from tilewright.hw.rtl.interfaces import FETCH_ID, INDEX_BITS, axi_read_signature, bits
from tilewright.hw.rtl.transfer.burst import AXI_INCR
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import BURST_BOUNDARY_BYTES
from tilewright.hw.spec.encoding import used_bits
from tilewright.hw.spec.instruction_set import BY_NAME

PROGRAM_ADDRESS_BITS = 32


class Fetch(wiring.Component):
    """Reads a program in order, one burst an instruction, up to A = `fetch_ahead` of them ahead.

    An address goes out only when its instruction has a place, so rready is constant 1. Nothing
    more is requested once an END has arrived. An instruction whose last beat is accepted in cycle t
    shows in t+2. With latency L on `bus` and n = 64/axi_bytes beats an instruction the sustained
    rate is A instructions in max(A*n, L + n + 3) cycles.

    With path_registers an instruction shows in the second cycle behind the last one's, so that what
    dispatch does reaches the FIFO from a register.

    Bits of a word that no field has are kept as one, the lowest of them: whether any is set.

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
        self._ahead = config.fetch_ahead
        self._places = config.fetch_ahead - 1  # one more word is at the head
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
        in_flight = Signal(range(self._ahead + 1))
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
        kept = Signal(range(self._ahead + 1))
        requested = Signal()
        m.d.comb += [
            requested.eq(
                wanted & ~self.stop & (kept != self._ahead) & (~bus.arvalid | bus.arready)
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
            # Whether one is taken comes late: it chooses between two sums.
            m.d.sync += kept.eq(Mux(taken, kept + requested - 1, kept + requested))
        return requested

    def _receive(self, m, running, arrived, ended, taken):
        """Count what arrives into the FIFO and hand out its words."""
        bus, head = self.bus, self.instruction
        beats = isa.INSTRUCTION_BITS // self._config.axi_data_bits
        place, next_place = (Signal(range(self._places), name=n) for n in ("place", "next_place"))
        beat = Signal(range(beats))
        level = Signal(range(self._places + 1))
        index = Signal(INDEX_BITS)
        next_head = Signal()
        opcode = bus.rdata[: isa.COMMON_FIELDS[0].width]
        is_end = (beat == 0) & (opcode == BY_NAME["END"].opcode)

        m.d.comb += [
            arrived.eq(bus.rvalid & (beat == beats - 1)),
            taken.eq(head.valid & head.ready),
            next_head.eq((level != 0) & self._is_free(head)),
            head.payload.index.eq(index),
        ]
        self._keep(m, beat, place, next_place, next_head)
        with m.If(bus.rvalid):
            m.d.sync += [beat.eq(Mux(arrived, 0, beat + 1)), ended.eq(ended | is_end)]
        for pointer, moves in ((place, arrived), (next_place, next_head)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == self._places - 1, 0, pointer + 1))
        m.d.sync += Assert((level != self._places) | ~arrived | next_head)
        m.d.sync += [
            head.valid.eq(next_head | (head.valid & ~head.ready)),
            index.eq(index + taken),
            # Whether a word moves to the head comes late: it chooses between two sums.
            level.eq(Mux(next_head, level + arrived - 1, level + arrived)),
        ]
        with m.If(~running | self.stop | self.start):
            m.d.sync += [head.valid.eq(0), level.eq(0), index.eq(0), ended.eq(0)]
            m.d.sync += [place.eq(0), next_place.eq(0)]

    def _is_free(self, head):
        """A word may move to the head, where it can be in the next cycle."""
        return ~head.valid if self._config.path_registers else ~head.valid | head.ready

    def _keep(self, m, beat, place, next_place, next_head):
        """The FIFO's words, of each the bits that fields can have, and what else is known of it."""
        bus, head, width = self.bus, self.instruction.payload, self._config.axi_data_bits
        used = used_bits(self._config)
        parts, reserved = [], []
        for number, first in enumerate(range(0, isa.INSTRUCTION_BITS, width)):
            size = max(0, min(width, used - first))
            is_here = beat == number
            reserved.append(is_here & bus.rdata[size:].any())
            if size:
                part = Memory(shape=size, depth=self._places, init=[])
                m.submodules[f"words{number}"] = part
                write, read = part.write_port(), part.read_port()
                m.d.comb += [
                    write.addr.eq(place),
                    write.data.eq(bus.rdata[:size]),
                    write.en.eq(bus.rvalid & is_here),
                    read.addr.eq(next_place),
                    read.en.eq(next_head),
                ]
                parts.append(read.data)
        some_reserved = Signal()
        m.d.comb += head.word.eq(Cat(*parts, some_reserved))
        for name, found, shown in (
            ("errors", bus.rresp[1], head.error),
            ("reserved", Cat(reserved).any(), some_reserved),
        ):
            flags = Signal(self._places, name=name)
            here = Const(1, self._places) << place
            with m.If(bus.rvalid):
                m.d.sync += flags.eq(Mux(found, flags | here, flags & ~Mux(beat == 0, here, 0)))
            with m.If(next_head):
                m.d.sync += shown.eq((flags >> next_place)[0])
