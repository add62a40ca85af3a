"""count_down against a counter, with random starts and steps."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tilewright.hw.rtl.signals import count_down


class Loop(wiring.Component):
    def __init__(self, *, begins_anew: bool) -> None:
        self._begins_anew = begins_anew
        super().__init__(
            {"count": In(3), "again": In(3), "start": In(1), "step": In(1), "is_last": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        is_last = count_down(
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
