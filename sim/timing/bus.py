"""The AXI read channel and the memory behind it: in order, a beat a cycle, a fixed latency."""

from collections import deque

from tilewright.hw.spec.cycles import READ_ARBITER_CYCLES
from tilewright.sim.timing.activity import DRAM
from tilewright.sim.timing.simulation import Actor, Channel, Simulation


class InOrder(Actor):
    """Transfers whose data move one behind the other: each acts until it is settled."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._first: Actor | None = None
        self._pending: deque[Actor] = deque()
        """Those behind it."""

    def add(self, transfer: Actor, cycle: int) -> None:
        """Put a transfer behind the others."""
        if self._first is not None:
            self._pending.append(transfer)
            return
        again = transfer.act(cycle)
        if again is not None:
            self._first = transfer
            self._machine.at(again, self)

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        while self._first is not None:
            again = self._first.act(cycle)
            if again is not None:
                return again
            self._first = self._pending.popleft() if self._pending else None
        return None


class ReadChannel(Channel):
    """The order of the addresses is the order of the data."""

    def __init__(self, machine: Simulation) -> None:
        self._machine, self._order = machine, InOrder(machine)
        self._delay = READ_ARBITER_CYCLES + machine.latency
        self._free = 0
        self.fetch_cycle = -1
        """The last cycle in which fetch, which comes first, offers the arbiter an address."""

    def add(self, transfer: Actor, cycle: int) -> None:
        """As InOrder."""
        self._order.add(transfer, cycle)

    def first_beat(self, cycle: int) -> int:
        """Return when the first beat can come of an address that the arbiter takes in `cycle`."""
        beat = cycle + self._delay
        return beat if beat > self._free else self._free

    def occupy(self, first: int, free: int, engine: str, number: int) -> None:
        """An instruction's beats are taken from cycle `first` on, the next one from `free` on."""
        self._free = free
        if self._machine.trace is not None:
            self._machine.trace.note(DRAM, "read", engine, number, [(first, free)])
