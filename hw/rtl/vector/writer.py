"""Writes results to activation SRAM and retires instructions."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import bits, write_port_signature
from tilewright.hw.rtl.memory import activation_banks_of
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.rtl.vector.layouts import combined_signature, job_layout
from tilewright.hw.rtl.vector.walker import Walker
from tilewright.hw.spec.config import Config


class Writer(wiring.Component):
    """One write a cycle, in the cycle behind that in which the results are there.

    Nobody comes before it at the port, so that no grant stands in the way of what is behind it;
    the write comes from registers, so that nothing of it stands in the way of others' grants.

    Members
    -------
    job : In(stream of job_layout); `walk` is the destination's
    results : In(stream of lanes of int8), of jobs without a second stage
    combined : In(combined_signature), of jobs with one; lanes/operand_lanes a word
    activation : write port, granted in the cycle of every request
    retire : Out(1); with the last write, or the job is empty
    fault, fault_slot : Out; a write of that slot's instruction is out of range
    coming_writes : Out(a bit a bank of the activation SRAM), it is written in the next cycle;
        exists with path registers
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._steps = config.lanes // config.operand_lanes
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "results": In(stream.Signature(data.ArrayLayout(signed(8), config.lanes))),
                "combined": In(combined_signature(config)),
                "activation": Out(
                    write_port_signature(
                        address_bits=index_bits(config.activation_words),
                        width=8 * config.activation_word_bytes,
                        granularity=8,
                    )
                ),
                "retire": Out(1),
                "fault": Out(1),
                "fault_slot": Out(1),
                **(
                    {"coming_writes": Out(config.activation_banks)} if config.path_registers else {}
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = Walker(config=self._config)
        job = walker.position
        here, step = bits("here", "step")
        part, last_part = self._count_parts(m, here & job.combine)
        wiring.connect(m, wiring.flipped(self.job), walker.job)
        m.d.comb += [
            here.eq(
                walker.active
                & ~job.empty
                & Mux(job.combine, self.combined.valid, self.results.valid)
            ),
            self.results.ready.eq(here & ~job.combine),
            step.eq(here & (~job.combine | last_part)),
            walker.moves.eq(walker.active & (job.empty | step)),
        ]
        m.d.sync += [
            self.retire.eq(walker.moves & job.last),
            self.fault.eq(here & ~job.exists),
            self.fault_slot.eq(job.slot),
            self.activation.request.eq(here & job.exists),
            self.activation.address.eq(job.address),
        ]
        if self._config.path_registers:
            banks = activation_banks_of(job.address, self._config)
            m.d.comb += self.coming_writes.eq(Mux(here & job.exists, banks, 0))
        with m.If(self.combined.valid):
            m.d.sync += Assert(walker.active & job.combine & ~job.empty)
        self._place(m, job.combine, job.group, part)
        return m

    def _count_parts(self, m, taken):
        """Which part of a word the combined results are, and whether it is the last one."""
        if self._steps == 1:
            return 0, 1
        part = Signal(range(self._steps))
        last = part == self._steps - 1
        with m.If(taken):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        return part, last

    def _place(self, m, combine, group, part):
        """Repeat the results over the word; the mask has the bytes that count."""
        config = self._config
        combined = self.combined.payload.as_value().replicate(self._steps)
        values = Mux(combine, combined, self.results.payload.as_value())
        parts = Cat(~combine | (part == number) for number in range(self._steps))
        lanes = Cat(bit.replicate(config.operand_lanes) for bit in parts)
        mask = Cat(
            Mux(group == number, lanes, 0)[: config.lanes] for number in range(config.row_groups)
        )
        written = register(len(values), "written")
        m.d.comb += self.activation.data.eq(written.replicate(config.row_groups))
        m.d.sync += [written.eq(values), self.activation.mask.eq(mask)]
