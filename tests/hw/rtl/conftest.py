"""AXI4 memory models for tests in Amaranth's simulator: random stalls, protocol checks.

A model is driven once a cycle: `drive(ctx)` sets its inputs to the design, then, when every model
has driven, `observe(ctx)` samples the handshakes of the cycle.
"""

from collections import deque

import numpy as np
import pytest

READ_ADDRESS = ("arid", "araddr", "arlen", "arsize", "arburst")
WRITE_ADDRESS = ("awid", "awaddr", "awlen", "awsize", "awburst")
WRITE_DATA = ("wdata", "wstrb", "wlast")


def dram_bytes(address, count):
    """Return `count` bytes of a memory whose bytes are a fixed scramble of their address."""
    addresses = np.arange(count, dtype=np.uint64) + np.uint64(address)
    scrambled = (addresses + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return (scrambled >> np.uint64(40)).astype(np.uint8).tobytes()


def split_bursts(address, size, bus_bytes):
    """Return the (beat address, beats) of the longest legal bursts over [address, address+size)."""
    first = address & -bus_bytes
    beats = -(-(address + size - first) // bus_bytes)
    bursts = []
    limit = min(4096, 256 * bus_bytes)
    while beats:
        length = min(beats, (limit - first % limit) // bus_bytes)
        bursts.append((first, length))
        first, beats = first + length * bus_bytes, beats - length
    return bursts


class Channel:
    """Checks that a valid payload stays until it is taken."""

    def __init__(self, bus, valid, ready, payload):
        self.valid, self.ready = getattr(bus, valid), getattr(bus, ready)
        self.name, self.payload = valid, [getattr(bus, name) for name in payload]
        self.waiting = None

    def observe(self, ctx):
        """Return the payload that is transferred in this cycle, or None."""
        if not ctx.get(self.valid):
            assert self.waiting is None, f"{self.name} fell without ready"
            return None
        payload = tuple(ctx.get(signal) for signal in self.payload)
        assert self.waiting in (None, payload), f"the payload of {self.name} changed"
        taken = ctx.get(self.ready)
        self.waiting = None if taken else payload
        return payload if taken else None


def check_burst(config, address, length, size, burst_type):
    """Check the AXI rules for an address; return the number of beats."""
    bus_bytes = config.axi_bytes
    assert burst_type == 1
    assert 1 << size == bus_bytes
    assert address % bus_bytes == 0
    assert address // 4096 == (address + (length + 1) * bus_bytes - 1) // 4096
    return length + 1


class ReadMemory:
    """A slave on the read channels.

    latency: cycles from the address handshake to the first beat; rng: random stalls, latencies
    and interleaving of IDs (None: always ready, in order); error(address) of a beat;
    contents(address, count): what is read.
    """

    def __init__(
        self, bus, config, *, latency=8, rng=None, error=lambda address: False, contents=dram_bytes
    ):
        self.bus, self.config, self.rng, self.error = bus, config, rng, error
        self.contents = contents
        self.latency = latency
        self.channel = Channel(bus, "arvalid", "arready", READ_ADDRESS)
        self.queues = {}
        self.bursts = []
        self.beats = self.cycle = self.most_in_flight = self.stall = 0
        self.current = None

    def drive(self, ctx):
        self.cycle += 1
        ctx.set(self.bus.arready, self._ready())
        if self.current is None:
            due = [q for q in self.queues.values() if q and q[0][0] <= self.cycle]
            if due and not (self.rng and self.rng.random() < 0.2):
                self.current = self.rng.choice(due) if self.rng else min(due)
        ctx.set(self.bus.rvalid, self.current is not None)
        if self.current is not None:
            _, identity, address, left = self.current[0]
            beat = self.contents(address, self.config.axi_bytes)
            ctx.set(self.bus.rid, identity)
            ctx.set(self.bus.rdata, int.from_bytes(beat, "little"))
            ctx.set(self.bus.rresp, 2 if self.error(address) else 0)
            ctx.set(self.bus.rlast, left == 1)

    def _ready(self):
        if self.rng is None:
            return 1
        if self.stall == 0 and self.rng.random() < 0.02:
            self.stall = self.rng.randrange(40)
        self.stall -= self.stall > 0
        return self.stall == 0 and self.rng.random() < 0.7

    def observe(self, ctx):
        taken = self.channel.observe(ctx)
        if taken is not None:
            identity, address, *rest = taken
            beats = check_burst(self.config, address, *rest)
            self.bursts.append((identity, address, beats))
            latency = self.rng.randrange(1, 2 * self.latency) if self.rng else self.latency
            self.queues.setdefault(identity, deque()).append(
                (self.cycle + latency, identity, address, beats)
            )
        self.most_in_flight = max(self.most_in_flight, sum(map(len, self.queues.values())))
        if self.current is not None and ctx.get(self.bus.rready):
            due, identity, address, left = self.current.popleft()
            if left > 1:
                self.current.appendleft((due, identity, address + self.config.axi_bytes, left - 1))
            self.beats += 1
            self.current = None


class WriteMemory:
    """A slave on the write channels; `bytes` maps every address written to its byte.

    order: "any", "address" (no data before its address) or "data" (no address before its last
    beat); latency: cycles from the last beat (or the address, if later) to the response.
    """

    def __init__(self, bus, config, *, latency=8, rng=None, order="any",
                 error=lambda address: False):  # fmt: skip
        self.bus, self.config, self.rng, self.error = bus, config, rng, error
        self.latency, self.order = latency, order
        self.address_channel = Channel(bus, "awvalid", "awready", WRITE_ADDRESS)
        self.data_channel = Channel(bus, "wvalid", "wready", WRITE_DATA)
        self.addresses, self.data, self.responses = deque(), deque(), deque()
        self.bursts, self.bytes = [], {}
        self.cycle = self.beats = self.answered = self.most_in_flight = self.ended = 0
        self.answering = False

    def drive(self, ctx):
        self.cycle += 1
        address_allowed = self.order != "data" or self.ended > len(self.bursts)
        data_allowed = self.order != "address" or len(self.bursts) > self.ended
        ctx.set(self.bus.awready, address_allowed and self._ready())
        ctx.set(self.bus.wready, data_allowed and self._ready())
        if self.responses and self.responses[0][0] <= self.cycle and self._ready():
            self.answering = True
        ctx.set(self.bus.bvalid, self.answering)
        if self.answering:
            _, identity, failed = self.responses[0]
            ctx.set(self.bus.bid, identity)
            ctx.set(self.bus.bresp, 3 if failed else 0)

    def _ready(self):
        return self.rng is None or self.rng.random() < 0.7

    def observe(self, ctx):
        taken = self.address_channel.observe(ctx)
        if taken is not None:
            identity, address, *rest = taken
            beats = check_burst(self.config, address, *rest)
            self.bursts.append((identity, address, beats))
            self.addresses.append((identity, address, beats))
        taken = self.data_channel.observe(ctx)
        if taken is not None:
            self.beats += 1
            self.ended += taken[2]
            self.data.append(taken)
        if self.answering and ctx.get(self.bus.bready):
            self.responses.popleft()
            self.answered += 1
            self.answering = False
        self._complete()
        self.most_in_flight = max(self.most_in_flight, len(self.bursts) - self.answered)

    def _complete(self):
        while self.addresses and len(self.data) >= self.addresses[0][2]:
            identity, address, beats = self.addresses.popleft()
            failed = self.error(address)
            for number in range(beats):
                data, strobes, last = self.data.popleft()
                assert last == (number == beats - 1), "wlast"
                for byte in range(self.config.axi_bytes):
                    if strobes >> byte & 1:
                        self.bytes[address + byte] = data >> 8 * byte & 0xFF
                address += self.config.axi_bytes
            latency = self.rng.randrange(1, 2 * self.latency) if self.rng else self.latency
            self.responses.append((self.cycle + latency, identity, failed))


class DramModels:
    """The models, for tests that ask for the fixture `axi`."""

    ReadMemory = ReadMemory
    WriteMemory = WriteMemory
    dram_bytes = staticmethod(dram_bytes)
    split_bursts = staticmethod(split_bursts)


@pytest.fixture(scope="session")
def axi():
    """Return the AXI memory models."""
    return DramModels
