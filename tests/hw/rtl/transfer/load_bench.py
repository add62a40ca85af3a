"""The bench of the load engine: instructions, what the loops say of them, and random slaves."""

import random

from amaranth.sim import Simulator
from transfer_bench import (
    BASE,
    LIMIT_CYCLES,
    bursts_of,
    random_counts,
    random_run,
    random_transfer,
    runs_of,
)

from tilewright.hw.rtl.interfaces import LOAD_ID, Activity
from tilewright.hw.rtl.transfer.load import LoadEngine
from tilewright.hw.spec.isa import Target


def memory_of(target, config):
    """Return (words, word bytes, pitch) of the target's SRAM."""
    name = Target(target).name.lower()
    return tuple(getattr(config, f"{name}_{what}") for what in ("words", "word_bytes", "pitch"))


def load_runs(load, config):
    """Return [(DRAM address, first SRAM word)] of a LOAD, in order."""
    return runs_of(load, memory_of(load.target, config)[2])


def words_of(load, config):
    """Return [(DRAM address, SRAM word or None if out of range)] of an instruction, in order."""
    words, _, pitch = memory_of(load.target, config)
    result = []
    for dram, sram in load_runs(load, config):
        for k in range(load.run):
            if load.target == Target.WEIGHT:
                place = (sram + k) % words if sram < words else None
            else:
                place = (sram + k) % 2**20
                place = place if place < words else None
            result.append(((dram + k * pitch) % 2**32, place))
    return result


