"""The array against NumPy matrix products: any shape, back-to-back weights, gaps."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.matrix.array import Array
from tilewright.hw.rtl.matrix.tile import sum_bits
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import array_latency

SHAPES = [
    {"rows": 1, "cols": 1, "lanes": 1, "operand_lanes": 1},
    {"rows": 3, "cols": 5, "lanes": 1, "operand_lanes": 1},
    {"rows": 4, "cols": 4, "tile_rows": 1, "tile_cols": 1, "lanes": 4},
    {"rows": 4, "cols": 6, "tile_rows": 2, "tile_cols": 3, "lanes": 2, "operand_lanes": 1},
    {"rows": 6, "cols": 2, "tile_rows": 3, "tile_cols": 2, "tree_register_levels": 1, "lanes": 2,
         "operand_lanes": 1},
    {"rows": 10, "cols": 3, "tile_rows": 5, "tile_cols": 1, "tree_register_levels": 8, "lanes": 1,
         "operand_lanes": 1},
    {"rows": 12, "cols": 20, "lanes": 4},
    {"rows": 4, "cols": 2, "tile_rows": 2, "lanes": 2, "operand_lanes": 1, "path_registers": 1},
]  # fmt: skip


def pack(values, bits):
    mask = (1 << bits) - 1
    return sum((int(v) & mask) << (bits * i) for i, v in enumerate(values))


def unpack(word, bits, count):
    fields = [(word >> (bits * i)) & ((1 << bits) - 1) for i in range(count)]
    return [f - (1 << bits) if f >> (bits - 1) else f for f in fields]


def schedule(config, pixels, gaps):
    """Return (cycle of each tile's first load, of its swap, of each of its pixels)."""
    loads, swaps, cycles = [], [], []
    swap, free = 0, 0
    for count, gap in zip(pixels, gaps, strict=True):
        load = max(swap, 0)
        swap = max(load + config.rows, free)
        cycles.append([swap + 1 + gap + i for i in range(count)])
        free = cycles[-1][-1]
        loads.append(load)
        swaps.append(swap)
    return loads, swaps, cycles


@pytest.mark.parametrize("multiplier_bits", [9, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s['rows']}x{s['cols']}")
def test_array_multiplies(shape, multiplier_bits):
    config = Config(**shape, multiplier_bits=multiplier_bits)
    rng = np.random.default_rng(config.rows * 100 + config.cols)
    pixels = [1, 1, int(rng.integers(2, 9)), config.rows, 5]
    gaps = [0, 0, 0, 2, 0]
    weights = rng.integers(-128, 128, (len(pixels), config.rows, config.cols))
    weights[2] = -128
    activations = [rng.integers(-128, 128, (count, config.rows)) for count in pixels]
    activations[2][:] = -128
    loads, swaps, cycles = schedule(config, pixels, gaps)
    row_of = {load + r: weights[t][r] for t, load in enumerate(loads) for r in range(config.rows)}
    number_of = {load + r: r for load in loads for r in range(config.rows)}
    pixel_of = {c: a for cs, block in zip(cycles, activations, strict=True)
                for c, a in zip(cs, block, strict=True)}  # fmt: skip
    expected = {
        c + array_latency(config): a.astype(np.int64) @ weights[t]
        for t, (cs, block) in enumerate(zip(cycles, activations, strict=True))
        for c, a in zip(cs, block, strict=True)
    }
    dut = Array(config)

    async def drive(ctx):
        for cycle in range(cycles[-1][-1] + array_latency(config) + 3):
            ctx.set(dut.load, cycle in row_of)
            ctx.set(dut.load_row, number_of.get(cycle, 0))
            ctx.set(dut.weights, pack(row_of.get(cycle, rng.integers(0, 256, config.cols)), 8))
            ctx.set(dut.swap, cycle in swaps)
            ctx.set(dut.valid, cycle in pixel_of)
            noise = rng.integers(0, 256, config.rows)
            ctx.set(dut.activations, pack(pixel_of.get(cycle, noise), 8))
            assert ctx.get(dut.sums_valid) == (cycle in expected)
            if cycle in expected:
                sums = unpack(ctx.get(dut.sums), sum_bits(config), config.cols)
                assert sums == expected[cycle].tolist()
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
