"""OperandLane against numerics.add and numerics.multiply."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.vector.operand import OperandLane
from tilewright.hw.spec import numerics
from tilewright.hw.spec.config import Config

INT8_PORTS = ("first", "second", "first_zero_point", "second_zero_point", "zero_point")
EDGE_SCALES = np.array(
    [0.0, np.inf, np.nan, 2.0**-64, 2.0**63, 2.0**64, 1.0, 0.5, -1.0, 1e-45, 2.0**-65], np.float32
)


def float_bits(value):
    return np.asarray(value, np.float32).view(np.uint32)


def random_int8(random, count):
    edges = random.choice(np.array([-128, -127, -1, 0, 1, 126, 127]), count)
    return np.where(random.random(count) < 0.2, edges, random.integers(-128, 128, count))


def random_ratios(random, count, left, right):
    """Scales of two operands: ordinary, next to ties of the sum, cancelling, huge, anything."""
    first = np.exp2(random.uniform(-12, 3, count))
    decimal = np.round(random.uniform(0.001, 4, count), 3)
    first = np.where(random.random(count) < 0.3, decimal, first)
    first = np.where(random.random(count) < 0.2, np.exp2(random.integers(-40, 40, count)), first)
    first = np.where(random.random(count) < 0.1, np.exp2(random.uniform(-64, 64, count)), first)
    tie = np.floor(random.uniform(-300, 300, count)) + 0.5
    to_tie = (tie - left * first) / np.where(right == 0, 1, right)
    cancelling = -left * first / np.where(right == 0, 1, right)
    ordinary = np.exp2(random.uniform(-12, 3, count))
    kind = random.random(count)
    second = np.where(kind < 0.4, to_tie, ordinary)
    second = np.where(kind > 0.7, cancelling, second)
    second = np.where(kind > 0.9, first * random.choice([-1, 0.5, 1, 2, -0.25], count), second)
    steps = random.integers(-2, 3, (2, count))
    ratios = np.stack([first, second]).astype(np.float32)
    ratios = (float_bits(ratios).astype(np.int64) + steps).astype(np.uint32).view(np.float32)
    edge = random.random((2, count)) < 0.03
    anything = random.integers(0, 2**32, (2, count)).astype(np.uint32).view(np.float32)
    ratios = np.where(edge, random.choice(EDGE_SCALES, (2, count)), ratios)
    return np.where(random.random((2, count)) < 0.03, anything, ratios).astype(np.float32)


def multiply_scales(random, count, left, right, zero_point):
    """Scales that put a product (plus zero point) next to a tie, or anywhere."""
    product = np.where(left * right == 0, 1, left * right)
    tie = np.floor(random.uniform(-300, 300, count)) + 0.5
    scale = ((tie - zero_point) / product).astype(np.float32)
    near = (float_bits(scale).astype(np.int64) + random.integers(-2, 3, count)).astype(np.uint32)
    anything = random.integers(0, 2**32, count).astype(np.uint32)
    bits = np.where(random.random(count) < 0.9, near, anything)
    edge = random.random(count) < 0.05
    return np.where(edge, random.choice(EDGE_SCALES, count), bits.view(np.float32))


def random_vectors(seed, count):
    """Inputs of the lane by port name."""
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        vectors = {name: random_int8(random, count) for name in INT8_PORTS}
        left = vectors["first"] - vectors["first_zero_point"]
        right = vectors["second"] - vectors["second_zero_point"]
        multiply = random.random(count) < 0.4
        first, second = random_ratios(random, count, left, right)
        scale = multiply_scales(random, count, left, right, vectors["zero_point"])
    wide = random.random(count) < 0.7
    vectors["low"] = np.where(wide, -128, random_int8(random, count))
    vectors["high"] = np.where(wide, 127, random_int8(random, count))
    vectors = {name: values.astype(np.int8) for name, values in vectors.items()}
    return vectors | {
        "multiply": multiply,
        "unrounded": random.random(count) < 0.3,
        "first_scale": np.where(multiply, scale, first),
        "second_scale": second,
    }


def expected(vectors):
    common = {name: vectors[name] for name in ("first_zero_point", "second_zero_point")}
    common |= {name: vectors[name] for name in ("zero_point", "low", "high")}
    for name in ("first_zero_point", "second_zero_point"):
        common[name] = common[name].astype(np.int32)
    first, second = vectors["first"], vectors["second"]
    with np.errstate(all="ignore"):
        added = numerics.add(
            first,
            second,
            first_ratio=vectors["first_scale"],
            second_ratio=vectors["second_scale"],
            **common,
        )
        multiplied, placed = (
            numerics.multiply(
                first, second, scale=vectors["first_scale"], unrounded=unrounded, **common
            )
            for unrounded in (False, True)
        )
    multiplied = np.where(vectors["unrounded"], placed, multiplied)
    return np.where(vectors["multiply"], multiplied, added)


def stages_of(lane):
    """The stage that samples each port."""
    names = ("first", "second", "first_zero_point", "second_zero_point", "multiply", "addend")
    stages = lane.stages
    return dict.fromkeys((*names, "first_scale"), 0) | {
        "second_scale": stages.scale,
        "zero_point": stages.place,
        "low": stages.clamp,
        "high": stages.clamp,
    }


def simulate(lane, vectors, valid):
    """Feed vector i in the i-th cycle with valid set, others between; return results in order."""
    is_placed = ~vectors["multiply"] | vectors["unrounded"]
    ports = vectors | {
        "addend": np.where(vectors["unrounded"], 0, vectors["zero_point"]),
        "zero_point": np.where(is_placed, vectors["zero_point"], 0),
    }
    columns = {
        name: [int(v) for v in (float_bits(values) if values.dtype == np.float32 else values)]
        for name, values in ports.items()
    }
    order = np.cumsum(valid) - 1
    stages, latency = stages_of(lane), lane.stages.latency
    at_stage = [[n for n, s in stages.items() if s == k] for k in range(latency)]
    results = []
    noise = np.random.default_rng(0)

    async def bench(ctx):
        for cycle in range(len(valid) + latency):
            for stage in range(latency):
                entered = cycle - stage
                is_valid = 0 <= entered < len(valid) and valid[entered]
                number = order[entered] if is_valid else noise.integers(len(columns["first"]))
                for name in at_stage[stage]:
                    ctx.set(getattr(lane, name), columns[name][number])
            await ctx.tick()
            if is_valid:
                results.append(ctx.get(lane.result))

    simulator = Simulator(lane)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results, np.int8)


def check(vectors, results):
    wanted = expected(vectors)
    wrong = np.flatnonzero(wanted != results)
    report = [
        {name: values[i] for name, values in vectors.items()}
        | {"want": wanted[i], "got": results[i]}
        for i in wrong[:5]
    ]
    assert not len(wrong), f"{len(wrong)} wrong: {report}"


def lane(**fields):
    return OperandLane(config=Config(**fields))


@pytest.mark.parametrize("multiplier_bits", [9, 3, 5, 2])
def test_lane_equals_numerics_on_random_vectors(multiplier_bits, registers):
    vectors = random_vectors(1, 4_000)
    unit = lane(multiplier_bits=multiplier_bits, **registers)
    check(vectors, simulate(unit, vectors, [True] * 4_000))


def test_lane_equals_numerics_where_operands_cancel(registers):
    """left and right nearly equal and opposite, from far below 1 to far above 2^24."""
    exponents = np.arange(-30, 45)
    nudges = np.arange(-4, 5)
    grid = [(e, n) for e in exponents for n in nudges]
    count = len(grid)
    first = np.array([2.0**e * 1.37 for e, _ in grid], np.float32)
    second = (float_bits(first) + np.array([n for _, n in grid])).astype(np.uint32)
    vectors = {
        "first": np.full(count, 37, np.int8),
        "second": np.full(count, -37, np.int8),
        "first_zero_point": np.zeros(count, np.int8),
        "second_zero_point": np.zeros(count, np.int8),
        "zero_point": np.full(count, 3, np.int8),
        "low": np.full(count, -128, np.int8),
        "high": np.full(count, 127, np.int8),
        "multiply": np.zeros(count, bool),
        "unrounded": np.zeros(count, bool),
        "first_scale": first,
        "second_scale": second.view(np.float32),
    }
    check(vectors, simulate(lane(**registers), vectors, [True] * count))


def test_lane_keeps_results_apart_from_what_is_between_them(registers):
    random = np.random.default_rng(7)
    valid = list(random.random(1500) < 0.4)
    vectors = random_vectors(7, sum(valid))
    check(vectors, simulate(lane(**registers), vectors, valid))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 110))
def test_lane_equals_numerics_in_a_long_run(seed, registers):
    vectors = random_vectors(seed, 100_000)
    check(vectors, simulate(lane(**registers), vectors, [True] * 100_000))
