"""From read beats to SRAM words: the assembler of the load engine."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import INDEX_BITS, address_shape, bits
from tilewright.hw.rtl.memory import activation_banks_of
from tilewright.hw.rtl.signals import delayed
from tilewright.hw.rtl.transfer.burst import (
    TARGET_BITS,
    burst_words_layout,
    choose,
    target_pitches,
)
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_NAME

LOAD = BY_NAME["LOAD"]


def beat_layout(config: Config) -> data.StructLayout:
    """One beat of read data and whether its response is an error."""
    return data.StructLayout({"data": config.axi_data_bits, "error": 1})


def word_bytes(config: Config) -> tuple[int, int, int]:
    """Return the bytes of a word of each target of a load."""
    return (config.activation_word_bytes, config.weight_word_bytes, config.parameter_word_bytes)


def word_layout(config: Config) -> data.StructLayout:
    """One assembled word.

    error: some beat of it had an error response; last: the last word of its instruction; empty:
    no word at all, only a retirement. written: with path_registers, a bit a target, whether it is
    written there, so that no port awaits what that follows from.
    """
    return data.StructLayout(
        {
            "data": 8 * max(word_bytes(config)),
            "address": address_shape(),
            "in_range": 1,
            "target": unsigned(TARGET_BITS),
            "written": data.ArrayLayout(1, len(isa.Target) * config.path_registers),
            "error": 1,
            "last": 1,
            "empty": 1,
            "index": unsigned(INDEX_BITS),
        }
    )


class WordAssembler(wiring.Component):
    """Cuts beats into narrow words, or joins beats into wide ones; one beat and one word a cycle.

    A beat seen in cycle t shows its first (or completed) word in t+1. The beats behind the last
    byte of a wide word (the gap up to the pitch) are taken and dropped.

    Members
    -------
    burst : In(stream of burst_words_layout), the bursts in the order of their beats
    beat : In(stream of beat_layout)
    word : Out(stream of word_layout); with path_registers ready where there is none, too
    active : Out(1), a burst or a word is inside
    moving : Out(1), a beat is used in this cycle
    next_banks : Out(a bit a bank of the activation SRAM), what is in `word` in the next cycle is
        written there; exists with path_registers
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._pitches = target_pitches(LOAD, config)
        super().__init__(
            {
                "burst": In(stream.Signature(burst_words_layout(LOAD, config))),
                "beat": In(stream.Signature(beat_layout(config))),
                "word": Out(stream.Signature(word_layout(config))),
                "active": Out(1),
                "moving": Out(1),
                **({"next_banks": Out(config.activation_banks)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        burst = Signal(burst_words_layout(LOAD, self._config), reset_less=True)
        occupied = Signal()
        slots = tuple(-(-pitch // self._config.axi_bytes) for pitch in self._pitches)
        slot = Signal(range(max(slots)))
        free, step, word_ends, burst_ends = bits("free", "step", "word_ends", "burst_ends")
        may_step, uses_beat, leaves = bits("may_step", "uses_beat", "leaves")
        offset = Signal.like(burst.offset)

        # The word's grant comes late: what happens if it has left is known by then.
        m.d.comb += [
            free.eq(self.word.ready | (0 if self._config.path_registers else ~self.word.valid)),
            may_step.eq(occupied & ~burst.empty & self.beat.valid),
            uses_beat.eq(may_step & ((offset == 0) | burst_ends)),
            leaves.eq((occupied & burst.empty) | (may_step & burst_ends)),
            step.eq(free & may_step),
            word_ends.eq(slot == choose(burst.target, tuple(count - 1 for count in slots))),
            burst_ends.eq(word_ends & (burst.last_word == 0)),
            offset.eq(burst.offset + choose(burst.target, self._pitches)),
            self.beat.ready.eq(free & uses_beat),
            self.active.eq(occupied | self.word.valid),
            self.moving.eq(step),
            self.burst.ready.eq(~occupied | (free & leaves)),
        ]
        with m.If(step):
            m.d.sync += [slot.eq(Mux(word_ends, 0, slot + 1)), burst.offset.eq(offset)]
        with m.If(step & word_ends):
            m.d.sync += burst.last_word.eq(burst.last_word - 1)
            if self._config.path_registers:
                m.d.sync += burst.first.eq(0)
        with m.If(self.burst.ready):
            m.d.sync += occupied.eq(self.burst.valid)
            with m.If(self.burst.valid):
                m.d.sync += burst.eq(self.burst.payload)

        arrives = (may_step & word_ends) | (occupied & burst.empty)
        with m.If(free):
            m.d.sync += self.word.valid.eq(arrives)
        word = Signal(word_layout(self._config), reset_less=True)
        m.d.comb += self.word.payload.eq(word)
        self._locate(m, word, burst, step & word_ends, free, arrives)
        self._fill(m, word, burst, slot, step)
        return m

    def _locate(
        self,
        m: Module,
        word: data.View,
        burst: data.View,
        word_ends: Value,
        free: Value,
        arrives: Value,
    ) -> None:
        """Set everything of a word but its data; say where it is written."""
        config = self._config
        is_weight = burst.target == isa.Target.WEIGHT
        limits = (config.activation_words, config.weight_words, config.parameter_words)
        address, dropped = self._follow(m, burst, word_ends, is_weight)
        in_range = Mux(is_weight, ~dropped, address < choose(burst.target, limits))
        is_written = in_range & ~burst.empty
        with m.If(free):
            m.d.sync += [
                word.address.eq(address),
                word.in_range.eq(in_range),
                word.target.eq(burst.target),
                *(
                    each.eq(is_written & (burst.target == target))
                    for target, each in enumerate(word.written)
                ),
                word.last.eq(burst.last & (burst.empty | (burst.last_word == 0))),
                word.empty.eq(burst.empty),
                word.index.eq(burst.index),
            ]
        if config.path_registers:
            kept_banks = delayed(m, self.next_banks, "kept_banks")
            own_banks = Mux(
                address < limits[isa.Target.ACTIVATION], activation_banks_of(address, config), 0
            )
            is_here = arrives & ~burst.empty & (burst.target == isa.Target.ACTIVATION)
            banks = Mux(is_here, own_banks, 0)
            m.d.comb += self.next_banks.eq(Mux(free, banks, kept_banks))

    def _follow(
        self, m: Module, burst: data.View, word_ends: Value, is_weight: Value
    ) -> tuple[Value, Value]:
        """Return the SRAM address, across the bursts of a run, and whether a run of weights began
        out of range.

        With path_registers a run's first address is taken from the burst that is here, and not
        when that comes, which is known late.
        """
        config, head = self._config, self.burst.payload
        kept = Signal(address_shape(), reset_less=True, name="address")
        following = Signal(address_shape())
        dropped = Signal()
        address, is_dropped = kept, dropped
        if config.path_registers:
            address = Mux(burst.first, burst.sram_address, kept)
            is_dropped = Mux(burst.first, burst.sram_address >= config.weight_words, dropped)
        ring_end = is_weight & (address == config.weight_words - 1)
        m.d.comb += following.eq(Mux(ring_end, 0, address + 1))
        with m.If(word_ends):
            m.d.sync += kept.eq(following)
            if config.path_registers:
                m.d.sync += dropped.eq(is_dropped)
        if not config.path_registers:
            with m.If(self.burst.valid & self.burst.ready & head.first):
                m.d.sync += [
                    kept.eq(head.sram_address),
                    dropped.eq(head.sram_address >= config.weight_words),
                ]
        return address, is_dropped

    def _fill(self, m: Module, word: data.View, burst: data.View, slot: Value, step: Value) -> None:
        """Put the beat into its slot of the word; a narrow word goes to slot 0 shifted."""
        beat = self.beat.payload
        bits = self._config.axi_data_bits
        first = self._shift(m, burst, beat.data)
        for position in range(-(-len(word.data) // bits)):
            place = word.data[position * bits : (position + 1) * bits]
            with m.If(step & (slot == position)):
                m.d.sync += place.eq(beat.data if position else first)
        with m.If(step):
            m.d.sync += word.error.eq(beat.error | (word.error & (slot != 0)))

    def _shift(self, m: Module, burst: data.View, beat: Value) -> Value:
        """Return the beat with the bytes at the burst's offset moved to byte 0.

        Only narrow words have an offset, so no more bytes than they have are moved.
        """
        sizes = zip(self._pitches, word_bytes(self._config), strict=True)
        narrow = [(pitch, size) for pitch, size in sizes if pitch < self._config.axi_bytes]
        if not narrow:
            return beat
        step = min(pitch for pitch, _ in narrow)
        moved = Signal(8 * max(size for _, size in narrow))
        lanes = [beat[first:][: len(moved)] for first in range(0, len(beat), 8 * step)]
        m.d.comb += moved.eq(Array(lanes)[burst.offset[exact_log2(step) :]])
        return Cat(moved, beat[len(moved) :])
