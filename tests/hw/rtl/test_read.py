"""The read stages between a port that refuses at random and a consumer that stalls at random."""

import random
from functools import partial

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from tilewright.hw.rtl.read import RepeatedRead, ReplayedRead


def asked(ctx, stage):
    """Return whether the stage requests, and the address."""
    if isinstance(stage, RepeatedRead):
        return ctx.get(stage.request), ctx.get(stage.request_address)
    if ctx.get(stage.free):
        return ctx.get(stage.request), ctx.get(stage.address)
    return ctx.get(stage.repeat_request), ctx.get(stage.repeat_address)


def grant(ctx, stage, granted, other):
    """Answer the request; `other`: the one that a ReplayedRead does not make."""
    if isinstance(stage, RepeatedRead):
        ctx.set(stage.grant, granted)
        return
    free = ctx.get(stage.free)
    ctx.set(stage.grant, (granted if free else other) and ctx.get(stage.request))
    ctx.set(stage.repeat_grant, (other if free else granted) and ctx.get(stage.repeat_request))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [ReplayedRead, partial(ReplayedRead, foresees=True), RepeatedRead])
def test_every_access_has_its_data_once_and_in_order(kind, seed):
    rng = random.Random(seed)
    stage = kind(unsigned(8))
    foresees = "ready_next" in stage.signature.members
    sent, received = [], []

    async def bench(ctx):
        address, reads, valid, on_port = 0, True, False, None
        takes = False
        for _ in range(600):
            ctx.set(stage.valid, valid)
            ctx.set(stage.read, reads)
            ctx.set(stage.address, address)
            if kind is ReplayedRead:
                ctx.set(stage.held_ready, 1)
                assert ctx.get(stage.would_request) == asked(ctx, stage)[0]
            ctx.set(stage.held_ready, takes)
            takes = rng.random() < 0.6
            if foresees:
                ctx.set(stage.ready_next, takes)
            # Granted or not, as if others asked for the bank; never without a request.
            grant(ctx, stage, 0, 0)
            requested, requested_address = asked(ctx, stage)
            granted = requested and rng.random() < 0.6
            # What is not asked for may have a grant or none.
            grant(ctx, stage, granted, rng.random() < 0.5)
            if ctx.get(stage.held_valid) and ctx.get(stage.held_ready):
                received.append(on_port if sent[len(received)][1] else None)
            moves = valid and ctx.get(stage.ready)
            if moves:
                assert granted or not reads
                sent.append((address, reads))
            on_port = requested_address if granted else None
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
