"""Reads stage 2's second operand, ahead of stage 1's results."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.read import ReplayedRead, late_word
from tilewright.hw.rtl.signals import delayed
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.rtl.vector.layouts import job_layout
from tilewright.hw.rtl.vector.source import activation_port
from tilewright.hw.rtl.vector.walker import Walker
from tilewright.hw.spec.config import Config


class OperandReader(wiring.Component):
    """One operand a cycle; the first one three cycles after the job is taken.

    With path registers it is four: two positions wait in front of the read.

    Members
    -------
    job : In(stream of job_layout); with a second stage and not empty; `walk` is the operand's
    values : Out(stream of lanes of int8)
    activation : read port
    starved : Out(1); an operand is requested and there is none to go on with
    fault, fault_slot : Out; an operand of that slot's instruction was out of range a cycle before
    taken_next : In(1), with path registers; `values` are taken in the next cycle, if there are any
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "values": Out(stream.Signature(data.ArrayLayout(signed(8), config.lanes))),
                "activation": Out(activation_port(config)),
                "starved": Out(1),
                "fault": Out(1),
                "fault_slot": Out(1),
                **({"taken_next": In(1)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registered = self._config.path_registers == 1
        read_address = self.activation.address.shape()
        read = ReplayedRead(read_address, foresees=registered)
        moves = Signal()
        valid, position = self._walk(m, moves, read)
        m.submodules.read = read
        group = Signal.like(position.group, reset_less=True)
        m.d.comb += [
            moves.eq(valid & read.ready),
            read.valid.eq(valid),
            read.read.eq(position.exists),
            read.address.eq(position.address),
            read.grant.eq(self.activation.grant),
            read.repeat_grant.eq(self.activation.repeat_grant),
            read.held_ready.eq(self._find_room(m, read)),
            self.starved.eq(self._starves(m, read)),
            self.activation.request.eq(read.request),
            self.activation.address.eq(position.address),
            self.activation.repeats.eq(~read.free),
            self.activation.repeat_request.eq(read.repeat_request),
            self.activation.repeat_address.eq(read.repeat_address),
        ]
        m.d.sync += [self.fault.eq(moves & ~position.exists), self.fault_slot.eq(position.slot)]
        with m.If(moves):
            m.d.sync += group.eq(position.group)
        late = self._config.wire_registers
        lanes_group = delayed(m, group, "late_group") if late else group
        word = self.activation.data.word_select(lanes_group, 8 * self._config.lanes)
        take = self.values.payload.eq(word)
        if late:
            m.d.comb += self.values.payload.eq(late_word(m, read.held_ready, word, "operand"))
        elif registered:
            # What is on the port is taken, valid or not: the enable is a register.
            with m.If(read.held_ready):
                m.d.sync += take
        with m.If(read.leaves if registered else read.held_valid & read.held_ready):
            m.d.sync += self.values.valid.eq(1)
            if not registered:
                m.d.sync += take
        with m.Elif(self.values.ready):
            m.d.sync += self.values.valid.eq(0)
        return m

    def _walk(self, m, moves, read):
        """Whether there is a position for the read, and which one; it `moves` on."""
        m.submodules.walker = walker = Walker(config=self._config)
        wiring.connect(m, wiring.flipped(self.job), walker.job)
        if not self._config.path_registers:
            m.d.comb += walker.moves.eq(moves)
            return walker.active, walker.position
        m.submodules.positions = positions = SkidBuffer(
            shape=walker.position.shape(), looks_behind=self._config.wire_registers == 1
        )
        self._positions = positions
        m.d.comb += [
            positions.sink.valid.eq(walker.active),
            positions.sink.payload.eq(walker.position),
            walker.moves.eq(walker.active & positions.sink.ready),
            positions.source.ready.eq(read.ready),
        ]
        return positions.source.valid, positions.source.payload

    def _asks(self, read):
        """Whether an operand is asked for, where there are no values: then there is room."""
        if not self._config.path_registers:
            return read.would_request
        return Mux(read.free, read.request, read.repeat_request)

    def _starves(self, m, read):
        """Whether an operand is asked for and there is none to go on with."""
        is_starved = self._asks(read) & ~self.values.valid
        if not self._config.wire_registers:
            return is_starved
        starved = Signal(name="foreseen_starved")
        positions = self._positions
        then_asks = positions.behind_valid & positions.behind.exists
        asks = Mux(positions.source.valid, positions.source.p.exists, then_asks)
        # Without values, and none that come: what is held goes on as soon as it is read.
        none = ~read.leaves & ~(self.values.valid & ~self.values.ready)
        comes = read.valid & (~read.read | read.grant)
        keeps = ~read.repeat_request | read.repeat_grant
        asks_next = Mux(read.free, Mux(comes, then_asks, asks), Mux(keeps, asks, 1))
        m.d.sync += [starved.eq(none & asks_next), Assert(starved == is_starved)]
        return starved

    def _find_room(self, m, read):
        """Whether the next operand may come; with path registers known a cycle before."""
        if not self._config.path_registers:
            return ~self.values.valid | self.values.ready
        has_room = Signal(init=1)
        stays = self.values.valid & ~self.values.ready
        m.d.comb += read.ready_next.eq(~(read.leaves | stays) | self.taken_next)
        m.d.sync += has_room.eq(read.ready_next)
        m.d.sync += Assert(has_room == (~self.values.valid | self.values.ready))
        return has_room
