"""The vector engine with its memories in Amaranth's simulator; refusals at every port."""

from collections import deque

import numpy as np
from amaranth.sim import Simulator

from tilewright.hw.rtl.interfaces import Access, Activity, accesses
from tilewright.hw.rtl.vector.engine import VectorEngine
from tilewright.hw.spec.config import Config

READ_PORTS = {
    "source": "activation",
    "operand": "activation",
    "accumulator": "accumulator",
    "parameter": "parameter",
}


def config_of(rows, cols, lanes, operand_lanes, **changes):
    sizes = {"activation_kib": 8, "accumulator_kib": 16, "parameter_kib": 4, "weight_kib": 8}
    sizes |= {"activation_banks": 1, "accumulator_banks": 2}
    lanes = {"lanes": lanes, "operand_lanes": operand_lanes}
    return Config(name="test", rows=rows, cols=cols, **(sizes | lanes | changes))


CONFIGS = {
    "1x1": config_of(1, 1, 1, 1, activation_kib=2),
    "3x5": config_of(3, 5, 1, 1),
    "4x4": config_of(4, 4, 2, 1),
    "4x4 registers": config_of(4, 4, 2, 1, path_registers=1),
    "4x4 wires": config_of(4, 4, 2, 1, path_registers=1, wire_registers=1),
    "4x4 digits": config_of(4, 4, 2, 1, multiplier_bits=2),
    "8x16": config_of(8, 16, 4, 2),
    "8x16 registers": config_of(8, 16, 4, 2, path_registers=1),
    "8x16 wires": config_of(8, 16, 4, 2, path_registers=1, wire_registers=1),
    "12x20": config_of(12, 20, 4, 4, accumulator_kib=32, activation_kib=16),
    "16x16": config_of(16, 16, 16, 4, accumulator_kib=32, activation_kib=16, parameter_kib=16),
}


def words_of(array):
    """Memory rows as integers."""
    return [int.from_bytes(row.tobytes(), "little") for row in np.ascontiguousarray(array)]


class Bench:
    """The engine with its memories; `stall` is the chance that a port refuses in a cycle.

    With `one_bank` the operand is refused while the source is requested from activation SRAM.
    With `lone` an instruction is offered only when the engine is idle. offered, accepted, retired:
    the cycles of these events; faults: (cycle, instruction index); activity: of every cycle.
    """

    def __init__(self, config, memories, *, stall=0.0, seed=0, lone=False, one_bank=False):
        self.one_bank = one_bank
        self.config, self.memories = config, memories
        self.engine = VectorEngine(config=config)
        self.random = np.random.default_rng(seed)
        self.stall, self.lone = stall, lone
        self.offered, self.accepted, self.retired, self.faults = [], [], [], []
        self.activity = []
        self.cycle = 0

    def _drive_ports(self, ctx, pending):
        for name, words in pending.items():
            port = getattr(self.engine, name)
            garbage = int.from_bytes(self.random.bytes(len(port.data) // 8), "little")
            word = words.popleft()
            ctx.set(port.data, garbage if word is None else word)

    def _grant(self, ctx):
        engine = self.engine
        for name in READ_PORTS:
            port = getattr(engine, name)
            granted = self.random.random() >= self.stall
            for access in accesses(port):
                ctx.set(access.grant, granted and ctx.get(access.request))
        if self.one_bank and self._asked(ctx, engine.source).request:
            for access in accesses(engine.operand):
                ctx.set(access.grant, 0)
        ctx.set(engine.destination.grant, 1)

    def _asked(self, ctx, port):
        """Return what a port asks for, and its grant, as they are in this cycle."""
        repeats = "repeats" in port.signature.members and ctx.get(port.repeats)
        return Access(*map(ctx.get, accesses(port)[repeats]))

    def _sample_ports(self, ctx, pending, contents):
        engine = self.engine
        for name, memory in READ_PORTS.items():
            port = getattr(engine, name)
            access = self._asked(ctx, port)
            granted = access.request and access.grant
            pending[name].append(contents[memory][access.address] if granted else None)
        port = engine.destination
        if ctx.get(port.request) and ctx.get(port.grant):
            mask, value = ctx.get(port.mask), ctx.get(port.data)
            keep = sum(0xFF << 8 * i for i in range(len(port.mask)) if mask >> i & 1)
            address = ctx.get(port.address)
            old = contents["activation"][address]
            contents["activation"][address] = old & ~keep | value & keep

    async def _issue(self, ctx, queue):
        stream = self.engine.instruction
        idle = not self.lone or len(self.retired) == len(self.accepted)
        if queue and not self._offered and idle and self.random.random() >= self.stall:
            self._offered = True
            self.offered.append(self.cycle)
            index, fields = queue[0]
            ctx.set(stream.p.index, index)
            for name, value in fields.items():
                ctx.set(stream.p.fields.VECTOR[name], value)
        ctx.set(stream.valid, int(self._offered))

    def run(self, program, *, limit=20_000):
        """Execute the fields in `program`; return the activation SRAM afterwards."""
        queue = list(enumerate(program))
        contents = {
            name: words_of(getattr(self.memories, name))
            for name in ("activation", "accumulator", "parameter")
        }
        self._offered = False
        # What a port gives in the next cycles: all but parameters come late with wire_registers.
        pending = {name: deque([None]) for name in READ_PORTS}
        if self.config.wire_registers:
            for name in READ_PORTS.keys() - {"parameter"}:
                pending[name].append(None)

        async def bench(ctx):
            while len(self.retired) < len(program):
                assert self.cycle < limit, f"stuck after {len(self.retired)} retirements"
                self._drive_ports(ctx, pending)
                await self._issue(ctx, queue)
                self._grant(ctx)
                self._sample_ports(ctx, pending, contents)
                if self._offered and ctx.get(self.engine.instruction.ready):
                    self.accepted.append(self.cycle)
                    queue.pop(0)
                    self._offered = False
                if ctx.get(self.engine.retire):
                    self.retired.append(self.cycle)
                if ctx.get(self.engine.fault):
                    self.faults.append((self.cycle, ctx.get(self.engine.fault_index)))
                self.activity.append(ctx.get(self.engine.activity))
                await ctx.tick()
                self.cycle += 1
            assert ctx.get(self.engine.activity) == Activity.IDLE

        simulator = Simulator(self.engine)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        rows = self.config.rows
        data = b"".join(word.to_bytes(rows, "little") for word in contents["activation"])
        return np.frombuffer(data, np.int8).reshape(-1, rows)
