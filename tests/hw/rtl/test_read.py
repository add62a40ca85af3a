"""The read stages between a port that refuses at random and a consumer that stalls at random."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from tilewright.hw.rtl.read import RepeatedRead, ReplayedRead


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [ReplayedRead, RepeatedRead])
def test_every_access_has_its_data_once_and_in_order(kind, seed):
    rng = random.Random(seed)
    stage = kind(unsigned(8))
    sent, received = [], []

    async def bench(ctx):
        address, reads, valid, on_port = 0, True, False, None
        for _ in range(600):
            ctx.set(stage.valid, valid)
            ctx.set(stage.read, reads)
            ctx.set(stage.address, address)
            ctx.set(stage.held_ready, 1)
            if kind is ReplayedRead:
                would_request = ctx.get(stage.would_request)
                assert would_request == ctx.get(stage.request)
            ctx.set(stage.held_ready, rng.random() < 0.6)
            # Granted or not, as if others asked for the bank; never without a request.
            ctx.set(stage.grant, 0)
            requested = ctx.get(stage.request)
            granted = requested and rng.random() < 0.6
            ctx.set(stage.grant, granted)
            if ctx.get(stage.held_valid) and ctx.get(stage.held_ready):
                received.append(on_port if sent[len(received)][1] else None)
            moves = valid and ctx.get(stage.ready)
            if moves:
                assert granted or not reads
                sent.append((address, reads))
            on_port = ctx.get(stage.request_address) if granted else None
            if moves or not valid:
                address, reads = rng.randrange(256), rng.random() < 0.8
                valid = rng.random() < 0.7
            await ctx.tick()

    simulator = Simulator(stage)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(received) > 100
    assert received == [address if reads else None for address, reads in sent[: len(received)]]
    assert len(sent) - len(received) <= 1


@pytest.mark.parametrize("seed", range(2))
def test_no_request_of_a_repeated_read_depends_on_its_consumer(seed):
    rng = random.Random(seed)
    stage = RepeatedRead(unsigned(8))

    async def bench(ctx):
        for cycle in range(300):
            ctx.set(stage.valid, rng.random() < 0.7)
            ctx.set(stage.read, rng.random() < 0.8)
            ctx.set(stage.address, cycle % 256)
            ctx.set(stage.grant, 0)
            found = set()
            for held_ready in (0, 1):
                ctx.set(stage.held_ready, held_ready)
                found.add((ctx.get(stage.request), ctx.get(stage.request_address)))
            assert len(found) == 1
            ctx.set(stage.held_ready, rng.random() < 0.6)
            ctx.set(stage.grant, ctx.get(stage.request) and rng.random() < 0.6)
            await ctx.tick()

    simulator = Simulator(stage)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
