"""RequantizeLane against numerics.requantize, and its product against binary32."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.vector.requantize import RequantizeLane
from tilewright.hw.spec import numerics
from tilewright.hw.spec.config import Config


def float_bits(value):
    """Binary32 values as the integers of their bits."""
    return np.asarray(value, np.float32).view(np.uint32)


def random_int32(random, count):
    """int32 of every magnitude, with many next to powers of two (2^24 among them)."""
    magnitude = (2.0 ** random.uniform(0, 31, count)).astype(np.int64)
    power = 1 << random.integers(0, 32, count)
    near = power + random.integers(-3, 4, count)
    value = np.where(random.random(count) < 0.4, near, magnitude)
    value *= random.choice([-1, 1], count)
    return np.clip(value, -(2**31), 2**31 - 1).astype(np.int32)


def random_scales(random, total):
    """binary32 scales of which most bring `total` into the int8 range, many next to a tie."""
    count = len(total)
    target = random.uniform(-300, 300, count)
    ties = np.floor(target) + 0.5
    target = np.where(random.random(count) < 0.6, ties, target)
    with np.errstate(all="ignore"):
        fitting = (target / np.where(total == 0, 1, total)).astype(np.float32)
    step = random.integers(-2, 3, count)
    fitting = (float_bits(fitting).astype(np.int64) + step).astype(np.uint32).view(np.float32)
    powers = np.float32(2.0) ** random.integers(-40, 12, count).astype(np.float32)
    anything = random.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    limits = random.choice(EDGE_SCALES, count)
    kind = random.random(count)
    scale = np.where(kind < 0.65, fitting, powers)
    scale = np.where(kind > 0.85, anything, scale)
    return np.where(kind > 0.95, limits, scale).astype(np.float32)


EDGE_SCALES = np.array(
    [
        *(sign * value for sign in (1, -1) for value in (2.0**-64, 2.0**63, 2.0**64, 1.0, 0.5)),
        *(np.nextafter(np.float32(2.0**-64), np.float32(side)) for side in (0, 1)),
        *(np.nextafter(np.float32(2.0**64), np.float32(side)) for side in (0, np.inf)),
        *(np.nextafter(np.float32(1), np.float32(side)) for side in (0, 2)),
        *(0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1e-38, 3.4e38),
    ],
    np.float32,
)


MANTISSAS = [
    0x800000,
    0xFFFFFF,
    0xAAAAAA,
    0xD55555,
    0xBFFFFF,
    0x955555,
    0xFFFC00,
    0x8003FF,
    0x87FE00,
]
"""Whose recoded digits are all alike, or at their limits next to one another."""


def random_vectors(seed, count):
    """Inputs of the lane by port name, as arrays of Python-sized integers."""
    random = np.random.default_rng(seed)
    total = random_int32(random, count)
    bias = np.where(random.random(count) < 0.5, 0, random_int32(random, count))
    accumulator = numerics.wrap_int32(total.astype(np.int64) - bias)
    edges = random.choice(np.array([-128, -127, -1, 0, 1, 126, 127]), (3, count))
    anything = random.integers(-128, 128, (3, count))
    zero_point, low, high = np.where(random.random((3, count)) < 0.5, edges, anything)
    scale = random_scales(random, total)
    by_sign = random.random(count) < 0.4
    other = np.where(random.random(count) < 0.5, random_scales(random, total), scale)
    wide = random.random(count) < 0.6
    return {
        "accumulator": accumulator,
        "bias": bias.astype(np.int32),
        "scale": scale,
        "negative_scale": np.where(by_sign, other, scale),
        "zero_point": zero_point.astype(np.int8),
        "low": np.where(wide, -128, low).astype(np.int8),
        "high": np.where(wide, 127, high).astype(np.int8),
        "keep_product": random.random(count) < 0.6,
    }


def expected(vectors):
    """Results and products, of which one stays until another one is kept."""
    inputs = {name: values for name, values in vectors.items() if name != "keep_product"}
    total = numerics.wrap_int32(inputs["accumulator"].astype(np.int64) + inputs["bias"])
    scale = np.where(total < 0, inputs["negative_scale"], inputs["scale"])
    kept = np.maximum.accumulate(np.where(vectors["keep_product"], np.arange(len(total)), -1))
    with np.errstate(all="ignore"):
        products = total.astype(np.float32) * numerics.effective_scale(scale)
        products = np.where(kept < 0, np.float32(0), products[kept])
        return numerics.requantize(**inputs), products


def stages_of(lane):
    """The stage that samples each port."""
    stages = lane.stages
    return {
        "accumulator": 0,
        "bias": 0,
        "bank": stages.bank,
        "by_sign": stages.bank,
        "lowest_parts": stages.bank,
        "scales": stages.scale,
        "zero_point": stages.place,
        "low": stages.clamp,
        "high": stages.clamp,
        "keep_product": stages.integer,
    }


def lane_inputs(lane, vectors):
    """The same by port: the scale lies in bank 0 and 1 by turns, the other one with it."""
    scale, negative = (vectors[name].view(np.uint32) for name in ("scale", "negative_scale"))
    bank = np.arange(len(scale)) % 2
    by_sign = (scale != negative) | (bank & (scale >> 3) == 1)
    pairs = np.stack([np.where(bank, negative, scale), np.where(bank, scale, negative)], axis=1)
    ports = {n: v for n, v in vectors.items() if n not in ("scale", "negative_scale")}
    words = [int(first) | int(second) << 32 for first, second in pairs]
    size = len(lane.lowest_parts) // 2
    lowest = [int(first) % 2**size | int(second) % 2**size << size for first, second in pairs]
    ports |= {"lowest_parts": np.array(lowest), "scales": np.array(words, object)}
    return ports | {"bank": bank, "by_sign": by_sign}


def simulate(lane, vectors, valid):
    """Feed vector i in the i-th cycle with valid set; return results and products in order."""
    columns = {
        name: [int(v) for v in (float_bits(values) if values.dtype == np.float32 else values)]
        for name, values in lane_inputs(lane, vectors).items()
    }
    order = np.cumsum(valid) - 1
    results, products = [], []
    stages, latency = stages_of(lane), lane.stages.latency

    async def bench(ctx):
        for cycle in range(len(valid) + latency):
            enable = 0
            for stage in range(latency):
                entered = cycle - stage
                if 0 <= entered < len(valid) and valid[entered]:
                    enable |= 1 << stage
                    for name in columns:
                        if stages[name] == stage:
                            ctx.set(getattr(lane, name), columns[name][order[entered]])
            ctx.set(lane.enable, enable)
            await ctx.tick()
            if enable >> (latency - 1):
                results.append(ctx.get(lane.result))
                products.append(ctx.get(lane.product))

    simulator = Simulator(lane)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results, np.int8), np.array(products, np.uint32).view(np.float32)


def check(vectors, outputs):
    wanted = expected(vectors)
    outputs = outputs[0], numerics.effective_scale(outputs[1])
    wanted = wanted[0], numerics.effective_scale(wanted[1])
    wrong = np.flatnonzero((wanted[0] != outputs[0]) | (wanted[1] != outputs[1]))
    report = [
        {name: values[i] for name, values in vectors.items()}
        | {"want": [each[i] for each in wanted], "got": [each[i] for each in outputs]}
        for i in wrong[:5]
    ]
    assert not len(wrong), f"{len(wrong)} wrong: {report}"


def lane(**fields):
    return RequantizeLane(config=Config(**fields))


PRODUCTS = [{}, {"multiplier_bits": 2}, {"path_registers": 1}]
"""Each way to make the product."""


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("multiplier_bits", [9, 3, 5, 2])
def test_lane_equals_numerics_on_random_vectors(multiplier_bits, path_registers):
    vectors = random_vectors(1, 5_000)
    unit = lane(multiplier_bits=multiplier_bits, path_registers=path_registers)
    check(vectors, simulate(unit, vectors, [True] * 5_000))


@pytest.mark.parametrize("fields", PRODUCTS)
def test_lane_equals_numerics_on_every_extreme(fields):
    totals = [0, 1, -1, 2**24, 2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**31 - 1, -(2**31), 2**31 - 65]
    totals += [mantissa << 7 | below for mantissa in MANTISSAS for below in (0, 0x7F)]
    scales = [*EDGE_SCALES, *(mantissa * 2.0**-47 for mantissa in MANTISSAS)]
    grid = [(t, s) for t in totals for s in scales]
    vectors = {
        "accumulator": np.array([t for t, _ in grid], np.int32),
        "bias": np.zeros(len(grid), np.int32),
        "scale": np.array([s for _, s in grid], np.float32),
        "negative_scale": np.array([s for _, s in grid], np.float32),
        "zero_point": np.full(len(grid), -5, np.int8),
        "low": np.full(len(grid), -128, np.int8),
        "high": np.full(len(grid), 127, np.int8),
        "keep_product": np.ones(len(grid), bool),
    }
    check(vectors, simulate(lane(**fields), vectors, [True] * len(grid)))


@pytest.mark.parametrize("fields", PRODUCTS)
def test_lane_keeps_results_apart_when_enabled_with_gaps(fields):
    random = np.random.default_rng(7)
    valid = list(random.random(1500) < 0.4)
    vectors = random_vectors(7, sum(valid))
    check(vectors, simulate(lane(**fields), vectors, valid))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 110))
def test_lane_equals_numerics_in_a_long_run(seed):
    vectors = random_vectors(seed, 100_000)
    unit = lane(**PRODUCTS[seed % len(PRODUCTS)])
    check(vectors, simulate(unit, vectors, [True] * 100_000))
