"""An act whose cycle can become an earlier one, against a heap of events."""

import heapq

import pytest

from tilewright.sim.timing.alarm import Alarm
from tilewright.sim.timing.simulation import Actor


class Events:
    """The events of a run."""

    def __init__(self):
        self._heap = []

    def at(self, cycle, actor):
        heapq.heappush(self._heap, (cycle, len(self._heap), actor))

    def run(self):
        while self._heap:
            cycle, _, actor = heapq.heappop(self._heap)
            actor.act(cycle)


class Calls(Actor):
    """Notes when it acts."""

    def __init__(self):
        self.cycles = []

    def act(self, cycle):
        self.cycles.append(cycle)


@pytest.mark.parametrize(
    ("advances", "acts"), [([], 9), ([12], 9), ([9], 9), ([7], 7), ([7, 8], 7), ([7, 5], 5)]
)
def test_the_actor_acts_once_in_the_earliest_cycle(advances, acts):
    events, calls = Events(), Calls()
    alarm = Alarm(events)
    alarm.set(9, calls)
    for cycle in advances:
        alarm.advance(cycle)
    events.run()
    assert calls.cycles == [acts]


def test_a_later_cycle_replaces_an_earlier_one():
    events, calls = Events(), Calls()
    alarm = Alarm(events)
    for cycle in (5, 7, 5, 7):
        alarm.set(cycle, calls)
    events.run()
    assert calls.cycles == [7]


def test_nothing_happens_that_is_not_set():
    events, calls = Events(), Calls()
    alarm = Alarm(events)
    alarm.advance(3)
    alarm.set(4, calls)
    events.run()
    alarm.advance(2)
    events.run()
    assert calls.cycles == [4]