def random_load(rng, config, *, faults=False):
    """Return a LOAD whose words are in range unless `faults`, of a few hundred words at most."""
    target = rng.choice(list(Target))
    words, _, pitch = memory_of(target, config)
    run = random_run(rng, words, pitch)
    counts = random_counts(rng, run)
    span = words - run + 1 if target != Target.WEIGHT else words
    strides = [rng.randrange(1 + (span - 1) // 8) for _ in range(3)]
    room = span - sum(max(c - 1, 0) * s for c, s in zip(counts, strides, strict=True))
    address = rng.randrange(room)
    if faults and rng.random() < 0.5:
        address = rng.choice((words - 1, words, words + 3, (1 << words.bit_length()) - 1))
    return random_transfer(
        rng, "LOAD", pitch, counts=counts, strides=strides,
        target=target, run=run, sram_address=address,
    )  # fmt: skip


class Bench:
    """Runs instructions and compares every write, fault and retirement, in order.

    grant: chance that a write port grants; offer: chance that an instruction is offered. With path
    registers others write a bank of the activation SRAM with the opposite chance, no other SRAM.
    """

    def __init__(self, axi, config, loads, *, seed=None, grant=1.0, offer=1.0, latency=8,
                 error=lambda address: False):  # fmt: skip
        self.axi, self.config, self.loads = axi, config, loads
        self.rng = random.Random(0 if seed is None else seed)
        self.grant, self.offer = grant, offer
        self.design = LoadEngine(config=config)
        self.memory = axi.ReadMemory(
            self.design.bus, config, latency=latency, error=error,
            rng=None if seed is None else random.Random(seed + 1),
        )  # fmt: skip
        self.ports = [self.design.activation, self.design.weight, self.design.parameter]
        self.error = error
        self.writes, self.faults, self.retired_after = self.expect()
        self.written = self.retired = self.accepted = self.cycle = 0
        self.seen_faults = []
        self.others_write = 0
        self.retire_cycles, self.accept_cycles = [], []
        self.buckets = dict.fromkeys(Activity, 0)

    def expect(self):
        """Return the writes, the faults, and how many of both each retirement has behind it."""
        writes, faults, retired_after = [], [], []
        for index, load in enumerate(self.loads):
            target = load.target
            _, size, pitch = memory_of(target, self.config)
            bus = self.config.axi_bytes
            for dram, place in words_of(load, self.config):
                address = BASE + dram
                first, last = address & -bus, (address + pitch - 1) & -bus
                failed = any(self.error(beat) for beat in range(first, last + 1, bus))
                if failed or place is None:
                    faults.append((index, int(failed)))
                if place is not None:
                    data = int.from_bytes(self.axi.dram_bytes(address, size), "little")
                    writes.append((target, place, data))
            retired_after.append((len(writes), len(faults)))
        return writes, faults, retired_after

    async def run(self, ctx):
        design = self.design
        ctx.set(design.dram_base, BASE)
        while self.retired < len(self.loads):
            assert self.cycle < LIMIT_CYCLES, "hangs"
            offered = self.accepted < len(self.loads) and self.rng.random() < self.offer
            ctx.set(design.instruction.valid, offered)
            if offered:
                fields = self.loads[self.accepted].values()
                ctx.set(design.instruction.payload.fields.LOAD, dict(fields))
                ctx.set(design.instruction.payload.index, self.accepted)
            if self.config.path_registers:
                self.write_banks(ctx)
            else:
                for port in self.ports:
                    ctx.set(port.grant, self.rng.random() < self.grant)
            self.memory.drive(ctx)
            self.memory.observe(ctx)
            self.observe(ctx)
            await ctx.tick()
            self.cycle += 1
        assert self.memory.current is None
        assert not any(self.memory.queues.values())
        assert ctx.get(design.activity) == Activity.IDLE

    def write_banks(self, ctx):
        """Others write the banks of which they said so a cycle before."""
        bank = ctx.get(self.design.activation.address) // self.config.activation_bank_words
        ctx.set(self.design.activation.grant, not self.others_write >> bank & 1)
        ctx.set(self.design.weight.grant, 1)
        ctx.set(self.design.parameter.grant, 1)
        chances = [self.rng.random() >= self.grant for _ in range(self.config.activation_banks)]
        self.others_write = sum(chance << number for number, chance in enumerate(chances))
        ctx.set(self.design.coming_writes, self.others_write)

    def observe(self, ctx):
        design = self.design
        done_before = (self.written, len(self.seen_faults))
        requests = [bool(ctx.get(port.request)) for port in self.ports]
        assert sum(requests) <= 1
        activity = ctx.get(design.activity)
        self.buckets[Activity(activity)] += 1
        assert activity != Activity.IDLE or self.retired == self.accepted
        if any(requests):
            target = requests.index(True)
            port = self.ports[target]
            assert ctx.get(port.mask) == (1 << len(port.mask)) - 1
            if ctx.get(port.grant):
                write = (target, ctx.get(port.address), ctx.get(port.data))
                assert write == self.writes[self.written]
                self.written += 1
        if ctx.get(design.fault):
            fault = (ctx.get(design.fault_index), ctx.get(design.fault_is_bus))
            assert fault == self.faults[len(self.seen_faults)]
            self.seen_faults.append(fault)
        if ctx.get(design.retire):
            done = (self.written, len(self.seen_faults))
            done = done_before if self.config.path_registers else done
            assert done == self.retired_after[self.retired]
            self.retired += 1
            self.retire_cycles.append(self.cycle)
        if ctx.get(design.instruction.valid) and ctx.get(design.instruction.ready):
            self.accepted += 1
            self.accept_cycles.append(self.cycle)

    def execute(self):
        """Simulate to the last retirement; return self."""
        self.simulate(self.run)
        assert self.written == len(self.writes)
        assert len(self.seen_faults) == len(self.faults)
        assert self.memory.bursts == [
            (LOAD_ID, *burst)
            for load in self.loads
            for dram, _ in load_runs(load, self.config)
            for burst in bursts_of(self.axi, dram, self.bytes_of(load), self.config)
        ]
        assert self.memory.most_in_flight <= self.config.axi_outstanding
        return self

    def bytes_of(self, load):
        """Return how many bytes of DRAM a run takes."""
        return load.run * memory_of(load.target, self.config)[2]

    def simulate(self, testbench):
        simulator = Simulator(self.design)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()
