"""The depthwise engine with its memories in Amaranth's simulator; every port may refuse."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

from tilewright.hw.rtl.depthwise.engine import DepthwiseEngine
from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.rtl.memory import accumulator_memory, activation_memory, parameter_memory
from tilewright.hw.rtl.signals import delayed

READS = ("activation_read", "accumulator_read", "parameter_read")
PORTS = (*READS, "accumulator_write")


class Bench(Component):
    """Engine and memories. A bit of `refuse` is a port that is refused in this cycle.

    `refuse_next` is that of the next cycle.

    Read data is garbage in every cycle but the one after a grant, with wire_registers the second
    one for activations.
    """

    def __init__(self, config, contents):
        super().__init__({})
        self.config = config
        self.refuse = Signal(len(PORTS))
        self.refuse_next = Signal(len(PORTS))
        self.engine = DepthwiseEngine(config=config)
        self.activation = activation_memory(config)
        self.parameter = parameter_memory(config)
        self.accumulator = accumulator_memory(config)
        for memory, values, bits in (
            (self.activation, contents.activations, 8),
            (self.parameter, contents.parameters, 8),
            (self.accumulator, contents.accumulators, 32),
        ):
            words = [pack(word, bits) for word in values.tolist()]
            for index, bank in enumerate(memory.banks):
                start = index * memory.bank_words
                bank.storage.init[:] = words[start : start + memory.bank_words]

    def elaborate(self, platform):
        m = Module()
        for name in ("engine", "activation", "parameter", "accumulator"):
            m.submodules[name] = getattr(self, name)
        for place, name in enumerate(PORTS):
            port, memory = getattr(self.engine, name), getattr(self, name.split("_")[0])
            inner = memory.read_1 if name in READS else memory.write_1
            m.d.comb += [
                inner.request.eq(port.request & ~self.refuse[place]),
                inner.address.eq(port.address),
                port.grant.eq(inner.grant),
            ]
            if name in READS:
                granted = Signal(name=f"{name}_granted")
                m.d.sync += granted.eq(port.grant)
                if self.config.wire_registers and name == "activation_read":
                    granted = delayed(m, granted, f"{name}_is_late")
                m.d.comb += port.data.eq(Mux(granted, inner.data, ~inner.data))
            else:
                m.d.comb += [inner.data.eq(port.data), inner.mask.eq(port.mask)]
                if self.config.path_registers:
                    banks = self.config.accumulator_banks
                    m.d.comb += self.engine.coming_writes.eq(
                        self.refuse_next[place].replicate(banks)
                    )
        return m

    def accumulator_words(self, ctx, cols):
        words = [
            ctx.get(bank.storage.data[index])
            for bank in self.accumulator.banks
            for index in range(self.accumulator.bank_words)
        ]
        return np.array([unpack(word, cols) for word in words])


def pack(values, bits):
    mask = (1 << bits) - 1
    return sum((int(v) & mask) << (bits * i) for i, v in enumerate(values))


def unpack(word, cols):
    return np.frombuffer(word.to_bytes(4 * cols, "little"), "<i4").astype(np.int64)


class Trace:
    """What a run showed, by cycle: accepted, retired, granted[port], refused[port]; faults."""

    def __init__(self):
        self.accepted, self.retired, self.faults = [], [], []
        self.granted = {name: [] for name in PORTS}
        self.refused = {name: [] for name in PORTS}
        self.accumulators = None


class Run:
    """Testbenches around a Bench; see `run`."""

    def __init__(self, bench, config, contents, program, *, refuse, gaps):
        self.bench, self.engine = bench, bench.engine
        self.config, self.contents, self.program = config, contents, program
        self.mask_of, self.gaps = refuse, gaps
        self.trace = Trace()

    def must_wait_for(self, index):
        """The instructions before `index` that write what it reads."""
        fields, written_by = self.program[index], self.contents.destinations
        words = set(written_by(fields)) if fields["accumulate"] else set()
        before = range(index)
        return max((1 + i for i in before if words & set(written_by(self.program[i]))), default=0)

    async def send(self, ctx):
        stream = self.engine.instruction
        for index, fields in enumerate(self.program):
            needed = self.must_wait_for(index)
            while len(self.trace.retired) < needed:
                await ctx.tick()
            if self.gaps is not None and self.gaps[index]:
                await ctx.tick().repeat(int(self.gaps[index]))
            ctx.set(stream.payload, {"fields": {"DEPTHWISE": dict(fields)}, "index": index})
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    async def refuse(self, ctx):
        cycle, mask = 0, self.mask_of(0)
        while True:
            following = self.mask_of(cycle + 1)
            ctx.set(self.bench.refuse, mask)
            ctx.set(self.bench.refuse_next, following)
            await ctx.tick()
            cycle, mask = cycle + 1, following

    async def watch(self, ctx):
        cycle = 0
        while len(self.trace.retired) < len(self.program):
            assert cycle < 100_000
            self.observe(ctx, cycle)
            await ctx.tick()
            cycle += 1
        self.trace.accumulators = self.bench.accumulator_words(ctx, self.config.cols)

    def observe(self, ctx, cycle):
        engine, trace = self.engine, self.trace
        under_way = sum(a < cycle for a in trace.accepted) > len(trace.retired)
        if ctx.get(engine.instruction.valid & engine.instruction.ready):
            trace.accepted.append(cycle)
        if ctx.get(engine.retire):
            trace.retired.append(cycle)
        if ctx.get(engine.fault):
            trace.faults.append(ctx.get(engine.fault_index))
        refused = False
        for name in PORTS:
            port = getattr(engine, name)
            if ctx.get(port.request):
                granted = ctx.get(port.grant)
                (trace.granted if granted else trace.refused)[name].append(cycle)
                refused |= not granted
        expected = Activity.BANK if refused else Activity.BUSY if under_way else Activity.IDLE
        assert Activity(ctx.get(engine.activity)) == expected, cycle


def at_random(rng):
    """A `refuse` of every port, at rates of its own."""
    rates = rng.choice([0.0, 0.1, 0.5, 0.9], len(PORTS))
    return lambda cycle: sum(int(hit) << i for i, hit in enumerate(rng.random(len(PORTS)) < rates))


def run(config, contents, program, *, rng=None, refuse=None, gaps=None):
    """Run instructions, each when those it must wait for have retired; return the Trace.

    rng: random refusals of every port; refuse(cycle): a mask of the ports of PORTS that are
    refused; gaps: idle cycles before an instruction.
    """
    bench = Bench(config, contents)
    refuse = at_random(rng) if rng is not None else refuse
    testbenches = Run(bench, config, contents, program, refuse=refuse, gaps=gaps)
    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    if refuse is not None:
        simulator.add_testbench(testbenches.refuse, background=True)
    simulator.add_testbench(testbenches.send)
    simulator.add_testbench(testbenches.watch)
    simulator.run()
    return testbenches.trace
