"""The store engine against the loops of docs/architecture.md, on random slaves."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator
from transfer_bench import (
    BASE,
    LIMIT_CYCLES,
    bursts_of,
    contiguous,
    make_config,
    random_counts,
    random_run,
    random_transfer,
    runs_of,
)

from tilewright.hw.rtl.interfaces import STORE_ID, Activity, accesses
from tilewright.hw.rtl.transfer.store import StoreEngine
from tilewright.hw.spec.instruction_set import instruction


def random_store(rng, config, *, faults=False):
    """Return a STORE of a few hundred words at most, in range unless `faults`."""
    words, pitch = config.activation_words, config.activation_pitch
    run = random_run(rng, words, pitch)
    fields = {"run": run, "sram_address": rng.randrange(words - run + 1)}
    if faults and rng.random() < 0.5:
        fields["sram_address"] = rng.choice((words - 1, words, words + 3))
    room = words - run - min(fields["sram_address"], words - run)
    counts = random_counts(rng, run)
    strides = [rng.randrange(room // 8 + 1) for _ in range(3)]
    return random_transfer(rng, "STORE", pitch, counts=counts, strides=strides, **fields)


class Bench:
    """Runs instructions on an SRAM of random words and compares DRAM, faults and retirements.

    grant: chance that the read port grants; offer: chance that an instruction is offered.
    """

    def __init__(self, axi, config, stores, *, seed=None, grant=1.0, offer=1.0, latency=8,
                 order="any", error=lambda address: False):  # fmt: skip
        self.axi, self.config, self.stores, self.error = axi, config, stores, error
        self.rng = random.Random(0 if seed is None else seed)
        self.grant, self.offer = grant, offer
        self.design = StoreEngine(config=config)
        self.memory = axi.WriteMemory(
            self.design.bus, config, latency=latency, error=error, order=order,
            rng=None if seed is None else random.Random(seed + 1),
        )  # fmt: skip
        self.sram = [self.rng.randbytes(config.rows) for _ in range(config.activation_words)]
        self.retired = self.accepted = self.cycle = self.answered_before = 0
        self.bus_faults, self.range_faults = [], []
        self.retire_cycles, self.accept_cycles = [], []
        self.buckets = dict.fromkeys(Activity, 0)
        # What the port gives in the next cycles.
        self.read_data = deque([None] * (1 + config.wire_registers))
        self.expect()

    def expect(self):
        """Work out DRAM's bytes, the bursts, the faults, and the responses each retirement has."""
        pitch, size = self.config.activation_pitch, self.config.rows
        self.bytes, self.bursts, self.responses_before = {}, [], []
        self.expected_bus_faults, self.expected_range_faults = [], []
        for index, store in enumerate(self.stores):
            for dram, sram in runs_of(store, pitch):
                self.bursts += self.bursts_of(dram, store.run * pitch, index)
                for k in range(store.run):
                    place = (sram + k) % 2**20
                    if place >= self.config.activation_words:
                        self.expected_range_faults.append(index)
                        continue
                    address = BASE + (dram + k * pitch) % 2**32
                    self.bytes.update(zip(range(address, address + size), self.sram[place],
                                          strict=True))  # fmt: skip
            self.responses_before.append(len(self.bursts))

    def bursts_of(self, dram, size, index):
        """Return the bursts of one run, and expect the faults of those with an error."""
        bursts = bursts_of(self.axi, dram, size, self.config)
        self.expected_bus_faults += [index for address, _ in bursts if self.error(address)]
        return [(STORE_ID, *burst) for burst in bursts]

    async def run(self, ctx):
        design, port = self.design, self.design.activation
        ctx.set(design.dram_base, BASE)
        while self.retired < len(self.stores):
            assert self.cycle < LIMIT_CYCLES, "hangs"
            offered = self.accepted < len(self.stores) and self.rng.random() < self.offer
            ctx.set(design.instruction.valid, offered)
            if offered:
                fields = self.stores[self.accepted].values()
                ctx.set(design.instruction.payload.fields.STORE, dict(fields))
                ctx.set(design.instruction.payload.index, self.accepted)
            data = self.read_data.popleft() or self.rng.randbytes(self.config.rows)
            ctx.set(port.data, int.from_bytes(data, "little"))
            granted = self.rng.random() < self.grant
            for access in accesses(port):
                ctx.set(access.grant, granted)
            self.memory.drive(ctx)
            self.memory.observe(ctx)
            self.observe(ctx)
            await ctx.tick()
            self.cycle += 1
        assert ctx.get(design.activity) == Activity.IDLE
        assert not ctx.get(design.bus.awvalid)
        assert not ctx.get(design.bus.wvalid)

    def observe(self, ctx):
        design, port = self.design, self.design.activation
        activity = Activity(ctx.get(design.activity))
        self.buckets[activity] += 1
        assert activity != Activity.IDLE or self.retired == self.accepted
        repeats = "repeats" in port.signature.members and ctx.get(port.repeats)
        request, address, grant = map(ctx.get, accesses(port)[repeats])
        self.read_data.append(self.sram[address] if request and grant else None)
        if ctx.get(design.fault):
            faults = self.bus_faults if ctx.get(design.fault_is_bus) else self.range_faults
            faults.append(ctx.get(design.fault_index))
        if ctx.get(design.retire):
            answered = self.memory.answered
            answered = self.answered_before if self.config.path_registers else answered
            assert answered >= self.responses_before[self.retired]
            if self.retired + 1 < len(self.stores):
                following = self.responses_before[self.retired + 1]
                assert answered <= max(following, self.responses_before[self.retired])
            self.retired += 1
            self.retire_cycles.append(self.cycle)
        self.answered_before = self.memory.answered
        if ctx.get(design.instruction.valid) and ctx.get(design.instruction.ready):
            self.accepted += 1
            self.accept_cycles.append(self.cycle)

    def execute(self):
        """Simulate to the last retirement; return self."""
        simulator = Simulator(self.design)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.run)
        simulator.run()
        assert self.memory.bursts == self.bursts
        assert self.memory.answered == len(self.bursts)
        assert not self.memory.data
        assert self.memory.bytes == self.bytes
        assert self.memory.most_in_flight <= self.config.axi_outstanding
        assert self.bus_faults == self.expected_bus_faults
        together = len(self.expected_range_faults) - len(self.range_faults)
        assert 0 <= together <= len(self.bus_faults)
        return self


