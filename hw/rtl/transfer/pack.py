"""From SRAM words to write beats: the reader and the packer of the store engine."""

from functools import reduce
from operator import add, or_

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import (
    INDEX_BITS,
    accesses,
    address_shape,
    bits,
    choose_access,
    read_port_signature,
)
from tilewright.hw.rtl.signals import delayed
from tilewright.hw.rtl.transfer.burst import burst_words_layout
from tilewright.hw.spec.config import SRAM_ADDRESS_BITS, Config
from tilewright.hw.spec.cycles import store_read_cycles
from tilewright.hw.spec.instruction_set import BY_NAME

STORE = BY_NAME["STORE"]


def placement_layout(config: Config) -> data.StructLayout:
    """Where a word goes: byte `offset` of its beat.

    ends: the last word of its beat or its burst; last: of its burst; present: it has data (it was
    not out of range).
    """
    offset_bits = exact_log2(config.axi_bytes)
    return data.StructLayout({"offset": unsigned(offset_bits), "ends": 1, "last": 1, "present": 1})


def placed_layout(config: Config) -> data.StructLayout:
    """A word and where it goes."""
    return data.StructLayout(
        {"data": 8 * config.activation_word_bytes, "placement": placement_layout(config)}
    )


def write_beat_layout(config: Config) -> data.StructLayout:
    """The payload of the W channel."""
    return data.StructLayout({"data": config.axi_data_bits, "strobe": config.axi_bytes, "last": 1})


def store_port(config: Config) -> wiring.Signature:
    """The read port of the activation SRAM; with wire_registers it has two accesses."""
    return read_port_signature(
        address_bits=(config.activation_words - 1).bit_length(),
        width=8 * config.activation_word_bytes,
        repeats=config.wire_registers == 1,
    )


