"""The depthwise engine with its memories in Amaranth's simulator; every port may refuse."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

from tilewright.hw.rtl.depthwise.engine import DepthwiseEngine
from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.rtl.memory import accumulator_memory, activation_memory, parameter_memory

READS = ("activation_read", "accumulator_read", "parameter_read")
PORTS = (*READS, "accumulator_write")


class Bench(Component):
    """Engine and memories. A bit of `refuse` is a port that is refused in this cycle.

    Read data is garbage in every cycle but the one after a grant.
    """

    def __init__(self, config, contents):
        super().__init__({})
        self.refuse = Signal(len(PORTS))
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
            inner = memory.read_0 if name in READS else memory.write_0
            m.d.comb += [
                inner.request.eq(port.request & ~self.refuse[place]),
                inner.address.eq(port.address),
                port.grant.eq(inner.grant),
            ]
            if name in READS:
                granted = Signal(name=f"{name}_granted")
                m.d.sync += granted.eq(port.grant)
                m.d.comb += port.data.eq(Mux(granted, inner.data, ~inner.data))
            else:
                m.d.comb += [inner.data.eq(port.data), inner.mask.eq(port.mask)]
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


def run(config, contents, program, *, rng=None, refuse=None, gaps=None, decoys=None):
    """Run instructions, each when those it must wait for have retired; return the Trace.

    rng: random refusals of every port, and gaps between instructions; refuse(cycle): a mask of
    the ports of PORTS that are refused; gaps: idle cycles before an instruction; decoys: before
    the instruction of the same number, offered for as many cycles if the engine is busy, withdrawn.
    """
    bench = Bench(config, contents)
    engine, trace = bench.engine, Trace()
    rates = rng.choice([0.0, 0.1, 0.5, 0.9], len(PORTS)) if rng is not None else None

    def must_wait_for(index):
        """The instructions before `index` that write what it reads."""
        fields = program[index]
        words = set(contents.destinations(fields)) if fields["accumulate"] else set()
        before = range(index)
        return max(
            (1 + i for i in before if words & set(contents.destinations(program[i]))), default=0
        )

    async def send(ctx):
        for index, fields in enumerate(program):
            needed = must_wait_for(index)
            while len(trace.retired) < needed:
                await ctx.tick()
            if gaps is not None and gaps[index]:
                await ctx.tick().repeat(int(gaps[index]))
            if decoys is not None:
                await offer_in_vain(ctx, index)
            ctx.set(engine.instruction.payload, {"fields": dict(fields), "index": index})
            ctx.set(engine.instruction.valid, 1)
            await ctx.tick().until(engine.instruction.ready)
            ctx.set(engine.instruction.valid, 0)

    async def offer_in_vain(ctx, index):
        for _ in range(index):
            if ctx.get(engine.instruction.ready):
                break
            ctx.set(engine.instruction.payload, {"fields": decoys[index], "index": index})
            ctx.set(engine.instruction.valid, 1)
            await ctx.tick()
        ctx.set(engine.instruction.valid, 0)
        await ctx.tick()

    async def refuse_at_random(ctx):
        cycle = 0
        while True:
            if rates is not None:
                mask = sum(int(hit) << i for i, hit in enumerate(rng.random(len(PORTS)) < rates))
                ctx.set(bench.refuse, mask)
            elif refuse is not None:
                ctx.set(bench.refuse, refuse(cycle))
            await ctx.tick()
            cycle += 1

    async def watch(ctx):
        cycle = 0
        while len(trace.retired) < len(program):
            assert cycle < 100_000
            observe(ctx, cycle)
            await ctx.tick()
            cycle += 1
        trace.accumulators = bench.accumulator_words(ctx, config.cols)

    def observe(ctx, cycle):
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

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(refuse_at_random, background=True)
    simulator.add_testbench(send)
    simulator.add_testbench(watch)
    simulator.run()
    return trace
