"""A call whose cycle can become an earlier one, against a heap of events."""

import heapq

import pytest

from tilewright.sim.timing.alarm import Alarm


class Events:
    """The events of a run."""

    def __init__(self):
        self._heap = []

    def at(self, cycle, action):
        heapq.heappush(self._heap, (cycle, len(self._heap), action))

    def run(self):
        while self._heap:
            cycle, _, action = heapq.heappop(self._heap)
            action(cycle)


@pytest.mark.parametrize(
    ("advances", "called"), [([], 9), ([12], 9), ([9], 9), ([7], 7), ([7, 8], 7), ([7, 5], 5)]
)
def test_the_action_is_called_once_in_the_earliest_cycle(advances, called):
    events, calls = Events(), []
    alarm = Alarm(events)
    alarm.set(9, calls.append)
    for cycle in advances:
        alarm.advance(cycle)
    events.run()
    assert calls == [called]


def test_a_later_cycle_replaces_an_earlier_one():
    events, calls = Events(), []
    alarm = Alarm(events)
    for cycle in (5, 7, 5, 7):
        alarm.set(cycle, calls.append)
    events.run()
    assert calls == [7]


def test_nothing_is_called_that_is_not_set():
    events, calls = Events(), []
    alarm = Alarm(events)
    alarm.advance(3)
    alarm.set(4, calls.append)
    events.run()
    alarm.advance(2)
    events.run()
    assert calls == [4]