class WordReader(wiring.Component):
    """Reads the words of bursts, one a cycle, from activation SRAM.

    A burst taken in cycle t requests its first word in t+1; a word granted in cycle t shows in
    t+2, with wire_registers in t+3. Words out of range are not requested; they come out without
    data and raise `fault`. With path_registers `burst` is ready in the cycle behind the one that
    takes it, since grants come late, and that cycle takes none.

    Members
    -------
    burst : In(stream of burst_words_layout), no empty ones
    activation : Out(store_port)
    word : Out(stream of placed_layout)
    fault, fault_index : Out, a word was out of range
    active : Out(1), a burst or a word is inside
    moving : Out(1), a word is granted or dropped in this cycle
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "burst": In(stream.Signature(burst_words_layout(STORE, config))),
                "activation": Out(store_port(config)),
                "word": Out(stream.Signature(placed_layout(config))),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
                "active": Out(1),
                "moving": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, port = self._config, self.activation
        # As many as are under way keep the packer busy at one word a cycle.
        m.submodules.words = words = SyncFIFO(
            width=placed_layout(config).size, depth=store_read_cycles(config)
        )
        placement = Signal(placement_layout(config), reset_less=True)
        reading, room, in_range, moves = bits("reading", "room", "in_range", "moves")
        offered = (
            self.burst.valid & ~self.burst.ready if config.path_registers else self.burst.valid
        )
        burst, address, exists, occupied = self._present(m, moves, offered)
        asks, granted = self._ask(room, occupied & room & in_range, address)
        burst_ends = burst.last_word == 0
        placed = Signal(placed_layout(config))
        lands, placed_as, reads = reading, placement, [reading]
        if config.wire_registers:
            lands = delayed(m, reading, "lands")
            placed_as = delayed(m, placement, "late_placement")
            reads.append(lands)

        m.d.comb += [
            room.eq(words.level + reduce(add, reads) < words.depth),
            in_range.eq(exists),
            *asks,
            self.moving.eq(occupied & room & (granted | ~in_range)),
            moves.eq(self.moving | ~occupied),
            self.fault.eq(occupied & room & ~in_range),
            self.fault_index.eq(burst.index),
            self.active.eq(occupied | reduce(or_, reads) | words.r_rdy),
            placed.data.eq(port.data),
            placed.placement.eq(placed_as),
            words.w_en.eq(lands),
            words.w_data.eq(placed),
            self.word.valid.eq(words.r_rdy),
            self.word.payload.eq(words.r_data),
            words.r_en.eq(self.word.ready),
        ]
        takes = ~occupied | (self.moving & burst_ends)
        if config.path_registers:
            m.d.sync += self.burst.ready.eq(takes & offered)
        else:
            m.d.comb += self.burst.ready.eq(takes)
        m.d.sync += [
            reading.eq(self.moving),
            placement.offset.eq(burst.offset),
            placement.ends.eq((_next_offset(burst, config) == 0) | burst_ends),
            placement.last.eq(burst_ends),
            placement.present.eq(in_range),
        ]
        return m

    def _present(self, m, moves, offered):
        """Return the burst, the word's address, whether that exists and whether there is a word.

        All in this cycle. What follows the word is a register before it is known whether the word
        moves, so that the grant, which comes late, decides one register alone. With path_registers
        it is known then, too, whether the address exists.
        """
        config, head = self._config, self.burst.payload
        knows_before = config.path_registers
        layout = data.StructLayout(
            {
                "burst": burst_words_layout(STORE, config),
                "address": address_shape(),
                "exists": knows_before,
                "occupied": 1,
            }
        )
        present = Signal(layout)
        same = Signal(layout)
        following = Signal(layout)
        moved = Signal()
        m.d.comb += present.eq(Mux(moved, following, same))
        m.d.sync += [moved.eq(moves), same.eq(present)]
        burst = present.burst
        m.d.sync += [
            following.eq(present),
            following.burst.offset.eq(_next_offset(burst, config)),
            following.burst.last_word.eq(burst.last_word - 1),
            *self._set_address(following, present.address + present.occupied),
        ]
        with m.If(~present.occupied | (burst.last_word == 0)):
            m.d.sync += [following.burst.eq(head), following.occupied.eq(offered)]
            with m.If(offered & head.first):
                m.d.sync += self._set_address(following, head.sram_address)
        exists = present.exists if knows_before else self._exists(present.address)
        self._moved, self._either = moved, (following, same)
        return burst, present.address, exists, present.occupied

    def _ask(self, room, request, address):
        """Return the statements that ask for the word, and whether it is granted.

        With wire_registers what follows and the same word again are two accesses, so that which of
        them it is does not lie in front of their addresses.
        """
        port = self.activation
        if not self._config.wire_registers:
            return [port.request.eq(request), port.address.eq(address)], port.grant
        asks = [port.repeats.eq(~self._moved)]
        for access, word in zip(accesses(port), self._either, strict=True):
            asks += [
                access.request.eq(word.occupied & room & word.exists),
                access.address.eq(word.address),
            ]
        return asks, choose_access(port, [access.grant for access in accesses(port)])

    def _set_address(self, word, address):
        """Assign the address of a word and, if it has that, whether it exists."""
        exists = [word.exists.eq(self._exists(address))] if self._config.path_registers else []
        return [word.address.eq(address), *exists]

    def _exists(self, address):
        return address[:SRAM_ADDRESS_BITS] < self._config.activation_words


def _next_offset(burst, config):
    """Where the next word of a burst goes, in a beat."""
    return (burst.offset + config.activation_pitch)[: len(burst.offset)]


class BeatPacker(wiring.Component):
    """Packs narrow words into beats, or cuts wide ones into beats; one beat or word a cycle.

    A word seen in cycle t that completes a beat shows as that beat in t+1. A wide word takes all
    the beats of its pitch, those in the gap without strobes.

    Members
    -------
    word : In(stream of placed_layout)
    beat : Out(stream of write_beat_layout), from registers
    moving : Out(1), a word is used in this cycle
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "word": In(stream.Signature(placed_layout(config))),
                "beat": Out(stream.Signature(write_beat_layout(config))),
                "moving": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat, placement = self.beat.payload, self.word.payload.placement
        word_ends = Signal()
        fresh = Signal(init=1)
        m.d.comb += [
            self.moving.eq(self.word.valid & (~self.beat.valid | self.beat.ready)),
            self.word.ready.eq(self.moving & word_ends),
        ]
        if self._config.activation_pitch >= self._config.axi_bytes:
            ends = self._cut(m, word_ends)
        else:
            ends = placement.ends
            m.d.comb += word_ends.eq(1)
            self._insert(m, fresh)
        with m.If(self.moving):
            m.d.sync += [
                self.beat.valid.eq(ends),
                fresh.eq(ends),
                beat.last.eq(placement.last & word_ends),
            ]
        with m.Elif(self.beat.ready):
            m.d.sync += self.beat.valid.eq(0)
        return m

    def _cut(self, m: Module, word_ends: Value) -> Value:
        """Make one beat after the other from the word's bytes."""
        config, word = self._config, self.word.payload
        bus = config.axi_bytes
        beats = config.activation_pitch // bus
        position = Signal(range(beats))
        strobes = Const((1 << config.activation_word_bytes) - 1, config.activation_pitch)
        pieces = [
            (word.data[8 * bus * i : 8 * bus * (i + 1)], strobes[bus * i : bus * (i + 1)])
            for i in range(beats)
        ]
        m.d.comb += word_ends.eq(position == beats - 1)
        with m.If(self.moving):
            m.d.sync += [
                position.eq(Mux(word_ends, 0, position + 1)),
                self.beat.payload.data.eq(Array(piece for piece, _ in pieces)[position]),
                self.beat.payload.strobe.eq(
                    Array(strobe for _, strobe in pieces)[position]
                    & word.placement.present.replicate(bus)
                ),
            ]
        return Const(1)

    def _insert(self, m: Module, fresh: Value) -> None:
        """Put the word at its place in the beat; `fresh`: the beat starts with this word."""
        config, word, beat = self._config, self.word.payload, self.beat.payload
        pitch, size = config.activation_pitch, config.activation_word_bytes
        place = word.placement.offset[exact_log2(pitch) :]
        with m.If(self.moving):
            for position in range(config.axi_bytes // pitch):
                first = position * pitch
                strobe = beat.strobe[first : first + size]
                with m.If(place == position):
                    m.d.sync += [
                        beat.data[8 * first : 8 * (first + size)].eq(word.data),
                        strobe.eq(word.placement.present.replicate(size)),
                    ]
                with m.Elif(fresh):
                    m.d.sync += strobe.eq(0)
