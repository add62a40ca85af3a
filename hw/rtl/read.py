"""Read stages that survive stalls without a data register: lost data is read again.

The vector unit's reads replay in the very cycle of the stall and lose none; the depthwise unit's
wait for registered requests only, which keeps its stalls off the path to the other ports' grants.
"""

from amaranth.hdl import Assert, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, PureInterface

from tilewright.hw.rtl.interfaces import bits
from tilewright.hw.rtl.signals import delayed, register


def _members(address_shape: Shape) -> dict[str, wiring.Member]:
    """What both have: an access that comes in, the held one behind it, a request."""
    return {
        "valid": In(1),
        "read": In(1),
        "address": In(address_shape),
        "ready": Out(1),
        "held_valid": Out(1),
        "held_ready": In(1),
        "request": Out(1),
        "grant": In(1),
    }


class ReplayedRead(wiring.Component):
    """The cycle between a request and its data, one access a cycle.

    SRAM data is on the port in the cycle after the grant only. While the consumer stalls, the
    held address is requested again in every cycle, so that its data is there in the next.
    With `foresees` a register says what is requested: nothing of the stall lies in front of grants.

    Members
    -------
    valid, read, address : In; an access (`read`) or a placeholder that needs no data
    ready : Out(1); the access is granted and moves to the held place
    held_valid : Out(1); the held access has its data on the port in this cycle
    held_ready : In(1); the consumer takes it
    ready_next : In(1), leaves : Out(1), with `foresees`; held_ready of the next cycle, and
        held_valid & held_ready
    free : Out(1); what comes in is requested, else what is held, again
    request, repeat_request, repeat_address : Out, grant, repeat_grant : In; the memory port, both
        requests no matter whether it is free
    would_request : Out(1); whether there is a request, if the consumer takes what there is
    """

    def __init__(self, address_shape: Shape, *, foresees: bool = False):
        self._foresees = foresees
        super().__init__(
            _members(address_shape)
            | {
                "free": Out(1),
                "repeat_request": Out(1),
                "repeat_address": Out(address_shape),
                "repeat_grant": In(1),
                "would_request": Out(1),
            }
            | ({"ready_next": In(1), "leaves": Out(1)} if foresees else {})
        )

    def elaborate(self, platform):
        m = Module()
        occupied = Signal()
        reads = Signal(reset_less=True)
        fresh = Signal()
        address = Signal.like(self.address, reset_less=True)
        would_be_free = Signal()
        # Stalls come late: they choose between what both accesses want.
        m.d.comb += [
            self.held_valid.eq(occupied & (~reads | fresh)),
            would_be_free.eq(~occupied | self.held_valid),
            self.would_request.eq(Mux(would_be_free, self.request, reads)),
            self.free.eq(self._find_free(m, occupied, reads)),
            self.request.eq(self.valid & self.read),
            self.repeat_request.eq(reads),
            self.repeat_address.eq(address),
            self.ready.eq(self.free & (~self.read | self.grant)),
        ]
        m.d.sync += fresh.eq(
            Mux(self.free, self.request & self.grant, self.repeat_request & self.repeat_grant)
        )
        # What comes is taken, granted or not: the enables need no grant.
        with m.If(self.free):
            m.d.sync += [
                occupied.eq(self.valid & self.ready),
                reads.eq(self.read),
                address.eq(self.address),
            ]
        return m

    def _find_free(self, m, occupied, reads):
        """Whether nothing is held or it leaves in this cycle."""
        is_free = ~occupied | (self.held_valid & self.held_ready)
        if not self._foresees:
            return is_free
        free = Signal(init=1, name="foreseen_free")
        comes = self.valid & (~self.read | self.grant)
        keeps = ~reads | self.repeat_grant
        m.d.comb += self.leaves.eq(occupied & free)
        m.d.sync += [
            free.eq(Mux(free, ~comes | self.ready_next, keeps & self.ready_next)),
            Assert(free == is_free),
        ]
        return free


class RepeatedRead(wiring.Component):
    """The cycle between a request and its data, one access a cycle.

    SRAM data is on the port in the cycle after the grant only. An access that could not leave in
    that cycle requests again in the next, before any other. No request depends on `held_ready` of
    its cycle, so that a stall does not lengthen the path to the other ports' grants; for it, a
    stall of n cycles behind a read takes n rounded up to an even number.

    Members
    -------
    valid, read, address : In; an access (`read`) or a placeholder that needs no data
    ready : Out(1); the access moves to the held place
    empty, free : Out(1); nothing is held; the same, or what is held leaves in this cycle
    held_valid : Out(1); the held access has its data on the port in this cycle
    held_ready : In(1); the consumer takes it
    request, request_address : Out, grant : In; the memory port
    """

    def __init__(self, address_shape: Shape):
        own = {"empty": Out(1), "free": Out(1), "request_address": Out(address_shape)}
        super().__init__(_members(address_shape) | own)

    def elaborate(self, platform):
        m = Module()
        occupied, fresh = bits("occupied", "fresh")
        reads = Signal(reset_less=True)
        address = Signal.like(self.address, reset_less=True)
        leaves, moves, repeats = bits("leaves", "moves", "repeats")
        m.d.comb += [
            self.request.eq(repeats | (self.valid & self.read)),
            self.request_address.eq(Mux(repeats, address, self.address)),
            self.held_valid.eq(occupied & (~reads | fresh)),
            leaves.eq(self.held_valid & self.held_ready),
            self.empty.eq(~occupied),
            self.free.eq(self.empty | leaves),
            self.ready.eq(self.free & (~self.read | self.grant)),
            moves.eq(self.valid & self.ready),
        ]
        m.d.sync += [
            fresh.eq(Mux(repeats, self.grant, moves & self.read)),
            repeats.eq(~self.free & reads & ~(repeats & self.grant)),
        ]
        with m.If(self.free):
            m.d.sync += [occupied.eq(moves), reads.eq(self.read), address.eq(self.address)]
        return m


def late_word(m: Module, taken: Value, word: Value, name: str) -> Value:
    """Return the word of a late port (`BankedMemory`): it is there a cycle after it is `taken`.

    It stays until the next one is, as if it stood in the register of whoever takes it. taken: one
    bit; it may be set where there is nothing to take, if nothing is held then.
    """
    fresh = delayed(m, taken, f"{name}_is_fresh")
    kept = register(word.shape(), f"{name}_kept")
    with m.If(fresh):
        m.d.sync += kept.eq(word)
    return Mux(fresh, word, kept)


def connect_reader(m: Module, reader: RepeatedRead, port: PureInterface) -> None:
    """Give a RepeatedRead its memory port."""
    m.d.comb += [
        port.request.eq(reader.request),
        port.address.eq(reader.request_address),
        reader.grant.eq(port.grant),
    ]