@pytest.mark.parametrize("bus_bits", [64, 128, 256, 512])
@pytest.mark.parametrize("rows", [1, 3, 12, 32, 64])
def test_random_stores_write_what_the_loops_say(axi, rows, bus_bits):
    seed = rows * 1000 + bus_bits
    rng = random.Random(seed)
    config = make_config(rows, bus_bits, path_registers=(rows // 3 + bus_bits // 64) % 2)
    stores = [random_store(rng, config) for _ in range(14)]
    order = ("any", "address", "data")[seed % 3]
    grant = rng.choice((0.3, 0.8, 1.0))
    Bench(axi, config, stores, seed=seed, grant=grant, offer=0.7, order=order).execute()


@pytest.mark.parametrize(("rows", "bus_bits"), [(4, 64), (8, 512), (40, 128)])
def test_random_stores_with_faults(axi, rows, bus_bits, registers):
    rng = random.Random(rows)
    config = make_config(rows, bus_bits, **registers)
    stores = [random_store(rng, config, faults=True) for _ in range(16)]
    bench = Bench(axi, config, stores, seed=rows, grant=0.8,
                  error=lambda address: address // 64 % 5 == 0)  # fmt: skip
    bench.execute()
    assert bench.bus_faults
    assert set(bench.range_faults) == set(bench.expected_range_faults) != set()


def test_zero_counts_retire_in_order_behind_instructions_in_flight(axi, registers):
    config = make_config(16, 128, **registers)
    nothing = instruction("STORE", run=3, count0=1, count1=0, count2=1)
    stores = [
        contiguous("STORE", 5),
        nothing,
        nothing,
        contiguous("STORE", 2, dram_address=256),
        nothing,
        nothing,
    ]
    bench = Bench(axi, config, stores, latency=20).execute()
    assert bench.retire_cycles[1] == bench.retire_cycles[0] + 1


def test_idle_engine_shows_the_documented_latency(axi, registers):
    config = make_config(16, 128, **registers)
    bench = Bench(axi, config, [contiguous("STORE", 1)], latency=10).execute()
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 4 + 3 + 10 + sum(registers.values())


@pytest.mark.parametrize(("rows", "bus_bits"), [(16, 128), (8, 64), (64, 512), (32, 128), (48, 64)])
@pytest.mark.parametrize("order", ["any", "address"])
def test_contiguous_words_of_a_beat_and_more_use_every_cycle_of_the_bus(axi, rows, bus_bits, order):
    config = make_config(rows, bus_bits, activation_kib=32)
    words = 2048 // rows
    bench = Bench(axi, config, [contiguous("STORE", words)], latency=64, order=order).execute()
    beats = words * config.activation_pitch // config.axi_bytes
    assert bench.memory.beats == beats
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 4 + 3 + beats - 1 + 64


@pytest.mark.parametrize(("rows", "bus_bits"), [(4, 128), (8, 512), (3, 64)])
def test_narrow_words_are_read_one_a_cycle(axi, rows, bus_bits):
    config = make_config(rows, bus_bits, activation_kib=8)
    bench = Bench(axi, config, [contiguous("STORE", 1000)], latency=64).execute()
    assert bench.memory.beats == -(-1000 * config.activation_pitch // config.axi_bytes)
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == 4 + 3 + 999 + 64


def test_consecutive_instructions_follow_without_a_gap(axi, registers):
    config = make_config(16, 128, **registers, activation_kib=16)
    stores = [contiguous("STORE", 64, dram_address=4096 * i) for i in range(10)]
    bench = Bench(axi, config, stores, latency=64).execute()
    late = sum(registers.values())
    assert bench.retire_cycles[-1] - bench.accept_cycles[0] == 4 + 3 + 639 + 64 + late


@pytest.mark.parametrize("run", [1, 3])
@pytest.mark.parametrize(("outstanding", "rows"), [(16, 16), (32, 16), (16, 4)])
def test_short_runs_are_limited_by_the_bursts_in_flight(axi, outstanding, rows, run, registers):
    config = make_config(rows, 128, axi_outstanding=outstanding, activation_kib=64, **registers)
    store = instruction("STORE", run=run, count0=40, count1=1, count2=1,
                       dram_stride0=4096, sram_stride0=run)  # fmt: skip
    bench = Bench(axi, config, [store], latency=64).execute()
    assert run > 1 or bench.memory.most_in_flight == outstanding
    expected = store.latency(config, 64)
    assert bench.retire_cycles[0] - bench.accept_cycles[0] == expected


def test_cycle_formulas_are_near_the_engine_for_mixed_instructions(axi, registers):
    config = make_config(16, 128, activation_kib=64, weight_kib=64, parameter_kib=8, **registers)
    rng = random.Random(5)
    for _ in range(2):
        stores = [random_store(rng, config) for _ in range(10)]
        bench = Bench(axi, config, stores, latency=64).execute()
        latency = 64
        expected = sum(store.cycles(config, latency) for store in stores)
        expected += stores[0].latency(config, latency)
        expected -= stores[0].cycles(config, latency)
        measured = bench.retire_cycles[-1] - bench.accept_cycles[0]
        print(measured, expected)
        assert 0.8 * measured <= expected <= 1.2 * measured


def test_address_and_data_are_offered_without_waiting_for_each_other(axi):
    config = make_config(16, 128)
    design = StoreEngine(config=config)
    fields = contiguous("STORE", 4).values()

    async def run(ctx):
        ctx.set(design.instruction.payload.fields.STORE, dict(fields))
        ctx.set(design.instruction.valid, 1)
        ctx.set(design.activation.grant, 1)
        await ctx.tick().repeat(12)
        for ready in (1, 0, 1, 0):
            ctx.set(design.bus.awready, ready)
            ctx.set(design.bus.wready, ready)
            assert ctx.get(design.bus.awvalid)
            assert ctx.get(design.bus.wvalid)
        for valid in (1, 0):
            ctx.set(design.bus.bvalid, valid)
            assert ctx.get(design.bus.bready)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
