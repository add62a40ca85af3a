"""The whole accelerator in Amaranth's simulator: a DRAM, a host on the control port."""

import random
from collections import deque
from functools import partial

import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.accelerator import Accelerator
from tilewright.hw.spec import encoding, registers
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.registers import BY_NAME, Bucket

CONFIG = Config(
    name="tiny", rows=4, cols=4, activation_kib=1, activation_banks=4, weight_kib=1,
    accumulator_kib=1, accumulator_banks=2, parameter_kib=1, lanes=2, operand_lanes=1,
    axi_data_bits=64, queue_depth=4,
)  # fmt: skip
DRAM_BYTES = 1 << 16
PROGRAM_ADDRESS = 0x8000
DRAM_BASE = 0x4000_0000


class Dram:
    """A DRAM on the flat memory ports; answers the cycle after at the earliest.

    seed: random stalls, latencies and interleaving of IDs; None: every cycle, in order.
    error: bus addresses of beats that are answered with SLVERR; dead: never answers anything.
    offered: cycle and ID of every read address, when it came up; answered: cycle of the last
    handshake of any channel; idle: nothing is under way. Checks that what is valid stays.
    """

    def __init__(self, dut, *, seed=None, latency=6):
        self.dut, self.latency = dut, latency
        self.rng = None if seed is None else random.Random(seed)
        self.data = bytearray(DRAM_BYTES)
        self.error = set()
        self.dead = False
        self.reads, self.addresses, self.beats, self.responses = {}, deque(), deque(), deque()
        self.current = None
        self.answering = None
        self.cycle = self.answered = 0
        self.offered, self.waiting = [], {}
        self.ready = dict.fromkeys(("arready", "awready", "wready"), False)

    OUTPUTS = (
        "arvalid", "arid", "araddr", "arlen", "rready", "awvalid", "awid", "awaddr", "awlen",
        "wvalid", "wdata", "wstrb", "wlast", "bready",
    )  # fmt: skip

    async def process(self, ctx):
        signals = [getattr(self.dut, f"memory_{name}") for name in self.OUTPUTS]
        async for _, _, *values in ctx.tick().sample(*signals):
            self.cycle += 1
            self._take(dict(zip(self.OUTPUTS, values, strict=True)))
            self._answer_writes(ctx)
            self._answer_reads(ctx)
            for name in self.ready:
                self.ready[name] = not self.dead and self._lucky(0.7)
                ctx.set(getattr(self.dut, f"memory_{name}"), self.ready[name])

    CHANNELS = {
        "ar": ("arid", "araddr", "arlen"),
        "aw": ("awid", "awaddr", "awlen"),
        "w": ("wdata", "wstrb", "wlast"),
    }

    @property
    def idle(self):
        return not (any(self.reads.values()) or self.addresses or self.beats or self.responses
                    or self.answering or self.waiting)  # fmt: skip

    def _check(self, out):
        """What waited in the cycle before is there, unchanged."""
        for channel, names in self.CHANNELS.items():
            payload = tuple(out[name] for name in names) if out[f"{channel}valid"] else None
            assert self.waiting.pop(channel, payload) == payload, f"{channel} changed"
            if payload is None:
                continue
            if channel == "ar" and (not self.offered or self.offered[-1][2]):
                self.offered.append([self.cycle, out["arid"], False])
            if self.ready[f"{channel}ready"]:
                self.answered = self.cycle
                if channel == "ar":
                    self.offered[-1][2] = True
            else:
                self.waiting[channel] = payload

    def _lucky(self, chance):
        return self.rng is None or self.rng.random() < chance

    def _delay(self):
        return self.cycle + (self.rng.randrange(1, 3 * self.latency) if self.rng else self.latency)

    def _take(self, out):
        """The handshakes of the cycle that just ended."""
        self._check(out)
        if out["arvalid"] and self.ready["arready"]:
            burst = [self._delay(), out["arid"], out["araddr"], out["arlen"] + 1]
            self.reads.setdefault(out["arid"], deque()).append(burst)
        if self.current is not None and out["rready"]:
            self.answered = self.cycle
            self.current[2] += CONFIG.axi_bytes
            self.current[3] -= 1
            if self.current[3] == 0:
                self.reads[self.current[1]].popleft()
            self.current = None
        if out["awvalid"] and self.ready["awready"]:
            self.addresses.append((out["awid"], out["awaddr"], out["awlen"] + 1))
        if out["wvalid"] and self.ready["wready"]:
            self.beats.append((out["wdata"], out["wstrb"], out["wlast"]))
        if self.answering is not None and out["bready"]:
            self.answered = self.cycle
            self.answering = None
        while self.addresses and len(self.beats) >= self.addresses[0][2]:
            self._write(*self.addresses.popleft())

    def _write(self, identity, address, length):
        failed = False
        for number in range(length):
            data, strobe, last = self.beats.popleft()
            assert last == (number == length - 1)
            failed |= address in self.error
            for byte in range(CONFIG.axi_bytes):
                if strobe >> byte & 1:
                    self.data[address - DRAM_BASE + byte] = data >> 8 * byte & 0xFF
            address += CONFIG.axi_bytes
        self.responses.append((self._delay(), identity, 2 * failed))

    def _answer_writes(self, ctx):
        due = self.responses and self.responses[0][0] <= self.cycle
        if self.answering is None and due and not self.dead and self._lucky(0.7):
            self.answering = self.responses.popleft()
            ctx.set(self.dut.memory_bid, self.answering[1])
            ctx.set(self.dut.memory_bresp, self.answering[2])
        ctx.set(self.dut.memory_bvalid, self.answering is not None)

    def _answer_reads(self, ctx):
        if self.current is None and not self.dead and self._lucky(0.8):
            due = [q[0] for q in self.reads.values() if q and q[0][0] <= self.cycle]
            if due:
                self.current = self.rng.choice(due) if self.rng else min(due)
                _, identity, address, left = self.current
                offset = address - DRAM_BASE
                beat = self.data[offset : offset + CONFIG.axi_bytes]
                ctx.set(self.dut.memory_rid, identity)
                ctx.set(self.dut.memory_rdata, int.from_bytes(beat, "little"))
                ctx.set(self.dut.memory_rresp, 2 * (address in self.error))
                ctx.set(self.dut.memory_rlast, left == 1)
        ctx.set(self.dut.memory_rvalid, self.current is not None)


