"""Fetch and dispatch: from the program in DRAM to the engines' queues."""

from collections import deque

from tilewright.hw.spec.cycles import (
    FETCH_START_CYCLES,
    dispatch_cycles,
    fetch_arrival_cycles,
)
from tilewright.hw.spec.isa import INSTRUCTION_BYTES
from tilewright.sim.timing.queues import Queue
from tilewright.sim.timing.simulation import Actor, Simulation


class _Request(Actor):
    """Fetch's next request, of which there is one at a time."""

    def __init__(self, front: "Front") -> None:
        self._front = front

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        self._front.request(cycle)
        return None


class _Fetched(Actor):
    """An instruction on its way; its address is offered from a cycle on."""

    def __init__(self, front: "Front", number: int, offered: int) -> None:
        self._front, self._number, self._offered = front, number, offered

    def act(self, cycle: int) -> int | None:
        """As Actor: the read channel's transfers before it are decided."""
        self._front.settle(self._number, self._offered)
        return None


class Front(Actor):
    """Fetch, one burst an instruction, and dispatch, in order."""

    def __init__(self, machine: Simulation, queues: list[Queue]) -> None:
        self._machine, self._queues = machine, queues
        self._beats = INSTRUCTION_BYTES // machine.config.axi_bytes
        self._spacing = dispatch_cycles(machine.config)
        self._arrival = fetch_arrival_cycles(machine.config)
        self._requested = 0
        self._last_request = -1
        self._shown: deque[int] = deque()
        """When each fetched instruction that is not taken is at dispatch at the earliest."""
        self._end_arrives: int | None = None
        self._taken = 0
        self._last_taken = 0
        self.idle_cycle = 0
        """When the last read of the program is over."""
        self.end_cycle: int | None = None
        """When END was taken."""
        self._next_request = _Request(self)
        self._is_requesting = False
        self._held_by = -1
        """Dispatch waits for room in the queue of that engine."""

    def start(self) -> None:
        """Request the first instruction."""
        self._schedule_request()

    def _schedule_request(self) -> None:
        """Request the next instruction as soon as it has a place."""
        if self._is_requesting or self.end_cycle is not None:
            return
        cycle = max(self._last_request + 1, FETCH_START_CYCLES)
        freed = self._requested - self._machine.config.fetch_ahead
        if freed >= 0:
            if freed >= self._taken:
                return
            cycle = max(cycle, self._machine.taken[freed] + 1)
        self._is_requesting = True
        self._machine.at(cycle, self._next_request, is_late=True)

    def request(self, cycle: int) -> None:
        """Request the next instruction, unless the end is known."""
        self._is_requesting = False
        if self._end_arrives is not None and cycle > self._end_arrives:
            return
        channel = self._machine.channel
        channel.fetch_cycle = cycle + 1
        number = self._requested
        self._requested, self._last_request = number + 1, cycle
        channel.add(_Fetched(self, number, cycle + 1), cycle)
        self._schedule_request()

    def settle(self, number: int, offered: int) -> None:
        """Decide the beats of an instruction; the read channel's transfers before it are."""
        channel = self._machine.channel
        first = channel.first_beat(offered)
        channel.occupy(first, first + self._beats, "FETCH", number)
        arrival = first + self._beats - 1
        self.idle_cycle = arrival + 1
        if number >= len(self._machine.engines):
            return
        self._shown.append(arrival + self._arrival)
        if self._machine.engines[number] is None:
            self._end_arrives = first
        if number == self._taken:
            self._schedule_dispatch()

    def _schedule_dispatch(self, earliest: int = 0) -> None:
        """Dispatch the next instruction as soon as it is there and its queue has room."""
        number = self._taken
        if not self._shown or self.end_cycle is not None:
            return
        engine = self._machine.engines[number]
        if engine is not None and self._queues[engine].is_full:
            self._held_by = engine
            return
        cycle = max(self._shown[0], self._last_taken + self._spacing)
        self._machine.at(max(cycle, earliest), self)

    def release(self, engine: int, cycle: int) -> None:
        """An engine's queue has room from the next cycle on."""
        if self._held_by == engine:
            self._held_by = -1
            self._schedule_dispatch(cycle + 1)

    def act(self, cycle: int) -> int | None:
        """As Actor: take the next instruction, unless its queue has room in the next cycle only."""
        number = self._taken
        engine = self._machine.engines[number]
        if engine is None:
            self.end_cycle = cycle
            return None
        queue = self._queues[engine]
        if not queue.has_room(cycle):
            return cycle + 1
        queue.enter(number, cycle)
        self._shown.popleft()
        self._taken, self._last_taken = number + 1, cycle
        self._schedule_dispatch()
        self._schedule_request()
        return None
