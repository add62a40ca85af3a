"""The load engine against the loops of docs/architecture.md, on random slaves."""

import random

import pytest
from amaranth.sim import Simulator
from load_bench import Bench, random_load
from transfer_bench import BASE, contiguous, make_config

from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.rtl.transfer.load import LoadEngine
from tilewright.hw.spec import cycles
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Target


@pytest.mark.parametrize("bus_bits", [64, 128, 256, 512])
@pytest.mark.parametrize("rows", [1, 3, 12, 32, 64])
def test_random_loads_write_what_the_loops_say(axi, rows, bus_bits):
    seed = rows * 1000 + bus_bits
    rng = random.Random(seed)
    config = make_config(rows, bus_bits, path_registers=(rows // 3 + bus_bits // 64) % 2)
    loads = [random_load(rng, config) for _ in range(8)]
    grant = rng.choice((0.3, 0.8, 1.0))
    Bench(axi, config, loads, seed=seed, grant=grant, offer=0.7).execute()


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "bus_bits"), [(4, 8, 4, 64), (8, 2, 2, 512), (16, 48, 16, 256)]
)
def test_random_loads_with_different_pitches_and_faults(
    axi, rows, cols, lanes, bus_bits, path_registers
):
    seed = rows + cols + bus_bits
    rng = random.Random(seed)
    config = make_config(
        rows, bus_bits, cols=cols, lanes=lanes, weight_kib=2, activation_kib=2, parameter_kib=2,
        path_registers=path_registers,
    )  # fmt: skip
    loads = [random_load(rng, config, faults=True) for _ in range(16)]
    bench = Bench(axi, config, loads, seed=seed, grant=0.8,
                  error=lambda address: address // config.axi_bytes % 23 == 0)  # fmt: skip
    bench.execute()
    assert {is_bus for _, is_bus in bench.seen_faults} == {0, 1}


@pytest.mark.parametrize("path_registers", [0, 1])
def test_zero_counts_retire_in_order_behind_instructions_in_flight(axi, path_registers):
    config = make_config(16, 128, path_registers=path_registers)
    nothing = instruction("LOAD", run=3, count0=1, count1=0, count2=1)
    loads = [contiguous("LOAD", 5), nothing, nothing, contiguous("LOAD", 2), nothing]
    Bench(axi, config, loads, latency=20).execute()


def test_weights_wrap_inside_a_run_more_than_once(axi):
    config = make_config(16, 128, weight_kib=1)
    assert config.weight_words == 64
    load = contiguous("LOAD", 200, target=Target.WEIGHT, sram_address=60)
    Bench(axi, config, [load]).execute()


def test_a_weight_run_that_starts_out_of_range_is_dropped_as_a_whole(axi):
    config = make_config(16, 128, weight_kib=1)
    bench = Bench(axi, config, [contiguous("LOAD", 70, target=Target.WEIGHT, sram_address=64)])
    bench.execute()
    assert bench.seen_faults == [(0, 0)] * 70


@pytest.mark.parametrize("path_registers", [0, 1])
def test_idle_engine_shows_the_documented_latency(axi, path_registers):
    config = make_config(16, 128, path_registers=path_registers)
    bench = Bench(axi, config, [contiguous("LOAD", 1)], latency=10).execute()
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 2 + 10 + 2 + path_registers


@pytest.mark.parametrize(("rows", "bus_bits"), [(16, 128), (8, 64), (64, 512), (32, 128), (48, 64)])
def test_contiguous_words_of_a_beat_and_more_use_every_cycle_of_the_bus(axi, rows, bus_bits):
    config = make_config(rows, bus_bits, activation_kib=64)
    words = 1024 * config.axi_bytes // config.activation_pitch
    bench = Bench(axi, config, [contiguous("LOAD", words)], latency=64).execute()
    beats = 1024
    assert bench.memory.beats == beats
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 2 + 64 + beats + 1
    assert bench.buckets[Activity.BUSY] == beats + 1


@pytest.mark.parametrize(("rows", "bus_bits"), [(4, 128), (8, 512)])
def test_narrow_words_are_written_one_a_cycle(axi, rows, bus_bits):
    config = make_config(rows, bus_bits, activation_kib=16)
    bench = Bench(axi, config, [contiguous("LOAD", 1024)], latency=64).execute()
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 2 + 64 + 1024 + 1


@pytest.mark.parametrize("path_registers", [0, 1])
def test_consecutive_instructions_follow_without_a_gap(axi, path_registers):
    config = make_config(16, 128, path_registers=path_registers, activation_kib=64)
    loads = [contiguous("LOAD", 64, dram_address=4096 * i) for i in range(10)]
    bench = Bench(axi, config, loads, latency=64).execute()
    assert bench.retire_cycles[-1] - bench.accept_cycles[0] == 2 + 64 + 640 + 1 + path_registers


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("run", [1, 3])
@pytest.mark.parametrize(("outstanding", "rows"), [(16, 16), (32, 16), (16, 4)])
def test_short_runs_are_limited_by_the_bursts_in_flight(
    axi, outstanding, rows, run, path_registers
):
    config = make_config(
        rows, 128, axi_outstanding=outstanding, activation_kib=64, path_registers=path_registers
    )
    load = instruction("LOAD", run=run, count0=40, count1=1, count2=1,
                       dram_stride0=4096, sram_stride0=run)  # fmt: skip
    bench = Bench(axi, config, [load], latency=64).execute()
    assert run > 1 or bench.memory.most_in_flight == outstanding
    expected = load.latency(config, 64 - cycles.READ_ARBITER_CYCLES)
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == expected


@pytest.mark.parametrize("path_registers", [0, 1])
def test_cycle_formulas_are_near_the_engine_for_mixed_instructions(axi, path_registers):
    config = make_config(
        16, 128, activation_kib=64, weight_kib=64, parameter_kib=8, path_registers=path_registers
    )
    rng = random.Random(5)
    for _ in range(2):
        loads = [random_load(rng, config) for _ in range(10)]
        bench = Bench(axi, config, loads, latency=64).execute()
        latency = 64 - cycles.READ_ARBITER_CYCLES
        expected = sum(load.cycles(config, latency) for load in loads)
        expected += loads[0].latency(config, latency)
        expected -= loads[0].cycles(config, latency)
        measured = bench.retire_cycles[-1] - bench.accept_cycles[0]
        print(measured, expected)
        assert 0.8 * measured <= expected <= 1.2 * measured


def test_valid_does_not_depend_on_ready(axi):
    config = make_config(16, 128)
    design = LoadEngine(config=config)
    fields = contiguous("LOAD", 4).values()

    async def run(ctx):
        ctx.set(design.instruction.payload.fields.LOAD, dict(fields))
        ctx.set(design.instruction.valid, 1)
        await ctx.tick().until(design.bus.arvalid)
        for ready in (1, 0, 1):
            ctx.set(design.bus.arready, ready)
            assert ctx.get(design.bus.arvalid)
        for valid in (1, 0, 1):
            ctx.set(design.bus.rvalid, valid)
            assert ctx.get(design.bus.rready)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()


@pytest.mark.parametrize("path_registers", [0, 1])
def test_a_load_of_all_banks_gives_way_in_each(axi, path_registers):
    config = make_config(4, 64, path_registers=path_registers)
    loads = [contiguous("LOAD", config.activation_bank_words * config.activation_banks)]
    for seed in range(3):
        Bench(axi, config, loads, seed=seed, grant=0.5).execute()


@pytest.mark.parametrize("rows", [4, 16])
def test_a_write_that_is_announced_and_does_not_come_costs_no_word(axi, rows):
    """The vector engine is cut short by an abort or a fault; the load engine goes on."""
    config = make_config(rows, 64, path_registers=1)
    bench = Bench(axi, config, [contiguous("LOAD", 24)], seed=1)
    written = []

    async def announce(ctx):
        ctx.set(bench.design.dram_base, BASE)
        for port in bench.ports:
            ctx.set(port.grant, 1)
        for cycle in range(400):
            ctx.set(bench.design.coming_writes, -(cycle & 1))
            bench.memory.drive(ctx)
            bench.memory.observe(ctx)
            ctx.set(bench.design.instruction.valid, cycle == 0)
            ctx.set(bench.design.instruction.payload.fields.LOAD, bench.loads[0].values())
            if ctx.get(bench.design.activation.request):
                port = bench.design.activation
                written.append((Target.ACTIVATION, ctx.get(port.address), ctx.get(port.data)))
            bench.retired += ctx.get(bench.design.retire)
            await ctx.tick()

    bench.simulate(announce)
    assert [*dict.fromkeys(written)] == bench.writes
    assert len(written) > len(bench.writes)
    assert bench.retired == 1
