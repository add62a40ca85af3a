"""Products of recoded digits against the integers that they stand for."""

import itertools

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from tilewright.hw.rtl.product import Addends, recode

EXTREMES = {8: [0, 1, -1, 127, -128, 85, -86, 55], 25: [0, 1, 2**23, 2**24 - 1, 0xAAAAAA, 0x9E3779]}


def outputs(m, inputs, output, rows):
    """The output for each row of inputs."""
    got = []

    async def bench(ctx):
        for row in rows:
            for place, value in zip(inputs, row, strict=True):
                ctx.set(place, value)
            got.append(ctx.get(output))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return got


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("factor_bits", [8, 25])
@pytest.mark.parametrize("part_bits", [2, 6, 10])
def test_a_factor_times_digits_is_the_product_and_the_excess(part_bits, factor_bits, levels):
    m = Module()
    part, below, factor = Signal(part_bits), Signal(), Signal(signed(factor_bits))
    width = factor_bits + part_bits
    product = Signal(width)
    addends = Addends(m, "product", width)
    addends.multiply(factor, recode(part, below))
    addends.compress(levels)
    m.d.comb += product.eq(addends.total())
    rows = list(
        itertools.product(
            range(0, 2**part_bits, 1 + 2**part_bits // 20), (0, 1), EXTREMES[factor_bits]
        )
    )
    wanted = []
    for value, low, number in rows:
        digits = value + low - (value >> part_bits - 1 << part_bits)
        whole = number * digits + addends.excess
        assert 0 <= whole < 2**width
        wanted.append(whole)
    assert outputs(m, (part, below, factor), product, rows) == wanted


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("levels", [0, 1, 20])
def test_many_products_add_up_however_far_they_are_compressed(count, levels):
    width = 14  # less than the sum has: it wraps
    m = Module()
    factors = [Signal(signed(8), name=f"factor{i}") for i in range(count)]
    parts = [Signal(8, name=f"part{i}") for i in range(count)]
    addends = Addends(m, "sum", width)
    for factor, part in zip(factors, parts, strict=True):
        addends.multiply(factor, recode(part, Signal()))
    addends.compress(levels)
    total = Signal(width)
    m.d.comb += total.eq(addends.total())
    values = EXTREMES[8]
    rows = [
        [values[(first + step * i) % len(values)] for i in range(2 * count)]
        for first in range(len(values))
        for step in (0, 1, 3)
    ]
    wanted = [
        (sum(a * b for a, b in zip(row[:count], row[count:], strict=True)) + addends.excess)
        % 2**width
        for row in rows
    ]
    got = outputs(
        m, (*factors, *parts), total, [[*r[:count], *(v % 256 for v in r[count:])] for r in rows]
    )
    assert got == wanted


@pytest.mark.parametrize("place", [2, 7, 11])
def test_a_sum_in_two_words_is_the_sum_and_no_carry_is_lost(place):
    width = 14
    m = Module()
    factor, part, other, third = Signal(signed(8)), Signal(6), Signal(width), Signal(place)
    addends = Addends(m, "sum", width)
    addends.multiply(factor, recode(part))
    low, high = addends.split_total(place, other, third << width - place)
    whole, words = Signal(width), Signal(width)
    lowest = Signal(place)
    m.d.comb += [
        whole.eq(addends.total(other, third << width - place)),
        words.eq(low + (high << place)),
        lowest.eq(low[:place]),
    ]
    numbers = [0, 1, 2**place - 1, 2**13, 2**14 - 1, 0x1555]
    rows = list(itertools.product(EXTREMES[8], range(0, 64, 7), numbers, (0, 2**place - 1)))
    inputs = (factor, part, other, third)
    wanted = outputs(m, inputs, whole, rows)
    assert outputs(m, inputs, words, rows) == wanted
    assert outputs(m, inputs, lowest, rows) == [each % 2**place for each in wanted]
