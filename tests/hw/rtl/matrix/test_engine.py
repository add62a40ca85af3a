"""The matrix engine with its memories against the NumPy model, and its cycles to the last one."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, connect
from amaranth.sim import Simulator

from tilewright.hw.rtl.interfaces import Activity
from tilewright.hw.rtl.matrix.engine import MatrixEngine
from tilewright.hw.rtl.memory import accumulator_memory, activation_memory, weight_memory
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.operations.matrix import Matrix

_SPEC = importlib.util.spec_from_file_location(
    "matrix_model", Path(__file__).with_name("matrix_model.py")
)
model = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(model)

SMALL = {"activation_kib": 8, "activation_banks": 4, "weight_kib": 1, "accumulator_kib": 8,
         "accumulator_banks": 2, "operand_lanes": 1}  # fmt: skip
CONFIGS = {
    "1x1": Config(rows=1, cols=1, lanes=1, **SMALL),
    "1x1 for an FPGA": Config(rows=1, cols=1, lanes=1, path_registers=1, **SMALL),
    "2x3": Config(rows=2, cols=3, lanes=1, tile_rows=1, tile_cols=1, **SMALL),
    "3x5": Config(rows=3, cols=5, lanes=1, **SMALL),
    "3x5 for an FPGA": Config(rows=3, cols=5, lanes=1, path_registers=1, **SMALL),
    "8x4": Config(rows=8, cols=4, lanes=2, tile_rows=4, tile_cols=2, **SMALL),
    "4x12": Config(rows=4, cols=12, lanes=4, tile_cols=6, tree_register_levels=1, **SMALL),
}


class Bench(Component):
    """Engine and memories; `model` gives their first contents."""

    def __init__(self, config, contents):
        super().__init__({})
        self.engine = MatrixEngine(config)
        self.activations = activation_memory(config)
        self.weights = weight_memory(config)
        self.accumulators = accumulator_memory(config)
        for memory, values, bits in (
            (self.activations, contents.activations, 8),
            (self.weights, contents.weights, 8),
            (self.accumulators, contents.accumulators, 32),
        ):
            words = [pack(word, bits) for word in values.tolist()]
            for index, bank in enumerate(memory.banks):
                start = index * memory.bank_words
                bank.storage.init[:] = words[start : start + memory.bank_words]

    def elaborate(self, platform):
        m = Module()
        for name in ("engine", "activations", "weights", "accumulators"):
            m.submodules[name] = getattr(self, name)
        connect(m, self.engine.activation_read, self.activations.read_0)
        connect(m, self.engine.weight_read, self.weights.read_0)
        connect(m, self.engine.accumulator_read, self.accumulators.read_0)
        connect(m, self.engine.accumulator_write, self.accumulators.write_0)
        return m

    def accumulator_words(self, ctx, cols):
        words = [
            ctx.get(bank.storage.data[index])
            for bank in self.accumulators.banks
            for index in range(self.accumulators.bank_words)
        ]
        return np.array([unpack(word, cols) for word in words])


def pack(values, bits):
    mask = (1 << bits) - 1
    return sum((int(v) & mask) << (bits * i) for i, v in enumerate(values))


def unpack(word, cols):
    data = np.frombuffer(word.to_bytes(4 * cols, "little"), "<i4")
    return data.astype(np.int64)


def run(config, contents, program, gaps=None):
    """Run; return cycles of acceptance, of retirement, fault indices, accumulators at the end."""
    bench = Bench(config, contents)
    engine = bench.engine
    accepted, retired, faults, final = [], [], [], []

    async def send(ctx):
        for index, fields in enumerate(program):
            if gaps is not None and gaps[index]:
                await ctx.tick().repeat(int(gaps[index]))
            ctx.set(
                engine.instruction.payload, {"fields": {"MATRIX": dict(fields)}, "index": index}
            )
            ctx.set(engine.instruction.valid, 1)
            await ctx.tick().until(engine.instruction.ready)
            ctx.set(engine.instruction.valid, 0)

    async def watch(ctx):
        cycle = 0
        while len(retired) < len(program):
            assert cycle < 200_000
            if ctx.get(engine.instruction.valid & engine.instruction.ready):
                accepted.append(cycle)
            if ctx.get(engine.retire):
                retired.append(cycle)
            if ctx.get(engine.fault):
                faults.append(ctx.get(engine.fault_index))
            busy = ctx.get(engine.activity) == Activity.BUSY
            assert busy == (sum(a < cycle for a in accepted) > sum(r < cycle for r in retired))
            await ctx.tick()
            cycle += 1
        final.append(bench.accumulator_words(ctx, config.cols))

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(watch)
    simulator.run()
    return accepted, retired, faults, final[0]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(2))
def test_random_instructions_equal_the_model(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    contents = model.MatrixModel(config, rng)
    program = []
    for _ in range(25):
        near = None
        if program and rng.random() < 0.5:
            near = model.last_destination(program[-1]) - int(rng.integers(0, 3))
        fields = dict(model.random_fields(config, rng, near))
        if rng.random() < 0.1:
            fields[str(rng.choice(model.COUNTS))] = 0
        program.append(fields)
    gaps = rng.integers(0, 3, len(program)) * rng.integers(0, 20, len(program))
    _, _, faults, final = run(config, contents, program, gaps if seed else None)
    assert not any(contents.run(fields) for fields in program)
    assert faults == []
    np.testing.assert_array_equal(final, contents.accumulators)


def test_faults_name_the_instruction_and_drop_the_access():
    config = CONFIGS["3x5"]
    rng = np.random.default_rng(3)
    contents = model.MatrixModel(config, rng)
    base = {"out_blocks": 1, "in_blocks": 1, "kernel_height": 1, "kernel_width": 1,
            "out_height": 2, "out_width": 4, "stride_y": 1, "stride_x": 1, "height": 2,
            "width": 4, "source_pitch": 4, "padding": 9}  # fmt: skip
    program = [
        instruction("MATRIX", **(base | change)).values()
        for change in (
            {},
            {"source": config.activation_words - 4, "destination": 8},
            {"destination": config.accumulator_words - 2},
            {"origin_y": -1, "origin_x": -3, "source": config.activation_words - 2},
            {"source_pitch": config.activation_words, "destination": 24},
        )
    ]
    _, _, faults, final = run(config, contents, program)
    expected = [index for index, fields in enumerate(program) if contents.run(fields)]
    assert expected == [1, 2, 4]
    assert sorted(set(faults)) == expected
    assert faults == sorted(faults)
    np.testing.assert_array_equal(final, contents.accumulators)


def test_weights_out_of_range_fault_once():
    config = CONFIGS["3x5"]
    contents = model.MatrixModel(config, np.random.default_rng(4))
    fields = instruction(
        "MATRIX", weights=config.weight_words, out_blocks=1, in_blocks=2, kernel_height=1,
        kernel_width=1, out_height=1, out_width=5,
    ).values()  # fmt: skip
    _, _, faults, _ = run(config, contents, [fields, fields | {"weights": 0}])
    assert faults == [0]


@pytest.mark.parametrize("name", CONFIGS)
def test_back_to_back_instructions_take_the_formula(name):
    config = CONFIGS[name]
    rng = np.random.default_rng([7, *name.encode()])
    program = []
    for index in range(20):
        fields = dict(model.random_fields(config, rng)) | {"accumulate": 0}
        fields["destination_stride"] = fields["out_height"] * fields["out_width"]
        fields["destination"] = min(fields["destination"], 20)
        if index == 7:
            fields["in_blocks"] = 0
        program.append(fields)
    contents = model.MatrixModel(config, rng)
    accepted, retired, _, _ = run(config, contents, program)
    occupied = sum(Matrix.of(fields).cycles(config) for fields in program[:-1])
    assert retired[-1] - accepted[0] == occupied + Matrix.of(program[-1]).latency(config)


@pytest.mark.parametrize("name", CONFIGS)
def test_lone_instruction_takes_the_formula(name):
    config = CONFIGS[name]
    rng = np.random.default_rng([8, *name.encode()])
    for fields in (model.random_fields(config, rng), dict.fromkeys(model.COUNTS, 0)):
        contents = model.MatrixModel(config, rng)
        accepted, retired, _, _ = run(config, contents, [fields])
        assert retired[0] - accepted[0] == Matrix.of(fields).latency(config)
