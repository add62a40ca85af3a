"""VectorEngine against the plain model, with random refusals at every port."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.rtl.vector.engine import VectorEngine
from tilewright.hw.spec.config import Config

_SPEC = importlib.util.spec_from_file_location(
    "vector_model", Path(__file__).with_name("vector_model.py")
)
model = sys.modules["vector_model"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(model)

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
    "8x16": config_of(8, 16, 4, 2),
    "12x20": config_of(12, 20, 4, 4, accumulator_kib=32, activation_kib=16),
    "16x16": config_of(16, 16, 16, 4, accumulator_kib=32, activation_kib=16, parameter_kib=16),
}


def words_of(array):
    """Memory rows as integers."""
    return [int.from_bytes(row.tobytes(), "little") for row in np.ascontiguousarray(array)]


class Bench:
    """The engine with its memories; `stall` is the chance that a port refuses in a cycle."""

    def __init__(self, config, memories, *, stall=0.0, seed=0):
        self.config, self.memories = config, memories
        self.engine = VectorEngine(config=config)
        self.random = np.random.default_rng(seed)
        self.stall = stall
        self.accepted, self.retired, self.faults = [], [], []
        self.activity = []
        self.cycle = 0

    async def _drive_ports(self, ctx, pending, contents):
        engine = self.engine
        for name in READ_PORTS:
            port = getattr(engine, name)
            garbage = int.from_bytes(self.random.bytes(len(port.data) // 8), "little")
            ctx.set(port.data, pending.pop(name, garbage))
            ctx.set(port.grant, int(self.random.random() >= self.stall))
        ctx.set(engine.destination.grant, int(self.random.random() >= self.stall))

    def _sample_ports(self, ctx, pending, contents):
        engine = self.engine
        for name, memory in READ_PORTS.items():
            port = getattr(engine, name)
            if ctx.get(port.request) and ctx.get(port.grant):
                pending[name] = contents[memory][ctx.get(port.address)]
        port = engine.destination
        if ctx.get(port.request) and ctx.get(port.grant):
            mask, value = ctx.get(port.mask), ctx.get(port.data)
            keep = sum(0xFF << 8 * i for i in range(len(port.mask)) if mask >> i & 1)
            address = ctx.get(port.address)
            old = contents["activation"][address]
            contents["activation"][address] = old & ~keep | value & keep

    async def _issue(self, ctx, queue):
        stream = self.engine.instruction
        ready = bool(queue) and self.random.random() >= self.stall
        if queue and (self._offered or ready):
            self._offered = True
            index, fields = queue[0]
            ctx.set(stream.p.index, index)
            for name, value in fields.items():
                ctx.set(stream.p.fields[name], value)
        ctx.set(stream.valid, int(self._offered))

    def run(self, program, *, limit=20_000):
        """Execute the fields in `program`; return the activation SRAM afterwards."""
        queue = list(enumerate(program))
        contents = {
            name: words_of(getattr(self.memories, name))
            for name in ("activation", "accumulator", "parameter")
        }
        self._offered = False
        pending = {}

        async def bench(ctx):
            while len(self.retired) < len(program):
                assert self.cycle < limit, f"stuck after {len(self.retired)} retirements"
                await self._drive_ports(ctx, pending, contents)
                await self._issue(ctx, queue)
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


def random_program(config, memories, random, count, **options):
    """Fields of `count` instructions, each with a parameter block of its own."""
    program, address = [], config.table_words
    for _ in range(count):
        fields = model.random_fields(config, random, **options)
        size = config.header_words + (1 if fields["uniform"] else fields["groups"])
        if address + size > config.parameter_words:
            break
        fields["parameters"] = address
        fields["table"] = int(random.integers(config.parameter_words - config.table_words))
        model.random_parameters(config, memories, random, fields)
        address += size
        program.append(fields)
    return program


def compare(config, program, memories, got):
    for index, fields in enumerate(program):
        before = memories.activation.copy()
        model.execute(config, memories, fields)
        changed = (before != memories.activation).any()
        assert fields["groups"] == 0 or changed or len(program) > 1, index
    wrong = np.argwhere(got != memories.activation)
    assert not len(wrong), f"{len(wrong)} bytes differ, first at word, lane {wrong[0]}"


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "16x16"])
def test_engine_equals_model_on_random_programs(name, stall):
    config, seed = CONFIGS[name], len(name) + int(10 * stall)
    random = np.random.default_rng(seed)
    memories = model.Memories.random(config, random)
    program = random_program(config, memories, random, 12)
    bench = Bench(config, memories, stall=stall, seed=seed)
    got = bench.run(program)
    assert bench.faults == []
    compare(config, program, memories, got)
