"""Reads stage 1's source words and selects the lane group."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import read_port_signature
from tilewright.hw.rtl.read import ReplayedRead
from tilewright.hw.rtl.signals import index_bits, loaded
from tilewright.hw.rtl.vector.layouts import slots_layout, source_layout, values_layout
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config


class SourceReader(wiring.Component):
    """Token with a granted request in cycle t, its values in cycle t + 1.

    With wire_registers their mark comes in t + 1 and all else a cycle later, once: see `late_word`.

    Members
    -------
    token : In(stream of source_layout)
    slots : In(slots_layout)
    values : Out(stream of values_layout)
    activation, accumulator : read ports
    ready_next : In(1), leaves : Out(1), with path registers; values.ready of the next cycle, and
        values.valid & values.ready
    defer : In(1); activation SRAM is not read again for held data: the operand needs the bank
    fault, fault_slot : Out; an access of that slot's instruction was out of range a cycle before
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "token": In(stream.Signature(source_layout(config))),
                "slots": In(slots_layout()),
                "values": Out(stream.Signature(values_layout(config))),
                "activation": Out(activation_port(config)),
                "accumulator": Out(
                    read_port_signature(
                        address_bits=index_bits(config.accumulator_words),
                        width=8 * config.accumulator_word_bytes,
                        repeats=True,
                    )
                ),
                "defer": In(1),
                "fault": Out(1),
                "fault_slot": Out(1),
                **({"ready_next": In(1), "leaves": Out(1)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        token = self.token.p
        held = Signal.like(token, reset_less=True)
        foresees = self._config.path_registers == 1
        m.submodules.read = read = ReplayedRead(token.address.shape(), foresees=foresees)
        if foresees:
            m.d.comb += [read.ready_next.eq(self.ready_next), self.leaves.eq(read.leaves)]
        moves = self.token.valid & self.token.ready
        is_new = self.token.valid & token.read
        is_wide, was_wide = (each.kind == isa.Source.ACCUMULATOR for each in (token, held))
        m.d.comb += [
            read.valid.eq(self.token.valid),
            read.read.eq(token.read),
            read.address.eq(token.address),
            self.token.ready.eq(read.ready),
            self.accumulator.request.eq(is_new & is_wide),
            self.accumulator.repeat_request.eq(held.read & was_wide),
            self.activation.request.eq(is_new & ~is_wide),
            self.activation.repeat_request.eq(held.read & ~was_wide & ~self.defer),
            read.grant.eq(Mux(is_wide, self.accumulator.grant, self.activation.grant)),
            read.repeat_grant.eq(
                Mux(was_wide, self.accumulator.repeat_grant, self.activation.repeat_grant)
            ),
        ]
        for port in (self.accumulator, self.activation):
            m.d.comb += [
                port.address.eq(token.address),
                port.repeats.eq(~read.free),
                port.repeat_address.eq(read.repeat_address),
            ]
        m.d.sync += [
            self.fault.eq(moves & token.out_of_range),
            self.fault_slot.eq(token.mark.slot),
        ]
        with m.If(moves):
            m.d.sync += held.eq(token)

        m.d.comb += [
            self.values.valid.eq(read.held_valid),
            read.held_ready.eq(self.values.ready),
            self.values.p.mark.eq(held.mark),
        ]
        self._select(m, held)
        return m

    def _select(self, m, held):
        """Lane group of the word, sign extended; padding where nothing was read."""
        lanes = self._config.lanes
        padding, group, is_read = self.slots[held.mark.slot].padding, held.group, held.read
        is_sum, new = held.kind == isa.Source.ACCUMULATOR, self.values.p
        if self._config.wire_registers:
            padding, group, is_read, is_sum = loaded(
                m, late_padding=padding, late_group=group, is_late_read=is_read, is_late_sum=is_sum
            )
        bytes_ = self.activation.data.word_select(group, 8 * lanes)
        words = self.accumulator.data.word_select(group, 32 * lanes)
        if self._config.path_registers:
            m.d.comb += [new.is_sum.eq(is_sum), new.is_read.eq(is_read), new.padding.eq(padding)]
        for lane in range(lanes):
            narrow = bytes_.word_select(lane, 8).as_signed()
            wide = words.word_select(lane, 32).as_signed()
            if self._config.path_registers:
                m.d.comb += [new.activations[lane].eq(narrow), new.values[lane].eq(wide)]
            else:
                value = Mux(is_sum, wide, narrow)
                m.d.comb += new.values[lane].eq(Mux(held.read, value, padding))


def activation_port(config: Config) -> wiring.Signature:
    """A read port of the activation SRAM, with a second access."""
    return read_port_signature(
        address_bits=index_bits(config.activation_words),
        width=8 * config.activation_word_bytes,
        repeats=True,
    )


def parameter_port(config: Config) -> wiring.Signature:
    """The read port of the parameter SRAM."""
    return read_port_signature(
        address_bits=index_bits(config.parameter_words), width=8 * config.parameter_word_bytes
    )
