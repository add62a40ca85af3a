"""SkidBuffer and StreamRegister between a producer and a consumer that stall at random."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from tilewright.hw.rtl.skid import SkidBuffer, StreamRegister


@pytest.mark.parametrize("seed", range(4))
def test_what_goes_in_comes_out_in_order_one_a_cycle_and_none_waits_for_a_third(seed):
    rng = random.Random(seed)
    buffer = SkidBuffer(shape=unsigned(8))
    sent, received = [], []

    async def bench(ctx):
        for cycle in range(300):
            waiting = len(sent) - len(received)
            assert ctx.get(buffer.sink.ready) == (waiting < 2), (seed, cycle)
            assert ctx.get(buffer.source.valid) == (waiting > 0), (seed, cycle)
            valid, ready = (rng.random() < rng.choice((0.2, 1)) for _ in range(2))
            value = rng.randrange(256)
            ctx.set(buffer.sink.valid, valid)
            ctx.set(buffer.sink.payload, value)
            ctx.set(buffer.source.ready, ready)
            if ready and ctx.get(buffer.source.valid):
                received.append(ctx.get(buffer.source.payload))
            if valid and ctx.get(buffer.sink.ready):
                sent.append(value)
            fills = ctx.get(buffer.fills)
            await ctx.tick()
            assert fills == (not ctx.get(buffer.sink.ready)), (seed, cycle)

    simulator = Simulator(buffer)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(received) > 100
    assert received == sent[: len(received)]


@pytest.mark.parametrize("seed", range(4))
def test_one_place_takes_what_comes_when_it_is_free_or_falls_free(seed):
    rng = random.Random(seed)
    place = StreamRegister(shape=unsigned(8))
    sent, received = [], []

    async def bench(ctx):
        for cycle in range(300):
            valid, ready = (rng.random() < rng.choice((0.2, 1)) for _ in range(2))
            value = rng.randrange(256)
            ctx.set(place.sink.valid, valid)
            ctx.set(place.sink.payload, value)
            ctx.set(place.source.ready, ready)
            is_held = len(sent) > len(received)
            assert ctx.get(place.source.valid) == is_held, (seed, cycle)
            assert ctx.get(place.sink.ready) == (not is_held or ready), (seed, cycle)
            if is_held and ready:
                received.append(ctx.get(place.source.payload))
            if valid and ctx.get(place.sink.ready):
                sent.append(value)
            await ctx.tick()

    simulator = Simulator(place)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(received) > 100
    assert received == sent[: len(received)]
