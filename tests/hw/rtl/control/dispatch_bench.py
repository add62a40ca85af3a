"""Dispatch and issue queues between a program and engines that take and retire at random."""

import random

from amaranth.hdl import Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tilewright.hw.rtl.control.counters import RetirementCounters
from tilewright.hw.rtl.control.decoder import engine_operations, engines
from tilewright.hw.rtl.control.dispatch import COUNT_BITS, Dispatch, queue_name
from tilewright.hw.rtl.control.issue import IssueQueue
from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import operations
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import MAX_INSTRUCTIONS

CONFIG = PRESETS["nano"].replace(queue_depth=2)
ENGINES = engines(CONFIG)


class Front(Elaboratable):
    """Everything between fetch and the engines."""

    def __init__(self, operations, config):
        self.operations = engine_operations(operations)
        self.dispatch = Dispatch(config=config, operations=operations)
        self.counters = RetirementCounters(config=config)
        self.stop = Signal()
        self.limit = Signal(COUNT_BITS, init=MAX_INSTRUCTIONS)
        self.queues = {
            engine: IssueQueue(config=config, operations=own)
            for engine, own in self.operations.items()
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.dispatch = self.dispatch
        m.submodules.counters = self.counters
        m.d.comb += [
            self.dispatch.retired.eq(self.counters.retired),
            self.dispatch.retiring.eq(self.counters.retiring),
            self.counters.reset.eq(self.dispatch.reset),
            self.dispatch.limit.eq(self.limit),
        ]
        for engine, queue in self.queues.items():
            m.submodules[engine.name] = ResetInserter(self.stop)(queue)
            wiring.connect(m, getattr(self.dispatch, queue_name(engine)), queue.entry)
            m.d.comb += queue.retired.eq(self.counters.retired)
            m.d.comb += queue.retiring.eq(self.counters.retiring)
        return m


class Bench:
    """Feeds a program, plays the engines, and checks every issue against its word and waits."""

    def __init__(
        self,
        program,
        *,
        seed=None,
        latency=lambda rng: rng.randrange(12),
        operations=operations(CONFIG),  # noqa: B008
        config=CONFIG,
    ):
        self.program = program
        self.by_opcode = {operation.opcode: operation for operation in operations}
        self.rng = random.Random(0 if seed is None else seed)
        self.stalls = seed is not None
        self.latency = latency
        self.issued = []
        self.issue_cycles = []
        self.retired = dict.fromkeys(Engine, 0)
        self.under_way = {engine: [] for engine in ENGINES}
        self.dut = Front(operations, config)

    def run(self, script=None, cycles=4000):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(script or self.default_script(cycles))
        simulator.run()

    def default_script(self, cycles):
        async def script(ctx):
            ctx.set(self.dut.dispatch.run, 1)
            for _ in range(cycles):
                await self.cycle(ctx)
                if ctx.get(self.dut.dispatch.ended) and ctx.get(self.dut.dispatch.drained):
                    return
            raise AssertionError("the program does not end")

        return script

    position = 0
    now = 0
    offered = False

    async def cycle(self, ctx):
        """One clock cycle of the whole front end."""
        dispatch = self.dut.dispatch
        if self.position < len(self.program):
            self.offered = self.offered or not self.stalls or self.rng.random() < 0.8
            word = self.program[self.position]
            ctx.set(dispatch.instruction.payload.word, word & (1 << 512) - 1)
            ctx.set(dispatch.instruction.payload.error, word >> 512)
            ctx.set(dispatch.instruction.payload.index, self.position)
        else:
            self.offered = False
        ctx.set(dispatch.instruction.valid, self.offered)
        retire = 0
        for place, engine in enumerate(ENGINES):
            if self.under_way[engine] and self.under_way[engine][0] <= self.now:
                self.under_way[engine].pop(0)
                retire |= 1 << place
            ready = not self.stalls or self.rng.random() < 0.7
            ctx.set(self.dut.queues[engine].instruction.ready, ready)
        ctx.set(self.dut.counters.retire, retire)
        self.collect(ctx)
        if self.offered and ctx.get(dispatch.instruction.ready):
            self.position += 1
            self.offered = False
        for place, engine in enumerate(ENGINES):
            self.retired[engine] += retire >> place & 1
        self.now += 1
        await ctx.tick()

    def collect(self, ctx):
        for engine, queue in self.dut.queues.items():
            stream = queue.instruction
            if not (ctx.get(stream.valid) and ctx.get(stream.ready)):
                continue
            index = ctx.get(stream.payload.index)
            expected = unpacked(self.program[index], self.by_opcode)
            operation = self.dut.operations[engine][ctx.get(stream.payload.operation)]
            assert operation.opcode == expected["opcode"]
            assert operation.engine == engine
            assert ctx.get(stream.payload.element_type) == expected["element_type"]
            fields = ctx.get(stream.payload.fields[operation.name])
            names = [field.name for field in operation.fields]
            assert {name: fields[name] for name in names} == {
                name: expected[name] for name in names
            }
            for slot in range(isa.NUM_WAITS):
                retired = self.retired[expected[f"wait{slot}_engine"]]
                assert retired >= expected[f"wait{slot}_count"], f"instruction {index} too early"
            self.issued.append(index)
            self.issue_cycles.append(self.now)
            self.under_way[engine].append(self.now + 1 + self.latency(self.rng))


def words(*program):
    return [int.from_bytes(encoding.encode(each, CONFIG), "little") for each in program]


def packed(operation, values):
    """The word of an operation with these fields; of the others, the common ones too, are 0."""
    word = 0
    for field, first, bits in encoding.layout(operation, CONFIG):
        word |= (values.get(field.name, 0) & (1 << bits) - 1) << first
    return word | operation.opcode


def unpacked(word, by_opcode):
    """Every field of a word by name, the common ones included."""
    values = {}
    for field, first, bits in encoding.layout(by_opcode[word & 0xFF], CONFIG):
        value = word >> first & (1 << bits) - 1
        negative = field.signed and value >> bits - 1
        values[field.name] = value - (1 << bits) if negative else value
    return values
