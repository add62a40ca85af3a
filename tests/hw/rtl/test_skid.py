"""SkidBuffer and StreamRegister between a producer and a consumer that stall at random."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from tilewright.hw.rtl.skid import SkidBuffer, StreamRegister

IS_READY = {
    SkidBuffer: lambda waiting, leaves: waiting < 2,
    StreamRegister: lambda waiting, leaves: waiting == 0 or leaves,
}
"""Whether a place takes what comes, by what waits in it and whether that may leave."""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", IS_READY)
def test_what_goes_in_comes_out_in_order_one_a_cycle_and_none_waits_for_no_place(kind, seed):
    rng = random.Random(seed)
    places = kind(shape=unsigned(8))
    sent, received = [], []

    async def bench(ctx):
        for cycle in range(300):
            waiting = len(sent) - len(received)
            valid, ready = (rng.random() < rng.choice((0.2, 1)) for _ in range(2))
            value = rng.randrange(256)
            ctx.set(places.sink.valid, valid)
            ctx.set(places.sink.payload, value)
            ctx.set(places.source.ready, ready)
            assert ctx.get(places.sink.ready) == IS_READY[kind](waiting, ready), (seed, cycle)
            assert ctx.get(places.source.valid) == (waiting > 0), (seed, cycle)
            if ready and ctx.get(places.source.valid):
                received.append(ctx.get(places.source.payload))
            if valid and ctx.get(places.sink.ready):
                sent.append(value)
            fills = ctx.get(places.fills) if kind is SkidBuffer else None
            await ctx.tick()
            if kind is SkidBuffer:
                assert fills == (not ctx.get(places.sink.ready)), (seed, cycle)

    simulator = Simulator(places)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(received) > 100
    assert received == sent[: len(received)]
