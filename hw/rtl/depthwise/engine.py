"""The depthwise engine: executes DEPTHWISE instructions (docs/architecture.md).

    DepthwiseSequencer -> DepthwisePipeline
    WeightLatch ----------------'

Cycles: hw/spec/operations/depthwise.py has them, a test holds both together.
"""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.layouts import DEPTHWISE
from tilewright.hw.rtl.depthwise.pipeline import DepthwisePipeline
from tilewright.hw.rtl.depthwise.sequencer import DepthwiseSequencer
from tilewright.hw.rtl.depthwise.weights import WeightLatch
from tilewright.hw.rtl.interfaces import Activity, engine_signature, is_refused
from tilewright.hw.rtl.signals import count_in_flight, delayed
from tilewright.hw.spec.config import Config

MOST_IN_FLIGHT = 15
"""Each of the stages from the loops to the write may hold an instruction of its own."""


class DepthwiseEngine(wiring.Component):
    """One activation word a cycle, each of its channels times `depthwise_taps` weights at once.

    With path_registers an instruction is accepted in the cycle after its offer at the earliest: by
    then a register says whether it is empty.

    Members
    -------
    those of engine_signature, and the memory ports
    activation_read, accumulator_read, parameter_read : Out(read_port_signature)
    accumulator_write : Out(write_port_signature) with one mask bit
    coming_writes : In(a bit a bank of the accumulators), others write it in the next cycle; exists
        with path_registers, which have no time to wait for the write's grant
    """

    def __init__(self, *, config: Config):
        self._sequencer = DepthwiseSequencer(config=config)
        self._weights = WeightLatch(config=config)
        self._pipeline = DepthwisePipeline(config=config)
        self._ports = {
            "activation_read": self._pipeline.activation_read,
            "accumulator_read": self._pipeline.accumulator_read,
            "accumulator_write": self._pipeline.accumulator_write,
            "parameter_read": self._weights.parameter,
        }
        self._has_path_registers = config.path_registers
        coming = {"coming_writes": In(config.accumulator_banks)} if config.path_registers else {}
        super().__init__(
            {
                **coming,
                **engine_signature([DEPTHWISE], config).members,
                **{name: Out(port.signature) for name, port in self._ports.items()},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = self._sequencer
        m.submodules.latch = weights = self._weights
        m.submodules.pipeline = pipeline = self._pipeline
        wiring.connect(m, sequencer.access, pipeline.access)
        for name, port in self._ports.items():
            wiring.connect(m, port, wiring.flipped(getattr(self, name)))
        offered, accepts = self.instruction.valid, sequencer.instruction.ready
        has_words = offered & ~sequencer.empty
        if self._has_path_registers:
            waits = ~self.instruction.ready
            offered = delayed(m, offered & waits, "offered")
            has_words = delayed(m, has_words & waits, "has_words")
            accepts &= offered
            m.d.comb += pipeline.coming_writes.eq(self.coming_writes)
        m.d.comb += [
            sequencer.instruction.valid.eq(offered),
            sequencer.instruction.p.eq(self.instruction.p),
            self.instruction.ready.eq(accepts),
            weights.offered.eq(has_words),
            weights.next.eq(self.instruction.p),
            weights.accept.eq(has_words & self.instruction.ready),
            weights.index.eq(sequencer.index),
            weights.claim.eq(sequencer.claim),
            sequencer.available.eq(weights.available),
            pipeline.weights.eq(weights.weights),
            weights.swap.eq(pipeline.swap),
            self.retire.eq(pipeline.retire),
            self.fault.eq(sequencer.fault | weights.fault),
            self.fault_index.eq(Mux(sequencer.fault, sequencer.fault_index, weights.fault_index)),
        ]
        self._report_activity(m)
        return m

    def _report_activity(self, m):
        """BANK in a cycle in which a port refused; BUSY from acceptance to retirement."""
        accepted = self.instruction.valid & self.instruction.ready
        in_flight = count_in_flight(m, MOST_IN_FLIGHT, accepted=accepted, retired=self.retire)
        ports = [getattr(self, name) for name in self._ports]
        with m.If(Cat(is_refused(port) for port in ports).any()):
            m.d.comb += self.activity.eq(Activity.BANK)
        with m.Elif(in_flight != 0):
            m.d.comb += self.activity.eq(Activity.BUSY)
