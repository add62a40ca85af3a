"""The register file, starts, faults, interrupt, watchdog and counters, engines played by hand."""

import random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.control.control import Control
from tilewright.hw.rtl.control.decoder import engines
from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.spec import registers
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import BY_NAME, Bucket, Fault

CONFIG = PRESETS["nano"]
CONFIGS = [CONFIG, CONFIG.replace(path_registers=1)]
ENGINES = list(engines(CONFIG))
BUSY, DONE, FAULT, STOPPED = (
    registers.STATUS_BUSY,
    registers.STATUS_DONE,
    registers.STATUS_FAULT,
    registers.STATUS_STOPPED,
)


class Host:
    """An AXI4-Lite master; every access may be delayed at random."""

    def __init__(self, bus, seed=None):
        self.bus = bus
        self.rng = random.Random(0 if seed is None else seed)
        self.delays = seed is not None

    async def pause(self, ctx):
        while self.delays and self.rng.random() < 0.5:
            await ctx.tick()

    async def write(self, ctx, name, value, strobe=15, response=0):
        address = BY_NAME[name].offset if isinstance(name, str) else name
        bus = self.bus
        ctx.set(bus.awaddr, address)
        ctx.set(bus.wdata, value)
        ctx.set(bus.wstrb, strobe)
        ctx.set(bus.awvalid, 1)
        await self.pause(ctx)
        ctx.set(bus.wvalid, 1)
        while not (ctx.get(bus.awready) and ctx.get(bus.wready)):
            await ctx.tick()
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await self.pause(ctx)
        ctx.set(bus.bready, 1)
        while not ctx.get(bus.bvalid):
            await ctx.tick()
        assert ctx.get(bus.bresp) == response
        await ctx.tick()
        ctx.set(bus.bready, 0)

    async def read(self, ctx, name, response=0):
        address = BY_NAME[name].offset if isinstance(name, str) else name
        bus = self.bus
        ctx.set(bus.araddr, address)
        ctx.set(bus.arvalid, 1)
        while not ctx.get(bus.arready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(bus.arvalid, 0)
        await self.pause(ctx)
        ctx.set(bus.rready, 1)
        while not ctx.get(bus.rvalid):
            await ctx.tick()
        value = ctx.get(bus.rdata)
        assert ctx.get(bus.rresp) == response
        await ctx.tick()
        ctx.set(bus.rready, 0)
        return value


def simulate(script, seed=None, config=CONFIG):
    dut = Control(config=config)

    async def bench(ctx):
        ctx.set(dut.fetch_idle, 1)
        ctx.set(dut.drained, 1)
        await script(ctx, dut, Host(dut.bus, seed))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def start(ctx, host):
    await host.write(ctx, "control", registers.CONTROL_START)


@pytest.mark.parametrize("config", CONFIGS)
def test_capability_registers_read_the_config(config):
    async def script(ctx, dut, host):
        expected = {
            "magic": 0x544C5752, "version": 1, "array": 4 | 4 << 16, "vector": 2 | 1 << 16,
            "activation_words": 8192, "weight_words": 2048, "accumulator_words": 1024,
            "parameter_words": 256, "bus": 64 | 16 << 16, "control": 0, "status": 0,
            "watchdog": 1_000_000, "instruction_limit": (1 << 24) - 1,
        }  # fmt: skip
        for name, value in expected.items():
            assert await host.read(ctx, name) == value, name
        digest = await host.read(ctx, "digest_low") | await host.read(ctx, "digest_high") << 32
        assert digest == int(config.digest[:16], 16)

    simulate(script, seed=1, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_read_back_with_their_alignment(config):
    async def script(ctx, dut, host):
        ones = 0xFFFFFFFF
        for name, value in {
            "interrupt_enable": 1, "single_step": 1, "program_address": ones - 63,
            "dram_base_low": ones - 4095, "dram_base_high": 0, "watchdog": ones,
            "instruction_limit": (1 << 24) - 1,
        }.items():  # fmt: skip
            await host.write(ctx, name, ones)
            assert await host.read(ctx, name) == value, name
        assert ctx.get(dut.program_address) == ones - 63
        assert ctx.get(dut.dram_base) == ones - 4095
        await host.write(ctx, "watchdog", 0x11223344, strobe=0b0101)
        assert await host.read(ctx, "watchdog") == 0xFF22FF44

    simulate(script, seed=2, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_unknown_addresses_and_read_only_writes_answer_with_an_error(config):
    async def script(ctx, dut, host):
        for address in (0x3C, 0xFFC):
            assert await host.read(ctx, address, response=2) == 0
        await host.write(ctx, 0xFFC, 1, response=2)
        await host.write(ctx, "status", 1, response=2)

    simulate(script, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_start_runs_until_everything_is_done(config):
    async def script(ctx, dut, host):
        await host.write(ctx, "interrupt_enable", 1)
        ctx.set(dut.drained, 0)
        await start(ctx, host)
        ctx.set(dut.fetch_idle, 0)
        assert ctx.get(dut.run)
        assert await host.read(ctx, "status") == BUSY
        ctx.set(dut.ended, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.drained, 1)
        await ctx.tick().repeat(3)
        assert await host.read(ctx, "status") == BUSY
        assert not ctx.get(dut.irq)
        ctx.set(dut.fetch_idle, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.irq)
        assert await host.read(ctx, "status") == DONE
        cycles = await host.read(ctx, "cycles_low")
        assert cycles > 6
        await host.write(ctx, "control", registers.CONTROL_CLEAR)
        assert await host.read(ctx, "status") == 0
        assert await host.read(ctx, "cycles_low") == 0
        await ctx.tick()
        assert not ctx.get(dut.irq)

    simulate(script, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_start_clear_and_addresses_are_ignored_while_busy(config):
    async def script(ctx, dut, host):
        await host.write(ctx, "program_address", 64)
        await start(ctx, host)
        ctx.set(dut.dispatched, 5)
        before = await host.read(ctx, "cycles_low")
        await start(ctx, host)
        await host.write(ctx, "control", registers.CONTROL_CLEAR)
        await host.write(ctx, "program_address", 128, response=2)
        assert await host.read(ctx, "cycles_low") > before
        assert await host.read(ctx, "program_address") == 64
        assert await host.read(ctx, "status") == BUSY

    simulate(script, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_first_fault_sticks_and_engines_win_in_order(config):
    async def script(ctx, dut, host):
        def fault(place, **values):
            for name, value in {"valid": 1, **values}.items():
                ctx.set(getattr(place, name), value)

        await start(ctx, host)
        for engine in range(len(ENGINES)):
            ctx.set(dut.engines[engine].activity, Activity.BUSY)
        fault(dut.engine_faults[3], cause=Fault.BUS_ERROR, index=8)
        fault(dut.engine_faults[1], cause=Fault.SRAM_RANGE, index=9)
        fault(dut.dispatch_fault, cause=Fault.ILLEGAL_INSTRUCTION, index=10)
        await ctx.tick().repeat(2 + config.path_registers)
        assert not ctx.get(dut.run)
        ctx.set(dut.engine_faults[1].valid, 0)
        assert await host.read(ctx, "fault_cause") == Fault.SRAM_RANGE
        assert await host.read(ctx, "fault_instruction") == 9
        assert await host.read(ctx, "status") == BUSY | FAULT
        for place in (dut.engine_faults[3], dut.dispatch_fault):
            ctx.set(place.valid, 0)
        for engine in range(len(ENGINES)):
            ctx.set(dut.engines[engine].activity, Activity.IDLE)
        await ctx.tick().repeat(1 + config.path_registers)
        assert await host.read(ctx, "status") == FAULT
        await start(ctx, host)
        assert await host.read(ctx, "status") == BUSY
        assert await host.read(ctx, "fault_cause") == Fault.NONE

    simulate(script, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_abort_ends_a_program_and_is_ignored_without_one(config):
    async def script(ctx, dut, host):
        async def abort():
            await host.write(ctx, "control", registers.CONTROL_ABORT)

        await abort()
        assert await host.read(ctx, "status") == 0
        await start(ctx, host)
        ctx.set(dut.engines[0].activity, Activity.MEMORY)
        ctx.set(dut.dispatched, 7)
        await abort()
        assert not ctx.get(dut.run)
        assert await host.read(ctx, "status") == BUSY | FAULT
        ctx.set(dut.engines[0].activity, Activity.IDLE)
        await abort()
        assert await host.read(ctx, "status") == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.ABORTED
        assert await host.read(ctx, "fault_instruction") == 7
        await host.write(ctx, "control", registers.CONTROL_ABORT | registers.CONTROL_START)
        assert await host.read(ctx, "status") == BUSY

    simulate(script, seed=3, config=config)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_fault_of_the_cycle_of_the_abort_is_the_one_that_is_kept(config):
    async def script(ctx, dut, host):
        await start(ctx, host)
        ctx.set(dut.dispatch_fault.cause, Fault.FUTURE_WAIT)
        ctx.set(dut.dispatch_fault.valid, 1)
        await host.write(ctx, "control", registers.CONTROL_ABORT)
        assert await host.read(ctx, "fault_cause") == Fault.FUTURE_WAIT

    simulate(script, config=config)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("progress", ["beat", "retire", None])
def test_watchdog_barks_without_progress(progress, config):
    async def script(ctx, dut, host):
        await host.write(ctx, "watchdog", 20)
        await start(ctx, host)
        for _ in range(10):
            await ctx.tick().repeat(9)
            signal = dut.beat if progress == "beat" else dut.engines[2].retire
            if progress:
                ctx.set(signal, 1)
                await ctx.tick()
                ctx.set(signal, 0)
        expected = (0, Fault.WATCHDOG)[progress is None]
        assert await host.read(ctx, "fault_cause") == expected
        if progress is None:
            assert 18 <= await host.read(ctx, "cycles_low") <= 24

    simulate(script, config=config)


def test_watchdog_sleeps_while_stopped_and_with_limit_zero():
    async def script(ctx, dut, host):
        await host.write(ctx, "watchdog", 10)
        ctx.set(dut.stopped, 1)
        await start(ctx, host)
        await ctx.tick().repeat(40)
        assert await host.read(ctx, "status") == BUSY | STOPPED
        await host.write(ctx, "watchdog", 0)
        ctx.set(dut.stopped, 0)
        await ctx.tick().repeat(40)
        assert await host.read(ctx, "status") == BUSY

    simulate(script)


@pytest.mark.parametrize("seed", range(2))
def test_every_cycle_of_every_engine_is_in_one_bucket(seed):
    rng = random.Random(seed)
    expected = {engine: dict.fromkeys(Bucket, 0) for engine in Engine}

    async def script(ctx, dut, host):
        await host.write(ctx, "control", registers.CONTROL_START)
        for place in range(len(ENGINES)):
            ctx.set(dut.engines[place].activity, Activity.IDLE)
        running = await host.read(ctx, "cycles_low")
        already = running
        for _ in range(300):
            running = ctx.get(dut.run)
            for place, engine in enumerate(ENGINES):
                state = dut.engines[place]
                activity = rng.choice(list(Activity))
                ready, waiting = rng.random() < 0.5, rng.random() < 0.5
                awaited = rng.choice(list(Engine))
                ctx.set(state.activity, activity)
                ctx.set(state.ready, ready)
                ctx.set(state.waiting, waiting)
                ctx.set(state.waiting_for, awaited)
                bucket = Bucket[activity.name]
                if waiting and (bucket == Bucket.IDLE or (ready and bucket == Bucket.MEMORY)):
                    bucket = Bucket[f"WAIT_{awaited.name}"]
                expected[engine][bucket] += running
            await ctx.tick()
        for state in dut.engines:
            ctx.set(state.activity, Activity.IDLE)
            ctx.set(state.waiting, 0)
        ctx.set(dut.ended, 1)
        await ctx.tick().repeat(2)
        cycles = await host.read(ctx, "cycles_low")
        assert cycles >= 300 > already
        for engine in Engine:
            name = engine.name.lower()
            read = {b: await host.read(ctx, f"{name}_{b.name.lower()}") for b in Bucket}
            assert sum(read.values()) == cycles, engine
            if engine in ENGINES:
                read.pop(Bucket.IDLE), expected[engine].pop(Bucket.IDLE)
                assert read == expected[engine], engine

    simulate(script)


def test_without_counters_no_engine_counts_but_retirements_and_cycles_stay():
    async def script(ctx, dut, host):
        await start(ctx, host)
        ctx.set(dut.retired[Engine.MATRIX], 7)
        for state in dut.engines:
            ctx.set(state.activity, Activity.BUSY)
        await ctx.tick().repeat(5)
        for engine in Engine:
            for bucket in Bucket:
                assert await host.read(ctx, f"{engine.name}_{bucket.name}".lower()) == 0
        assert await host.read(ctx, "cycles_low") > 5
        assert await host.read(ctx, "matrix_retired") == 7

    simulate(script, config=CONFIG.replace(counters=0))
