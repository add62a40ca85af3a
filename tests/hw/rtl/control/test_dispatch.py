"""Dispatch, the issue queues and the retirement counters together, with stand-in engines."""

import random

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tilewright.hw.rtl.control.counters import RetirementCounters
from tilewright.hw.rtl.control.decoder import engine_operations
from tilewright.hw.rtl.control.dispatch import Dispatch, queue_name
from tilewright.hw.rtl.control.issue import IssueQueue
from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import Engine, Wait, instruction
from tilewright.hw.spec.registers import Fault

CONFIG = PRESETS["nano"].replace(queue_depth=2)
OPERATIONS = engine_operations(CONFIG)
END = instruction("END")


class Front(Elaboratable):
    """Everything between fetch and the engines."""

    def __init__(self):
        self.dispatch = Dispatch(config=CONFIG)
        self.counters = RetirementCounters(config=CONFIG)
        self.halt = Signal()
        self.queues = {
            engine: IssueQueue(config=CONFIG, operation=operation)
            for engine, operation in OPERATIONS.items()
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.dispatch = self.dispatch
        m.submodules.counters = self.counters
        m.d.comb += [
            self.dispatch.retired.eq(self.counters.retired),
            self.counters.reset.eq(self.dispatch.reset),
        ]
        for engine, queue in self.queues.items():
            m.submodules[engine.name] = queue
            wiring.connect(m, getattr(self.dispatch, queue_name(engine)), queue.entry)
            m.d.comb += [
                queue.retired.eq(self.counters.retired),
                queue.flush.eq(self.dispatch.reset),
                queue.halt.eq(self.halt),
            ]
        return m


class Bench:
    """Feeds a program, plays the engines, and checks every issue against the waits."""

    def __init__(self, program, *, seed=None, latency=lambda rng: rng.randrange(12)):
        self.program = program
        self.rng = random.Random(0 if seed is None else seed)
        self.stalls = seed is not None
        self.latency = latency
        self.issued = []
        self.issue_cycles = []
        self.retired = dict.fromkeys(Engine, 0)
        self.under_way = {engine: [] for engine in OPERATIONS}
        self.dut = Front()

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
        for place, engine in enumerate(OPERATIONS):
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
        for place, engine in enumerate(OPERATIONS):
            self.retired[engine] += retire >> place & 1
        self.now += 1
        await ctx.tick()

    def collect(self, ctx):
        for engine, queue in self.dut.queues.items():
            stream = queue.instruction
            if not (ctx.get(stream.valid) and ctx.get(stream.ready)):
                continue
            index = ctx.get(stream.payload.index)
            expected = decoded(self.program[index])
            fields = ctx.get(stream.payload.fields)
            assert {name: fields[name] for name in expected.fields} == dict(expected.fields)
            assert expected.engine == engine
            for wait in expected.waits:
                assert self.retired[wait.engine] >= wait.count, f"instruction {index} too early"
            self.issued.append(index)
            self.issue_cycles.append(self.now)
            self.under_way[engine].append(self.now + 1 + self.latency(self.rng))


def words(*program):
    return [int.from_bytes(encoding.encode(each, CONFIG), "little") for each in program]


def decoded(word):
    return encoding.decode(word.to_bytes(64, "little"), CONFIG)


def random_program(rng, length):
    """Instructions of random fields and waits that can be met."""
    sent = dict.fromkeys(Engine, 0)
    program = []
    for _ in range(length):
        operation = rng.choice(list(OPERATIONS.values()))
        fields = {}
        for field in operation.fields:
            low, high = encoding.field_range(field, CONFIG)
            fields[field.name] = rng.randint(low, high)
        waits = tuple(
            Wait(engine=engine, count=rng.randint(max(0, sent[engine] - 3), sent[engine]))
            for engine in rng.choices(list(Engine), k=rng.randrange(5))
        )
        program.append(instruction(operation.name, waits, **fields))
        sent[operation.engine] += 1
    return [*program, END]


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_issue_in_order_and_after_their_waits(seed):
    program = words(*random_program(random.Random(seed), 60))
    bench = Bench(program, seed=seed)
    bench.run()
    assert sorted(bench.issued) == list(range(60))
    for engine in OPERATIONS:
        mine = [index for index in bench.issued if decoded(program[index]).engine == engine]
        assert mine == sorted(mine)


def test_one_instruction_a_cycle_goes_through():
    loads = [instruction("LOAD", dram_address=64 * i) for i in range(20)]
    bench = Bench(words(*loads, END))
    bench.run()
    assert bench.issue_cycles == list(range(1, 21))


def test_a_released_wait_issues_in_the_cycle_after_the_retirement():
    program = [
        instruction("LOAD"),
        instruction("MATRIX", (Wait(engine=Engine.LOAD, count=1),)),
        END,
    ]
    bench = Bench(words(*program), latency=lambda rng: 6)
    bench.run()
    load, matrix = bench.issue_cycles
    retirement = load + 1 + 6
    assert matrix == retirement + 1


BAD = {
    "illegal word": (words(instruction("LOAD"))[0] | 0x55, Fault.ILLEGAL_INSTRUCTION),
    "error of the read": (words(instruction("LOAD"))[0] | 1 << 512, Fault.BUS_ERROR),
    "future": (words(instruction("LOAD", (Wait(engine=Engine.LOAD, count=2),)))[0],
               Fault.FUTURE_WAIT),
    "own retirement": (words(instruction("STORE", (Wait(engine=Engine.STORE, count=1),)))[0],
                       Fault.FUTURE_WAIT),
    "depthwise": (words(instruction("LOAD", (Wait(engine=Engine.DEPTHWISE, count=1),)))[0],
                  Fault.FUTURE_WAIT),
    "end that waits for the future": (words(isa.Instruction(
        operation="END", waits=(Wait(engine=Engine.VECTOR, count=9),)))[0], Fault.FUTURE_WAIT),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_instruction_stops_dispatch(name):
    word, cause = BAD[name]
    bench = Bench([*words(instruction("LOAD")), word, *words(instruction("LOAD"), END)])
    dispatch = bench.dut.dispatch

    async def script(ctx):
        ctx.set(dispatch.run, 1)
        for _ in range(12):
            await bench.cycle(ctx)
        assert ctx.get(dispatch.fault)
        assert ctx.get(dispatch.cause) == cause
        assert ctx.get(dispatch.fault_index) == 1
        assert ctx.get(dispatch.dispatched) == 1
        assert bench.issued == [0]

    bench.run(script)


def test_single_step_takes_one_instruction_after_everything_retired():
    program = words(instruction("LOAD"), instruction("MATRIX"), instruction("STORE"), END)
    bench = Bench(program, latency=lambda rng: 3)
    dispatch = bench.dut.dispatch

    async def script(ctx):
        ctx.set(dispatch.run, 1)
        ctx.set(dispatch.single_step, 1)
        for step in range(4):
            for _ in range(10):
                await bench.cycle(ctx)
            assert bench.position == step
            assert ctx.get(dispatch.stopped)
            ctx.set(dispatch.step, 1)
            await bench.cycle(ctx)
            ctx.set(dispatch.step, 0)
            assert not ctx.get(dispatch.stopped)
        for _ in range(10):
            await bench.cycle(ctx)
        assert ctx.get(dispatch.ended)
        assert not ctx.get(dispatch.stopped)

    bench.run(script)


def test_a_halted_queue_issues_nothing_and_a_flush_empties_it():
    bench = Bench(words(instruction("LOAD"), instruction("LOAD"), instruction("STORE")))

    async def script(ctx):
        ctx.set(bench.dut.dispatch.run, 1)
        ctx.set(bench.dut.halt, 1)
        for _ in range(8):
            await bench.cycle(ctx)
        assert bench.issued == []
        assert bench.position == 3
        ctx.set(bench.dut.dispatch.reset, 1)
        await bench.cycle(ctx)
        ctx.set(bench.dut.dispatch.reset, 0)
        ctx.set(bench.dut.halt, 0)
        for _ in range(8):
            await bench.cycle(ctx)
        assert bench.issued == []
        assert ctx.get(bench.dut.dispatch.drained)
        assert ctx.get(bench.dut.dispatch.dispatched) == 0

    bench.run(script)
