"""The counters of every engine against plain ones, with random events."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tilewright.hw.rtl.signals import count_down, count_in_flight


class Loop(wiring.Component):
    def __init__(self, *, begins_anew: bool) -> None:
        self._begins_anew = begins_anew
        super().__init__(
            {"count": In(3), "again": In(3), "start": In(1), "step": In(1), "is_last": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        _, is_last = count_down(
            m,
            self.count,
            name="loop",
            start=self.start,
            step=self.step,
            again=self.again if self._begins_anew else None,
        )
        m.d.comb += self.is_last.eq(is_last)
        return m


@pytest.mark.parametrize("begins_anew", [True, False])
def test_the_last_turn_is_known_in_its_first_cycle(begins_anew):
    rng = random.Random(begins_anew)
    loop = Loop(begins_anew=begins_anew)
    begun_with = set()

    async def bench(ctx):
        left = None
        for cycle in range(2000):
            assert left is None or ctx.get(loop.is_last) == (left == 1), cycle
            count, again = rng.randint(1, 7), rng.randint(1, 7)
            start = left is None or (not begins_anew and left == 1) or rng.random() < 0.05
            step = rng.random() < 0.6
            for port, value in (("count", count), ("again", again), ("start", start)):
                ctx.set(getattr(loop, port), value)
            ctx.set(loop.step, step)
            if start:
                left = count
            elif step:
                if left == 1:
                    begun_with.add(again)
                left = again if left == 1 else left - 1
            await ctx.tick()

    simulator = Simulator(loop)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert begun_with == ({*range(1, 8)} if begins_anew else set())


class InFlight(wiring.Component):
    accepted: In(1)
    retired: In(1)
    count: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.count.eq(
            count_in_flight(m, 5, accepted=self.accepted, retired=self.retired)
        )
        return m


def test_instructions_in_flight_are_those_that_are_accepted_and_not_retired():
    rng = random.Random(0)
    dut = InFlight()
    seen = set()

    async def bench(ctx):
        count = 0
        for _ in range(500):
            assert ctx.get(dut.count) == count
            retired = count > 0 and rng.random() < 0.5
            accepted = count - retired < 5 and rng.random() < 0.6
            ctx.set(dut.accepted, accepted)
            ctx.set(dut.retired, retired)
            seen.add((count, accepted, retired))
            count += accepted - retired
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert {count for count, _, _ in seen} == {*range(6)}
