"""The bench of the load engine: instructions, what the loops say of them, and random slaves."""

import random

from amaranth.sim import Simulator

from tilewright.hw.rtl.interfaces import LOAD_ID, Activity
from tilewright.hw.rtl.transfer.load import LoadEngine
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Target

BASE = 0x7_4321_F000
LIMIT_CYCLES = 40_000


def make_config(rows, bus_bits, **changes):
    """Return a config with few words and the given pitch of activation words."""
    settings = {
        "rows": rows, "cols": rows, "lanes": 1, "operand_lanes": 1, "accumulator_kib": 64,
        "activation_kib": 1 + rows // 4, "activation_banks": 4, "weight_kib": 1 + rows // 4,
        "parameter_kib": 1, "axi_data_bits": bus_bits, "axi_address_bits": 40,
    }  # fmt: skip
    return Config(**(settings | changes))


def memory_of(target, config):
    """Return (words, word bytes, pitch) of the target's SRAM."""
    name = Target(target).name.lower()
    return tuple(getattr(config, f"{name}_{what}") for what in ("words", "word_bytes", "pitch"))


def runs_of(load, config):
    """Return [(DRAM address, first SRAM word)] of an instruction, in order."""
    pitch = memory_of(load.target, config)[2]
    dram = {name: getattr(load, name) & -pitch for name in load.values() if name.startswith("dram")}
    return [
        (
            (dram["dram_address"] + i2 * dram["dram_stride2"] + i1 * dram["dram_stride1"]
             + i0 * dram["dram_stride0"]) % 2**32,
            (load.sram_address + i2 * load.sram_stride2 + i1 * load.sram_stride1
             + i0 * load.sram_stride0) % 2**20,
        )
        for i2 in range(load.count2)
        for i1 in range(load.count1)
        for i0 in range(load.count0)
        if load.run
    ]  # fmt: skip


def words_of(load, config):
    """Return [(DRAM address, SRAM word or None if out of range)] of an instruction, in order."""
    words, _, pitch = memory_of(load.target, config)
    result = []
    for dram, sram in runs_of(load, config):
        for k in range(load.run):
            if load.target == Target.WEIGHT:
                place = (sram + k) % words if sram < words else None
            else:
                place = (sram + k) % 2**20
                place = place if place < words else None
            result.append(((dram + k * pitch) % 2**32, place))
    return result


def random_counts(rng, run):
    """Return three counts, some zero, with about a hundred words in all."""
    counts = [rng.choice((0, 1, 1, 1, 2, 3)) for _ in range(3)]
    while run * counts[0] * counts[1] * counts[2] > max(run, 100):
        counts[counts.index(max(counts))] = 1
    return counts


def random_load(rng, config, *, faults=False):
    """Return a LOAD whose words are in range unless `faults`, of a few hundred words at most."""
    target = rng.choice(list(Target))
    words, _, pitch = memory_of(target, config)
    run = rng.choice((0, 1, 1, 2, 3, rng.randrange(4, 30), rng.randrange(30, 300)))
    run = min(run, words, 4500 // pitch)
    counts = random_counts(rng, run)
    span = words - run + 1 if target != Target.WEIGHT else words
    strides = [rng.randrange(1 + (span - 1) // 8) for _ in range(3)]
    room = span - sum(max(c - 1, 0) * s for c, s in zip(counts, strides, strict=True))
    address = rng.randrange(room)
    if faults and rng.random() < 0.5:
        address = rng.choice((words - 1, words, words + 3, (1 << words.bit_length()) - 1))
    fields = {"target": target, "run": run, "sram_address": address}
    fields["dram_address"] = rng.choice((rng.randrange(2**32), 2**32 - pitch * rng.randrange(1, 9),
                                         pitch * rng.randrange(64)))  # fmt: skip
    for axis in range(3):
        near = pitch * rng.randrange(-40, 40)
        fields[f"count{axis}"] = counts[axis]
        fields[f"sram_stride{axis}"] = strides[axis]
        fields[f"dram_stride{axis}"] = rng.choice((near, rng.randrange(2**32))) % 2**32
    return instruction("LOAD", **fields)


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
            for dram, _ in runs_of(load, self.config)
            for burst in self.bursts_of(load, dram)
        ]
        assert self.memory.most_in_flight <= self.config.axi_outstanding
        return self

    def simulate(self, testbench):
        simulator = Simulator(self.design)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()

    def bursts_of(self, load, dram):
        """Return the bursts of one run; one that passes DRAM byte 2^32 goes on at byte 0."""
        size = load.run * memory_of(load.target, self.config)[2]
        inside = min(size, 2**32 - dram)
        bursts = self.axi.split_bursts(BASE + dram, inside, self.config.axi_bytes)
        if size > inside:
            bursts += self.axi.split_bursts(BASE, size - inside, self.config.axi_bytes)
        return bursts


def contiguous(config, run, *, target=Target.ACTIVATION, dram_address=0, **fields):
    """Return a LOAD of one run."""
    ones = {f"count{axis}": 1 for axis in range(3)}
    return instruction("LOAD", target=target, run=run, dram_address=dram_address, **ones, **fields)
