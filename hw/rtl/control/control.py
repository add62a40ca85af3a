"""Control: the AXI4-Lite register file, start and end of programs, faults, interrupt, watchdog.

The register map is `hw/spec/registers.py`; docs/architecture.md, "Faults", has the rules.
"""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.control.axi_lite import AxiLiteSlave
from tilewright.hw.rtl.control.counters import CycleCounters, Watchdog
from tilewright.hw.rtl.control.decoder import ENGINE_BITS, engines
from tilewright.hw.rtl.control.dispatch import COUNT_BITS, FAULT_BITS, counts_layout
from tilewright.hw.rtl.interfaces import INDEX_BITS, Activity, axi_lite_signature, bits
from tilewright.hw.rtl.signals import delayed
from tilewright.hw.spec import isa, registers
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.registers import (
    CONTROL_ABORT,
    CONTROL_CLEAR,
    CONTROL_START,
    CONTROL_STEP,
    MAX_INSTRUCTIONS,
    Bucket,
    Fault,
)

CYCLES_BITS = 64
DRAM_BASE_BITS = 64
DRAM_ALIGNMENT = 4096
WATCHDOG_AFTER_RESET = 1_000_000
BLOCK_BITS = 4
"""Of the number of a register in its block; with path_registers a read first chooses in each."""
FROZEN_WHILE_BUSY = ("program_address", "dram_base_low", "dram_base_high")


def fault_layout() -> data.StructLayout:
    """A fault as its source reports it: high for at least one cycle."""
    return data.StructLayout({"valid": 1, "cause": FAULT_BITS, "index": INDEX_BITS})


def engine_state_layout() -> data.StructLayout:
    """What control watches of an engine and its queue."""
    return data.StructLayout(
        {"activity": Activity, "ready": 1, "waiting": 1, "waiting_for": ENGINE_BITS, "retire": 1}
    )


