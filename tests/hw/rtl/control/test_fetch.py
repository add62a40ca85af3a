"""Fetch alone, and with the load engine behind the read arbiter."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tilewright.hw.rtl.control.fetch import Fetch
from tilewright.hw.rtl.interfaces import FETCH_ID, LOAD_ID, axi_read_signature
from tilewright.hw.rtl.transfer.arbiter import ReadArbiter
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import used_bits

BASE = 0x5_0000_3000
PROGRAM = 0x80BC0
"""Where none of 140 scrambled instructions looks like an END."""
END = 1


def make_config(bus_bits, **fields):
    """Return a config with the given bus."""
    return Config(axi_data_bits=bus_bits, axi_address_bits=48, **fields)


def kept(word, config):
    """Return what fetch delivers of 64 bytes: bits that no field has are one, whether any is."""
    word, used = int.from_bytes(word, "little"), used_bits(config)
    return word % (1 << used) | (word >> used != 0) << used


class Bench:
    """Starts fetch, takes its instructions with chance `take`, and compares them."""

    def __init__(
        self,
        axi,
        config,
        *,
        seed=None,
        take=1.0,
        latency=8,
        error=lambda address: False,
        contents=None,
    ):
        self.axi, self.config, self.error = axi, config, error
        self.contents = contents or axi.dram_bytes
        self.rng = random.Random(0 if seed is None else seed)
        self.take = take
        self.design = Fetch(config=config)
        self.memory = axi.ReadMemory(
            self.design.bus, config, latency=latency, error=error, contents=self.contents,
            rng=None if seed is None else random.Random(seed + 1),
        )  # fmt: skip
        self.taken = self.cycle = 0
        self.taken_cycles = []

    async def step(self, ctx, *, program=PROGRAM, **pulses):
        """Pass one cycle; check an instruction that is taken in it."""
        design = self.design
        for name in ("start", "stop"):
            ctx.set(getattr(design, name), name in pulses)
        ready = self.rng.random() < self.take
        ctx.set(design.instruction.ready, ready)
        self.memory.drive(ctx)
        self.memory.observe(ctx)
        assert ctx.get(design.bus.rready)
        assert not (ctx.get(design.idle) and ctx.get(design.bus.arvalid))
        if ready and ctx.get(design.instruction.valid):
            payload = design.instruction.payload
            address = BASE + (program + 64 * self.taken) % 2**32
            word = self.contents(address, 64)
            failed = any(self.error(address + i) for i in range(0, 64, self.config.axi_bytes))
            assert ctx.get(payload.index) == self.taken
            assert ctx.get(payload.error) == failed
            assert ctx.get(payload.word) == kept(word, self.config)
            self.taken += 1
            self.taken_cycles.append(self.cycle)
        await ctx.tick()
        self.cycle += 1

    def execute(self, scenario):
        """Simulate `scenario(ctx)`; return self."""

        async def run(ctx):
            ctx.set(self.design.dram_base, BASE)
            ctx.set(self.design.program_address, PROGRAM)
            await scenario(ctx)

        simulator = Simulator(self.design)
        simulator.add_clock(1e-6)
        simulator.add_testbench(run)
        simulator.run()
        return self


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("bus_bits", [64, 128, 256, 512])
def test_random_stalls_deliver_the_program_in_order(axi, bus_bits, path_registers):
    config = make_config(bus_bits, path_registers=path_registers)
    bench = Bench(
        axi, config, seed=bus_bits, take=0.2, error=lambda address: address // 64 % 7 == 3
    )

    async def scenario(ctx):
        await bench.step(ctx, start=True)
        while bench.taken < 40:
            await bench.step(ctx)

    bench.execute(scenario)
    assert all(identity == FETCH_ID for identity, _, _ in bench.memory.bursts)
    assert [address for _, address, _ in bench.memory.bursts] == [
        BASE + PROGRAM + 64 * i for i in range(len(bench.memory.bursts))
    ]
    assert len(bench.memory.bursts) <= 40 + config.fetch_ahead


@pytest.mark.parametrize("bus_bits", [64, 128, 256, 512])
def test_bits_that_no_field_has_are_seen_and_forgotten(axi, bus_bits):
    config = make_config(bus_bits, fetch_ahead=4)
    used = used_bits(config)
    rng = random.Random(bus_bits)
    highest = {place: rng.getrandbits(1) << rng.randrange(used, 512) for place in range(30)}

    def contents(address, count):
        place, offset = divmod(address - BASE - PROGRAM, 64)
        word = int.from_bytes(axi.dram_bytes(address - offset, 64), "little") % (1 << used)
        word |= highest.get(place, 0)
        return word.to_bytes(64, "little")[offset:][:count]

    bench = Bench(axi, config, seed=3, take=0.5, contents=contents)

    async def scenario(ctx):
        await bench.step(ctx, start=True)
        while bench.taken < 30:
            await bench.step(ctx)

    bench.execute(scenario)
    assert 0 in highest.values()


@pytest.mark.parametrize("seed", range(4))
def test_stop_drops_what_is_in_flight_and_the_next_start_begins_anew(axi, seed):
    bench = Bench(axi, make_config(128, path_registers=seed % 2), seed=seed, take=0.5, latency=20)

    async def scenario(ctx):
        for _ in range(6):
            bench.taken = 0
            await bench.step(ctx, start=True)
            for _ in range(bench.rng.randrange(60)):
                await bench.step(ctx)
            await bench.step(ctx, stop=True)
            taken = bench.taken
            while not ctx.get(bench.design.idle):
                await bench.step(ctx)
            assert bench.taken == taken
            assert not any(bench.memory.queues.values())

    bench.execute(scenario)


def test_a_start_that_comes_with_stop_wins(axi):
    bench = Bench(axi, make_config(128))

    async def scenario(ctx):
        await bench.step(ctx, stop=True)
        await bench.step(ctx, start=True, stop=True)
        while bench.taken < 3:
            await bench.step(ctx)

    bench.execute(scenario)


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("ahead", [4, 5, 16, 33])
def test_no_more_is_requested_than_has_a_place(axi, ahead, path_registers):
    config = make_config(128, fetch_ahead=ahead, path_registers=path_registers)
    bench = Bench(axi, config, take=0.0)

    async def scenario(ctx):
        await bench.step(ctx, start=True)
        for _ in range(200):
            await bench.step(ctx)
        assert len(bench.memory.bursts) == ahead
        bench.take = 1.0
        await bench.step(ctx)
        bench.take = 0.0
        for _ in range(50):
            await bench.step(ctx)
        assert len(bench.memory.bursts) == ahead + 1

    bench.execute(scenario)


def test_nothing_is_requested_behind_an_end(axi):
    program = next(
        64 * i for i in range(20, 5000) if axi.dram_bytes(BASE + 64 * i, 1)[0] == END
    ) - 64 * 18  # fmt: skip
    bench = Bench(axi, make_config(128), take=0.0)

    async def scenario(ctx):
        ctx.set(bench.design.program_address, program)
        await bench.step(ctx, start=True, program=program)
        for _ in range(200):
            await bench.step(ctx, program=program)
        for _ in range(25):  # slowly: END arrives before the next place falls free
            for take in (1.0, *[0.0] * 39):
                bench.take = take
                await bench.step(ctx, program=program)

    bench.execute(scenario)
    assert bench.taken == 19
    assert len(bench.memory.bursts) == 19


@pytest.mark.parametrize(("bus_bits", "ahead"), [(64, 16), (128, 16), (128, 12), (512, 16)])
@pytest.mark.parametrize("path_registers", [0, 1])
def test_latency_does_not_starve_dispatch(axi, bus_bits, ahead, path_registers):
    latency, count = 64, 4 * ahead
    config = make_config(bus_bits, fetch_ahead=ahead, path_registers=path_registers)
    bench = Bench(axi, config, latency=latency)

    async def scenario(ctx):
        await bench.step(ctx, start=True)
        while bench.taken < count:
            await bench.step(ctx)

    bench.execute(scenario)
    beats = 64 // bench.config.axi_bytes
    assert bench.taken_cycles[0] == 2 + latency + beats + 1
    a_round = bench.taken_cycles[3 * ahead - 1] - bench.taken_cycles[2 * ahead - 1]
    assert a_round == max(ahead * beats, latency + beats + 3)


class Shared(wiring.Component):
    """Fetch and a second master behind the arbiter; the test plays the second one."""

    def __init__(self, config):
        self.config = config
        self.fetch = Fetch(config=config)
        super().__init__(
            {"load": In(axi_read_signature(config)), "memory": Out(axi_read_signature(config))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = self.fetch
        m.submodules.arbiter = arbiter = ReadArbiter(config=self.config)
        wiring.connect(m, self.fetch.bus, arbiter.fetch)
        wiring.connect(m, wiring.flipped(self.load), arbiter.load)
        wiring.connect(m, arbiter.memory, wiring.flipped(self.memory))
        return m


@pytest.mark.parametrize("seed", range(4))
def test_arbiter_routes_interleaved_data_to_both_masters(axi, seed):
    config = make_config(128)
    rng = random.Random(seed)
    design = Shared(config)
    memory = axi.ReadMemory(design.memory, config, latency=12, rng=random.Random(seed + 9))
    requests = [(BASE + 4096 * rng.randrange(99), rng.randrange(1, 9)) for _ in range(30)]
    beats = [(base + 16 * i) for base, count in requests for i in range(count)]
    asked = received = instructions = 0

    async def run(ctx):
        nonlocal asked, received, instructions
        fetch, load = design.fetch, design.load
        ctx.set(fetch.dram_base, BASE)
        ctx.set(fetch.program_address, PROGRAM)
        ctx.set(fetch.start, 1)
        ctx.set(load.arid, LOAD_ID)
        ctx.set(load.arsize, 4)
        ctx.set(load.arburst, 1)
        offered = False
        while received < len(beats) or instructions < 40:
            offered = asked < len(requests) and (offered or rng.random() < 0.5)
            ctx.set(load.arvalid, offered)
            if offered:
                ctx.set(load.araddr, requests[asked][0])
                ctx.set(load.arlen, requests[asked][1] - 1)
            ctx.set(load.rready, rng.random() < 0.6)
            ctx.set(fetch.instruction.ready, rng.random() < 0.3)
            memory.drive(ctx)
            memory.observe(ctx)
            if ctx.get(load.rvalid) and ctx.get(load.rready):
                expected = axi.dram_bytes(beats[received], 16)
                assert ctx.get(load.rdata) == int.from_bytes(expected, "little")
                assert ctx.get(load.rid) == LOAD_ID
                received += 1
            if ctx.get(fetch.instruction.valid) and ctx.get(fetch.instruction.ready):
                word = axi.dram_bytes(BASE + PROGRAM + 64 * instructions, 64)
                assert ctx.get(fetch.instruction.payload.word) == kept(word, config)
                instructions += 1
            if ctx.get(load.arvalid) and ctx.get(load.arready):
                asked += 1
                offered = False
            await ctx.tick()
            ctx.set(fetch.start, 0)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    assert [b[1:] for b in memory.bursts if b[0] == LOAD_ID] == requests
