"""The top: fetch, dispatch, queues, engines, SRAMs, control, and the two AXI ports."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from tilewright.hw.rtl.control.control import Control
from tilewright.hw.rtl.control.counters import RetirementCounters
from tilewright.hw.rtl.control.decoder import engine_operations
from tilewright.hw.rtl.control.dispatch import Dispatch, queue_name
from tilewright.hw.rtl.control.fetch import Fetch
from tilewright.hw.rtl.control.issue import IssueQueue
from tilewright.hw.rtl.depthwise.engine import DepthwiseEngine
from tilewright.hw.rtl.interfaces import axi_lite_signature, axi_read_signature, axi_write_signature
from tilewright.hw.rtl.matrix.engine import MatrixEngine
from tilewright.hw.rtl.memory import (
    BankedMemory,
    accumulator_memory,
    activation_memory,
    parameter_memory,
    weight_memory,
)
from tilewright.hw.rtl.transfer.arbiter import ReadArbiter
from tilewright.hw.rtl.transfer.load import LoadEngine
from tilewright.hw.rtl.transfer.store import StoreEngine
from tilewright.hw.rtl.vector.engine import VectorEngine
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import operations
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.ports import PRIORITIES, Side
from tilewright.hw.spec.registers import Fault

TOP_MODULE = "tilewright"
RETIRE_SIGNAL = "retire"
"""A signal of the top: bit i pulses when the engine at place i of engines(config) retires."""
AXI_ATTRIBUTES = {
    "lock": (1, 0),
    "cache": (4, 0b0010),
    "prot": (3, 0),
    "qos": (4, 0),
    "region": (4, 0),
}
"""Bits and value of what every address says of its burst (AXI4, A4): a normal access, secure, of
data, to memory that is neither cached nor buffered, so that a response comes from memory itself."""
READ_CHANNELS = ("ar", "r")
WRITE_CHANNELS = ("aw", "w", "b")


def port_members(config: Config) -> dict[str, wiring.Member]:
    """The ports of the top, clk and rst aside: `control_*`, `memory_*`, `irq`."""
    flip = {In: Out, Out: In}
    control = axi_lite_signature().members
    memory = [*axi_read_signature(config).members.items()]
    memory += axi_write_signature(config).members.items()
    return {
        **{f"control_{name}": flip[each.flow](each.shape) for name, each in control.items()},
        **{f"memory_{name}": each for name, each in memory},
        **{
            f"memory_{channel}{name}": Out(bits)
            for channel in ("ar", "aw")
            for name, (bits, _) in AXI_ATTRIBUTES.items()
        },
        "irq": Out(1),
    }


class Accelerator(wiring.Component):
    """One accelerator; docs/architecture.md has its behaviour and the register map its control.

    Members
    -------
    control_* : AXI4-Lite slave, 12-bit byte addresses, 32-bit data
    memory_* : AXI4 master, config.axi_data_bits wide
    irq : Out(1), level

    With `instances` the array's tiles, the vector lanes and the SRAM banks are instances of
    modules that `hw/rtl/emit.py` emits once.
    """

    def __init__(self, *, config: Config, instances: bool = False):
        self._config = config
        self.control = Control(config=config)
        self.fetch = Fetch(config=config)
        rows = operations(config)
        self.dispatch = Dispatch(config=config, operations=rows)
        self.arbiter = ReadArbiter(config=config)
        self.retirements = RetirementCounters(config=config)
        self.queues = {
            engine: IssueQueue(config=config, operations=own)
            for engine, own in engine_operations(rows).items()
        }
        self.engines = {
            Engine.LOAD: LoadEngine(config=config),
            Engine.STORE: StoreEngine(config=config),
            Engine.MATRIX: MatrixEngine(config, instances=instances),
        }
        if config.depthwise_taps > 0:
            self.engines[Engine.DEPTHWISE] = DepthwiseEngine(config=config)
        self.engines[Engine.VECTOR] = VectorEngine(config=config, instances=instances)
        assert list(self.engines) == list(self.queues)
        self.memories: dict[str, BankedMemory] = {
            "activation": activation_memory(config, instances=instances),
            "weight": weight_memory(config, instances=instances),
            "accumulator": accumulator_memory(config, instances=instances),
            "parameter": parameter_memory(config, instances=instances),
        }
        super().__init__(Signature(port_members(config)))

    def elaborate(self, platform):
        m = Module()
        for name in ("control", "fetch", "dispatch", "arbiter", "retirements"):
            m.submodules[name] = getattr(self, name)
        for name, sram in self.memories.items():
            m.submodules[name] = sram
        stopped = ResetInserter(~self.control.run)
        for engine, unit in self.engines.items():
            finishes_bursts = engine in (Engine.LOAD, Engine.STORE)
            m.submodules[engine.name.lower()] = unit if finishes_bursts else stopped(unit)
            m.submodules[f"{engine.name.lower()}_queue"] = stopped(self.queues[engine])
        self._connect_buses(m)
        self._connect_control(m)
        self._connect_engines(m)
        self._connect_memories(m)
        return m

    def _connect_buses(self, m: Module) -> None:
        """Join the flat ports with the control slave, the read arbiter and the store engine."""
        store = self.engines[Engine.STORE]
        wiring.connect(m, self.fetch.bus, self.arbiter.fetch)
        wiring.connect(m, self.engines[Engine.LOAD].bus, self.arbiter.load)
        for prefix, bus in (
            ("control", self.control.bus),
            ("memory", self.arbiter.memory),
            ("memory", store.bus),
        ):
            for name in bus.signature.members:
                inner, outer = getattr(bus, name), getattr(self, f"{prefix}_{name}")
                drives_outside = self.signature.members[f"{prefix}_{name}"].flow is Out
                m.d.comb += outer.eq(inner) if drives_outside else inner.eq(outer)
        for channel in ("ar", "aw"):
            for name, (_, value) in AXI_ATTRIBUTES.items():
                m.d.comb += getattr(self, f"memory_{channel}{name}").eq(value)
        m.d.comb += self.irq.eq(self.control.irq)

    def _connect_control(self, m: Module) -> None:
        """Control, fetch, dispatch and the retirement counters."""
        control, dispatch, fetch = self.control, self.dispatch, self.fetch
        wiring.connect(m, fetch.instruction, dispatch.instruction)
        m.d.comb += [
            fetch.start.eq(control.start),
            fetch.stop.eq(~control.run | dispatch.ended),
            fetch.program_address.eq(control.program_address),
            fetch.dram_base.eq(control.dram_base),
            dispatch.reset.eq(control.reset),
            dispatch.run.eq(control.run),
            dispatch.limit.eq(control.instruction_limit),
            dispatch.single_step.eq(control.single_step),
            dispatch.step.eq(control.step),
            dispatch.retired.eq(self.retirements.retired),
            dispatch.retiring.eq(self.retirements.retiring),
            self.retirements.reset.eq(control.reset),
            control.retired.eq(self.retirements.retired),
            control.dispatch_fault.valid.eq(dispatch.fault),
            control.dispatch_fault.cause.eq(dispatch.cause),
            control.dispatch_fault.index.eq(dispatch.fault_index),
            control.dispatched.eq(dispatch.dispatched),
            control.ended.eq(dispatch.ended),
            control.drained.eq(dispatch.drained),
            control.stopped.eq(dispatch.stopped),
            control.fetch_idle.eq(fetch.idle),
            control.beat.eq(
                Cat(
                    getattr(self, f"memory_{channel}valid")
                    & getattr(self, f"memory_{channel}ready")
                    for channel in (*READ_CHANNELS, *WRITE_CHANNELS)
                ).any()
            ),
        ]

    def _connect_engines(self, m: Module) -> None:
        """Every engine with its queue, and what control watches of it."""
        retire = Signal(len(self.engines), name=RETIRE_SIGNAL, attrs={"keep": 1})
        m.d.comb += self.retirements.retire.eq(retire)
        for place, engine in enumerate(self.engines):
            unit, queue = self.engines[engine], self.queues[engine]
            state, fault = self.control.engines[place], self.control.engine_faults[place]
            wiring.connect(m, getattr(self.dispatch, queue_name(engine)), queue.entry)
            wiring.connect(m, queue.instruction, unit.instruction)
            m.d.comb += [
                queue.retired.eq(self.retirements.retired),
                queue.retiring.eq(self.retirements.retiring),
                retire[place].eq(unit.retire),
                state.activity.eq(unit.activity),
                state.ready.eq(unit.instruction.ready),
                state.waiting.eq(queue.waiting),
                state.waiting_for.eq(queue.waiting_for),
                state.retire.eq(unit.retire),
                fault.valid.eq(unit.fault),
                fault.cause.eq(Mux(unit.fault_is_bus, Fault.BUS_ERROR, Fault.SRAM_RANGE)),
                fault.index.eq(unit.fault_index),
            ]

    def _connect_memories(self, m: Module) -> None:
        """SRAM ports, in the order of their priority; docs/architecture.md, "Memories"."""
        load, store = self.engines[Engine.LOAD], self.engines[Engine.STORE]
        matrix, vector = self.engines[Engine.MATRIX], self.engines[Engine.VECTOR]
        for transfer in (load, store):
            m.d.comb += transfer.dram_base.eq(self.control.dram_base)
            m.d.comb += transfer.stop.eq(~self.control.run)
        served = {
            (Space.ACTIVATION, Side.READ): {
                Engine.MATRIX: [matrix.activation_read],
                Engine.VECTOR: [vector.source, vector.operand],
                Engine.STORE: [store.activation],
            },
            (Space.ACTIVATION, Side.WRITE): {
                Engine.VECTOR: [vector.destination],
                Engine.LOAD: [load.activation],
            },
            (Space.WEIGHT, Side.READ): {Engine.MATRIX: [matrix.weight_read]},
            (Space.WEIGHT, Side.WRITE): {Engine.LOAD: [load.weight]},
            (Space.ACCUMULATOR, Side.READ): {
                Engine.MATRIX: [matrix.accumulator_read],
                Engine.VECTOR: [vector.accumulator],
            },
            (Space.ACCUMULATOR, Side.WRITE): {Engine.MATRIX: [matrix.accumulator_write]},
            (Space.PARAMETER, Side.READ): {Engine.VECTOR: [vector.parameter]},
            (Space.PARAMETER, Side.WRITE): {Engine.LOAD: [load.parameter]},
        }
        if Engine.DEPTHWISE in self.engines:
            depthwise = self.engines[Engine.DEPTHWISE]
            for port, own in (
                ((Space.ACTIVATION, Side.READ), depthwise.activation_read),
                ((Space.ACCUMULATOR, Side.READ), depthwise.accumulator_read),
                ((Space.PARAMETER, Side.READ), depthwise.parameter_read),
                ((Space.ACCUMULATOR, Side.WRITE), depthwise.accumulator_write),
            ):
                served[port][Engine.DEPTHWISE] = [own]
            if self._config.path_registers:
                assert PRIORITIES[Space.ACCUMULATOR, Side.WRITE][0] == Engine.MATRIX
                m.d.comb += depthwise.coming_writes.eq(matrix.coming_writes)
        assert PRIORITIES[Space.ACTIVATION, Side.WRITE][0] == Engine.VECTOR  # it awaits no grant
        if self._config.path_registers:
            m.d.comb += self.engines[Engine.LOAD].coming_writes.eq(vector.coming_writes)
        for name, sram in self.memories.items():
            for side, ports in ((Side.READ, sram.readers), (Side.WRITE, sram.writers)):
                engines = served[Space[name.upper()], side]
                order = PRIORITIES.get((Space[name.upper()], side), tuple(engines))
                asking = [port for engine in order for port in engines.get(engine, ())]
                for port, memory_port in zip(asking, ports, strict=True):
                    wiring.connect(m, port, memory_port)