class Control(wiring.Component):
    """Starts programs, ends them, and keeps what the host reads.

    A start or clear write in cycle t makes `reset` (and `start`) high in t; `run` is high from t+1
    until the cycle in which the program is done, or the one after the first fault is reported, with
    path_registers a cycle longer; an abort is one. `run` low drops what waits and cuts short what
    executes. Start and clear are ignored while busy, abort while no program runs. The first fault
    sticks; of faults in the same cycle, engines win in their order, then dispatch, the watchdog,
    abort.

    Members
    -------
    bus : In(axi_lite_signature())
    irq : Out(1), while done or fault is set and the interrupt is enabled
    reset, start : Out(1), pulses
    run : Out(1)
    program_address : Out(32), bytes from the DRAM base
    dram_base : Out(64), bits above axi_address_bits are 0
    instruction_limit : Out(COUNT_BITS)
    single_step, step : Out(1), the mode; a pulse
    engines : In(array of engine_state_layout(), in the order of engines(config))
    engine_faults : In(array of fault_layout(), in the same order)
    dispatch_fault : In(fault_layout())
    dispatched, retired : In, counts for the registers
    ended, drained, stopped : In(1), from dispatch
    fetch_idle : In(1), no read of the program is under way
    beat : In(1), a handshake on the memory bus
    """

    def __init__(self, *, config: Config):
        self._config = config
        num_engines = len(engines(config))
        super().__init__(
            {
                "bus": In(axi_lite_signature()),
                "irq": Out(1),
                "reset": Out(1),
                "start": Out(1),
                "run": Out(1),
                "program_address": Out(32),
                "dram_base": Out(DRAM_BASE_BITS),
                "instruction_limit": Out(COUNT_BITS, init=MAX_INSTRUCTIONS),
                "single_step": Out(1),
                "step": Out(1),
                "engines": In(data.ArrayLayout(engine_state_layout(), num_engines)),
                "engine_faults": In(data.ArrayLayout(fault_layout(), num_engines)),
                "dispatch_fault": In(fault_layout()),
                "dispatched": In(COUNT_BITS),
                "retired": In(counts_layout()),
                "ended": In(1),
                "drained": In(1),
                "stopped": In(1),
                "fetch_idle": In(1),
                "beat": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        late_reads = bool(self._config.path_registers)
        m.submodules.slave = slave = AxiLiteSlave(late_reads=late_reads)
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)
        busy, done = bits("busy", "done")
        fault = Signal(fault_layout())
        limit = Signal(32, init=WATCHDOG_AFTER_RESET)
        interrupt_enable = Signal()
        dram_base = Signal(DRAM_BASE_BITS)
        abort = Signal()

        self._run(m, busy=busy, done=done, fault=fault, limit=limit, abort=abort)
        self._write_control(m, slave, busy=busy, abort=abort)
        self._write_settings(m, slave, busy, {
            "interrupt_enable": interrupt_enable,
            "single_step": self.single_step,
            "program_address": self.program_address,
            "dram_base_low": dram_base[:32],
            "dram_base_high": dram_base[32:],
            "watchdog": limit,
            "instruction_limit": self.instruction_limit,
        })  # fmt: skip
        m.d.comb += self.dram_base.eq(dram_base)
        m.d.sync += self.irq.eq(interrupt_enable & (done | fault.valid))
        capabilities = registers.capabilities(self._config)
        self._read(m, slave, {
            **{name: Const(value, 32) for name, value in capabilities.items()},
            **self._counters(m),
            "control": Const(0),
            "status": Cat(busy, done, fault.valid, self.stopped),
            "interrupt_enable": interrupt_enable,
            "single_step": self.single_step,
            "program_address": self.program_address,
            "dram_base_low": dram_base[:32],
            "dram_base_high": dram_base[32:],
            "watchdog": limit,
            "instruction_limit": self.instruction_limit,
            "fault_cause": fault.cause,
            "fault_instruction": fault.index,
            "dispatched": self.dispatched,
        })  # fmt: skip
        return m

    def _run(
        self,
        m: Module,
        *,
        busy: Signal,
        done: Signal,
        fault: data.View,
        limit: Signal,
        abort: Signal,
    ):
        """Follow the program from start to done or to the first fault."""
        m.submodules.watchdog = watchdog = Watchdog()
        barked = self._own_fault(m, "barked", watchdog.bark, Fault.WATCHDOG)
        aborted = self._own_fault(m, "aborted", abort, Fault.ABORTED)
        found = Signal(fault_layout())
        was_quiet, was_running = bits("was_quiet", "was_running")
        retire = Cat(engine.retire for engine in self.engines).any()
        sources = [*self.engine_faults, self.dispatch_fault, barked, aborted]
        activities = [engine.activity for engine in self.engines]
        is_armed = self.run & ~self.stopped
        is_over = self.ended & self.drained & self.fetch_idle
        if self._config.path_registers:
            sources = [self._seen(m, source) for source in sources]
            activities = [delayed(m, activity.as_value(), "activity") for activity in activities]
            is_armed = delayed(m, is_armed, "was_armed")
            is_over = delayed(m, is_over & self.run, "was_over")
        idle = Cat(activity == Activity.IDLE for activity in activities).all()
        m.d.comb += [
            busy.eq(self.run | was_running | ~was_quiet),
            watchdog.limit.eq(limit),
            watchdog.armed.eq(is_armed),
            watchdog.progress.eq(self.beat | retire),
        ]
        m.d.sync += [
            was_quiet.eq(idle & self.fetch_idle),
            was_running.eq(self.run),
            found.valid.eq(0),
        ]
        for source in reversed(sources):
            with m.If(source.valid & self.run):
                m.d.sync += found.eq(source)
        with m.If(self.reset):
            m.d.sync += [self.run.eq(self.start), done.eq(0), fault.eq(0)]
        with m.Elif(self.run):
            with m.If(is_over):
                m.d.sync += [self.run.eq(0), done.eq(1)]
            with m.If(found.valid):
                m.d.sync += [self.run.eq(0), done.eq(0), fault.eq(found)]

    def _own_fault(self, m: Module, name: str, valid: Value, cause: Fault) -> data.View:
        """Return a fault that is control's own; its index is that of the next instruction."""
        fault = Signal(fault_layout(), name=name)
        m.d.comb += [
            fault.valid.eq(valid),
            fault.cause.eq(cause),
            fault.index.eq(self.dispatched),
        ]
        return fault

    def _seen(self, m: Module, source: data.View) -> data.View:
        """Return a fault of a running program as it was in the cycle before."""
        seen = Signal(fault_layout(), name="seen")
        m.d.sync += [seen.eq(source), seen.valid.eq(source.valid & self.run)]
        return seen

    def _write_control(
        self, m: Module, slave: AxiLiteSlave, *, busy: Signal, abort: Signal
    ) -> None:
        """Turn writes of the control register into pulses."""
        written = Signal()
        bits = slave.write_data
        if self._config.path_registers:  # address and strobe stay until the write
            selected = _selects(slave.bus.awaddr, "control") & slave.bus.wstrb[0]
            m.d.comb += written.eq(slave.write & delayed(m, selected, "was_selected"))
        else:
            with m.If(slave.write & _selects(slave.write_address, "control")):
                m.d.comb += written.eq(slave.write_strobe[0])
        m.d.comb += [
            self.start.eq(written & ~busy & (bits & CONTROL_START).any()),
            self.reset.eq(self.start | (written & ~busy & (bits & CONTROL_CLEAR).any())),
            self.step.eq(written & (bits & CONTROL_STEP).any()),
            abort.eq(written & (bits & CONTROL_ABORT).any()),
        ]

    def _write_settings(
        self, m: Module, slave: AxiLiteSlave, busy: Signal, settings: dict[str, Value]
    ) -> None:
        """Write the 'rw' registers; the addresses only while not busy. SLVERR for the others."""
        assert set(settings) == {r.name for r in registers.REGISTERS if r.access == "rw"}
        m.d.comb += slave.write_error.eq(~_selects(slave.write_address, "control"))
        for name, setting in settings.items():
            frozen = busy & (name in FROZEN_WHILE_BUSY)
            with m.If(_selects(slave.write_address, name)):
                m.d.comb += slave.write_error.eq(frozen)
                with m.If(slave.write & ~frozen):
                    m.d.sync += setting.eq(self._merged(name, setting, slave))

    def _merged(self, name: str, setting: Value, slave: AxiLiteSlave) -> Value:
        """The written bytes and the old other ones, without bits that must be 0."""
        mask = self._config_mask(name)
        strobe = Cat(bit.replicate(8) for bit in slave.write_strobe)
        return ((slave.write_data & strobe) | (setting & ~strobe)) & mask

    def _config_mask(self, name: str) -> int:
        address_mask = (1 << self._config.axi_address_bits) - DRAM_ALIGNMENT
        return {
            "program_address": (1 << 32) - isa.INSTRUCTION_BYTES,
            "dram_base_low": address_mask & 0xFFFFFFFF,
            "dram_base_high": address_mask >> 32,
        }.get(name, 0xFFFFFFFF)

    def _read(self, m: Module, slave: AxiLiteSlave, values: dict[str, Value]) -> None:
        """Answer reads from the register table; SLVERR where there is no register.

        With path_registers each block's word is chosen in the cycle of the address, and the block
        in the next one.
        """
        assert set(values) == set(registers.BY_NAME)
        words = {register.offset // 4: values[register.name] for register in registers.REGISTERS}
        if not self._config.path_registers:
            _look_up(m, slave.read_address[2:], words, slave.read_data, slave.read_error)
            return
        m.d.comb += slave.read_error.eq(1)
        for block in sorted({number >> BLOCK_BITS for number in words}):
            own = {n % (1 << BLOCK_BITS): w for n, w in words.items() if n >> BLOCK_BITS == block}
            word, error = Signal(32, name=f"word{block}"), Signal(name=f"error{block}")
            _look_up(m, slave.bus.araddr[2 : 2 + BLOCK_BITS], own, word, error)
            word, error = delayed(m, word, "found_word"), delayed(m, error, "found_error")
            with m.If(slave.read_address[2 + BLOCK_BITS :] == block):
                m.d.comb += [slave.read_data.eq(word), slave.read_error.eq(error)]

    def _counters(self, m: Module) -> dict[str, Value]:
        """Count cycles; return the counter registers. An engine that does not exist is idle.

        Where the config has no counters, those of the engines read 0.
        """
        cycles = Signal(CYCLES_BITS)
        with m.If(self.reset):
            m.d.sync += cycles.eq(0)
        with m.Elif(self.run):
            m.d.sync += cycles.eq(cycles + 1)
        values: dict[str, Value] = {"cycles_low": cycles[:32], "cycles_high": cycles[32:]}
        existing = engines(self._config)
        for engine in isa.Engine:
            name = engine.name.lower()
            idle = cycles[:32] if self._config.counters else Const(0)
            buckets = [idle if bucket == Bucket.IDLE else Const(0) for bucket in Bucket]
            if engine in existing and self._config.counters:
                state = self.engines[existing.index(engine)]
                m.submodules[f"{name}_cycles"] = counters = CycleCounters()
                m.d.comb += [
                    counters.run.eq(self.run),
                    counters.reset.eq(self.reset),
                    counters.activity.eq(state.activity),
                    counters.ready.eq(state.ready),
                    counters.waiting.eq(state.waiting),
                    counters.waiting_for.eq(state.waiting_for),
                ]
                buckets = list(counters.cycles)
            for bucket in Bucket:
                values[f"{name}_{bucket.name.lower()}"] = buckets[bucket]
            values[f"{name}_retired"] = self.retired[engine]
        return values


def _look_up(
    m: Module, address: Value, words: dict[int, Value], word: Signal, error: Signal
) -> None:
    """Choose the word of an address; an error where there is none."""
    m.d.comb += error.eq(0)
    with m.Switch(address):
        for number, value in words.items():
            with m.Case(number):
                m.d.comb += word.eq(value)
        with m.Default():
            m.d.comb += error.eq(1)


def _selects(address: Value, name: str) -> Value:
    """The byte address is one of this register's."""
    return address[2:] == registers.BY_NAME[name].offset // 4
