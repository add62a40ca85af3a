"""The vector engine: executes VECTOR instructions (docs/architecture.md).

    Prefetch -> WindowWalker -> SourceReader -> FirstStage ------------------> Writer
                                                          `-> SecondStage -'
                                        OperandReader ----'

Cycles, without refusals (hw/spec/operations/vector.py has them, a test holds both together).
With K values a window, S = lanes/operand_lanes, P pixels and G lane groups, an output pixel takes
I = K cycles, or max(K, S) with a second stage, and an instruction G * P * I of them. Its successor
is accepted after as many cycles, one more with path registers, if it is prepared: its header
(header_words cycles) and its table (32 cycles) are fetched from the retirement of the last
instruction but one on. A lone instruction retires K + (G * P - 1) * I + 16 cycles after its
acceptance, 9 + S later with a second stage; with path registers it is 21, and 14 + S.
Groups with parameters of their own and fewer than 2 cycles (one pixel) take 3 / 2 cycles on
average; those whose negative sums have scales of their own 3 more than others. An instruction
without second stage behind one with it writes when that one has retired.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from tilewright.hw.rtl.interfaces import (
    INDEX_BITS,
    Activity,
    bits,
    engine_signature,
    is_refused,
)
from tilewright.hw.rtl.signals import count_in_flight
from tilewright.hw.rtl.vector.first_stage import FirstStage
from tilewright.hw.rtl.vector.layouts import NUM_SLOTS, VECTOR, job_layout
from tilewright.hw.rtl.vector.operand_reader import OperandReader
from tilewright.hw.rtl.vector.prefetch import Prefetch
from tilewright.hw.rtl.vector.second_stage import SecondStage
from tilewright.hw.rtl.vector.source import SourceReader, activation_port, parameter_port
from tilewright.hw.rtl.vector.window import WindowWalker
from tilewright.hw.rtl.vector.writer import Writer
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.operations.vector import Vector


class VectorEngine(wiring.Component):
    """Stage 1 at `lanes` values a cycle, stage 2 at `operand_lanes` results a cycle.

    Members
    -------
    those of engine_signature, and the memory ports
    accumulator : read port of the accumulators (source)
    source, operand : read ports of the activation SRAM
    parameter : read port of the parameter SRAM
    destination : write port of the activation SRAM, at which it comes first: always granted
    coming_writes : see Writer

    With `instances` the lanes are instances of the modules in `LANE_MODULES`.
    """

    def __init__(self, *, config: Config, instances: bool = False):
        self._config = config
        self._first = FirstStage(config=config, instances=instances)
        self._second = SecondStage(config=config, instances=instances)
        self._reader = SourceReader(config=config)
        self._writer = Writer(config=config)
        super().__init__(
            {
                **engine_signature([VECTOR], config).members,
                "source": Out(activation_port(config)),
                "operand": Out(activation_port(config)),
                "accumulator": Out(self._reader.accumulator.signature),
                "parameter": Out(parameter_port(config)),
                "destination": Out(self._writer.activation.signature),
                **(
                    {"coming_writes": Out(config.activation_banks)} if config.path_registers else {}
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = WindowWalker(config=self._config)
        m.submodules.reader = reader = self._reader
        m.submodules.first_stage = first = self._first
        m.submodules.operands = operands = OperandReader(config=self._config)
        m.submodules.second_stage = second = self._second
        m.submodules.writer = writer = self._writer
        m.submodules.prefetch = prefetch = Prefetch(config=self._config)
        wiring.connect(m, walker.token, reader.token)
        wiring.connect(m, reader.values, first.values)
        wiring.connect(m, operands.values, second.second)
        wiring.connect(m, second.results, writer.combined)
        wiring.connect(m, prefetch.table_write, first.table_write)
        wiring.connect(m, reader.activation, wiring.flipped(self.source))
        wiring.connect(m, reader.accumulator, wiring.flipped(self.accumulator))
        wiring.connect(m, operands.activation, wiring.flipped(self.operand))
        wiring.connect(m, writer.activation, wiring.flipped(self.destination))
        if self._config.path_registers:
            m.d.comb += self.coming_writes.eq(writer.coming_writes)
        m.d.comb += [part.slots.eq(prefetch.slots) for part in (reader, first, second)]
        m.d.comb += reader.defer.eq(operands.starved)
        if self._config.path_registers:
            m.d.comb += [reader.ready_next.eq(first.ready_next), first.arrives.eq(reader.leaves)]
            m.d.comb += second.first_next.eq(first.combines_next)
            m.d.comb += operands.taken_next.eq(second.takes_next)

        combines = first.results.p.combines
        m.d.comb += [
            second.first.valid.eq(first.results.valid & combines),
            second.first.p.eq(first.results.p),
            writer.results.valid.eq(first.results.valid & ~combines),
            writer.results.payload.eq(first.results.p.values),
            first.results.ready.eq(Mux(combines, second.first.ready, writer.results.ready)),
            self.retire.eq(writer.retire),
        ]
        self._share_parameters(m, first, prefetch)
        self._accept(m, walker, prefetch, writer, operands)
        self._report_faults(m, prefetch, writer, operands, reader, first)
        self._report_activity(m)
        return m

    def _share_parameters(self, m, first, prefetch):
        """A group's parameters come before the next instruction's header and table."""
        m.d.comb += [
            self.parameter.request.eq(first.parameter.request | prefetch.parameter.request),
            self.parameter.address.eq(
                Mux(first.parameter.request, first.parameter.address, prefetch.parameter.address)
            ),
            first.parameter.grant.eq(self.parameter.grant),
            first.parameter.data.eq(self.parameter.data),
            prefetch.parameter.grant.eq(self.parameter.grant & ~first.parameter.request),
            prefetch.parameter.data.eq(self.parameter.data),
        ]

    def _accept(self, m, walker, prefetch, writer, operands):
        """Take an instruction once its header is there: to the loops, and its output jobs."""
        fields = self.instruction.p.fields.VECTOR
        empty, misplaced = bits("empty", "misplaced")
        room, accept, slot = bits("room", "accept", "slot")
        in_flight = count_in_flight(m, NUM_SLOTS, accepted=accept, retired=self.retire)
        self._in_flight = in_flight
        waiting_writer, waiting_operand = bits("waiting_writer", "waiting_operand")
        offered = self._judge(m, fields, empty, misplaced)
        m.d.comb += [
            room.eq((in_flight < NUM_SLOTS) & ~waiting_writer & ~waiting_operand),
            prefetch.valid.eq(offered & room & ~empty),
            prefetch.instruction.eq(self.instruction.p),
            prefetch.slot.eq(slot),
            walker.start.valid.eq(prefetch.valid & prefetch.done),
            walker.start.p.fields.eq(fields),
            walker.start.p.slot.eq(slot),
            prefetch.start.eq(walker.start.valid & walker.start.ready),
            accept.eq(prefetch.start | (offered & room & empty)),
            self.instruction.ready.eq(accept),
        ]
        self._misplaced = offered & room & misplaced

        jobs = {
            name: Signal(job_layout(self._config), name=f"{name}_job")
            for name in ("destination", "operand")
        }
        with m.If(accept):
            m.d.sync += slot.eq(~slot)
        for name, unit, waiting in (
            ("destination", writer, waiting_writer),
            ("operand", operands, waiting_operand),
        ):
            m.d.comb += [unit.job.valid.eq(waiting), unit.job.p.eq(jobs[name])]
            # Accepted or not: the enable comes from a register.
            with m.If(~waiting):
                m.d.sync += self._fill_job(jobs[name], fields, name, slot, empty)
            needed = 1 if name == "destination" else fields.combine.any() & ~empty
            with m.If(accept & needed):
                m.d.sync += waiting.eq(1)
            with m.Elif(unit.job.ready):
                m.d.sync += waiting.eq(0)

    def _judge(self, m, fields, empty, misplaced):
        """Find whether an instruction has a bad lane group, or is empty; return if one is offered.

        With path registers that is known a cycle after the instruction has come.
        """
        nothing = Cat(fields[name] == 0 for name in Vector.counts).any()
        wrong = ~nothing & self._is_misplaced(fields)
        if not self._config.path_registers:
            m.d.comb += [misplaced.eq(wrong), empty.eq(nothing | misplaced)]
            return self.instruction.valid
        m.d.sync += [misplaced.eq(wrong), empty.eq(nothing | wrong)]
        offered = Signal()
        m.d.sync += offered.eq(self.instruction.valid & ~self.instruction.ready)
        return offered

    def _is_misplaced(self, fields):
        """A first lane group that its word does not have."""
        config = self._config
        groups = Mux(
            fields.source_kind == isa.Source.ACCUMULATOR, config.col_groups, config.row_groups
        )
        return (
            (fields.source_group >= groups)
            | (fields.destination_group >= config.row_groups)
            | (fields.combine.any() & (fields.operand_group >= config.row_groups))
        )

    def _fill_job(self, job, fields, name, slot, empty):
        """The walk over `name`'s buffer."""
        walk = job.walk
        return [
            walk.base.eq(fields[name]),
            walk.stride.eq(fields[f"{name}_stride"]),
            walk.pitch.eq(fields[f"{name}_pitch"]),
            walk.group.eq(fields[f"{name}_group"]),
            *(walk[count].eq(fields[count]) for count in ("groups", "out_height", "out_width")),
            job.slot.eq(slot),
            job.combine.eq(fields.combine.any()),
            job.empty.eq(empty),
        ]

    def _report_faults(self, m, prefetch, writer, operands, reader, first):
        """The fault of this cycle; of several, the one of the oldest instruction's last stage."""
        fault, index = Signal(name="front_fault"), Signal(INDEX_BITS, name="front_index")
        m.d.sync += [
            fault.eq(prefetch.fault | self._misplaced),
            index.eq(self.instruction.p.index),
        ]
        for unit in (reader, first, operands, writer):
            fault = fault | unit.fault
            index = Mux(unit.fault, prefetch.slots[unit.fault_slot].index, index)
        m.d.comb += [self.fault.eq(fault), self.fault_index.eq(index)]

    def _report_activity(self, m):
        """BANK in a cycle in which a port refused; BUSY from acceptance to retirement."""
        ports = (self.source, self.operand, self.accumulator, self.parameter)
        with m.If(Cat(is_refused(port) for port in ports).any()):
            m.d.comb += self.activity.eq(Activity.BANK)
        with m.Elif((self._in_flight != 0) | self.instruction.valid):
            m.d.comb += self.activity.eq(Activity.BUSY)
        with m.Else():
            m.d.comb += self.activity.eq(Activity.IDLE)