class Host:
    """A host on the control port: register accesses and whole runs."""

    def __init__(self, dut):
        self.dut = dut

    async def write(self, ctx, name, value, response=0):
        dut = self.dut
        ctx.set(dut.control_awaddr, BY_NAME[name].offset)
        ctx.set(dut.control_wdata, value)
        ctx.set(dut.control_wstrb, 15)
        ctx.set(dut.control_bready, 1)
        ctx.set(dut.control_awvalid, 1)
        ctx.set(dut.control_wvalid, 1)
        await ctx.tick().until(dut.control_awready & dut.control_wready)
        ctx.set(dut.control_awvalid, 0)
        ctx.set(dut.control_wvalid, 0)
        (code,) = await ctx.tick().sample(dut.control_bresp).until(dut.control_bvalid)
        assert code == response

    async def read(self, ctx, name):
        dut = self.dut
        ctx.set(dut.control_araddr, BY_NAME[name].offset)
        ctx.set(dut.control_rready, 1)
        ctx.set(dut.control_arvalid, 1)
        await ctx.tick().until(dut.control_arready)
        ctx.set(dut.control_arvalid, 0)
        value, code = (
            await ctx.tick().sample(dut.control_rdata, dut.control_rresp)
            .until(dut.control_rvalid)
        )  # fmt: skip
        assert code == 0
        return value

    async def setup(self, ctx):
        await self.write(ctx, "dram_base_low", DRAM_BASE)
        await self.write(ctx, "program_address", PROGRAM_ADDRESS)
        await self.write(ctx, "interrupt_enable", 1)

    async def start(self, ctx):
        await self.write(ctx, "control", registers.CONTROL_START)

    async def finish(self, ctx, limit=20000):
        """Wait for the interrupt, then until busy falls; return the status."""
        for _ in range(limit):
            if ctx.get(self.dut.irq):
                break
            await ctx.tick()
        else:
            raise AssertionError(f"no interrupt in {limit} cycles")
        while (status := await self.read(ctx, "status")) & registers.STATUS_BUSY:
            pass
        return status

    async def buckets(self, ctx, engine):
        """Return the cycles of an engine by bucket."""
        return {
            bucket: await self.read(ctx, f"{engine.name.lower()}_{bucket.name.lower()}")
            for bucket in Bucket
        }


class System:
    """One accelerator with its DRAM and host; `run(script)` simulates `script(ctx)`."""

    def __init__(self, *, seed=None, latency=6, registers=None):
        self.config = CONFIG.replace(**registers or {})
        self.dut = Accelerator(config=self.config)
        self.dram = Dram(self.dut, seed=seed, latency=latency)
        self.host = Host(self.dut)

    def place_program(self, instructions):
        """Write instructions (or raw 64-byte words) at the program address."""
        address = PROGRAM_ADDRESS
        for each in instructions:
            word = each if isinstance(each, bytes) else encoding.encode(each, CONFIG)
            self.dram.data[address : address + 64] = word
            address += 64

    def run(self, script):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_process(self.dram.process)
        simulator.add_testbench(script)
        simulator.run()


@pytest.fixture
def make_system(request):
    """Return the class System; its config has the fixture's `registers`, where that is used."""
    asked = "registers" in request.fixturenames
    return partial(System, registers=request.getfixturevalue("registers") if asked else None)
