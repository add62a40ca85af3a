"""The weights of two blocks: those that multiply, and the next block's, read meanwhile."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.layouts import DEPTHWISE
from tilewright.hw.rtl.interfaces import (
    INDEX_BITS,
    address_shape,
    bits,
    engine_layout,
    read_port_signature,
)
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config


def request_layout(config: Config) -> data.StructLayout:
    """A word of the weights that is to be read."""
    return data.StructLayout(
        {
            "exists": 1,
            "address": unsigned(index_bits(config.parameter_words)),
            "word": range(max(2, config.depthwise_words)),  # of its block
            "index": unsigned(INDEX_BITS),
        }
    )


class WeightLatch(wiring.Component):
    """Reads the blocks' weights in order, one parameter word a cycle.

    The next block is that of the accepted instruction or, when its blocks are all read, the first
    of the instruction that is offered. With path_registers a word is asked for in the cycle after
    it is known which it is. Its weights are available in the cycle after the grant of their last
    word, and in place two cycles later. The latch is free again from the swap on.

    Members
    -------
    offered : In(1), next : In(engine_layout); not empty, steady until `accept`, which
        may be in the very cycle of the offer
    accept : In(1); `next` becomes the accepted instruction
    available : Out(1); a block's weights are read and not yet claimed
    claim : In(1); the first word of that block is on its way
    swap : In(1); its weights are active from the next cycle on; two cycles after the claim or later
    index : In, of the accepted instruction
    weights : Out, the active ones, 8 bits each, by channel, then kernel row, then kernel column
    parameter : read port
    fault, fault_index : Out; a word was out of range a cycle before
    """

    def __init__(self, *, config: Config):
        self._config = config
        num_weights = DEPTHWISE_KERNEL_ROWS * config.depthwise_taps * config.rows
        super().__init__(
            {
                "offered": In(1),
                "next": In(engine_layout([DEPTHWISE], config)),
                "accept": In(1),
                "available": Out(1),
                "claim": In(1),
                "swap": In(1),
                "index": In(INDEX_BITS),
                "weights": Out(8 * num_weights),
                "parameter": Out(
                    read_port_signature(
                        address_bits=index_bits(config.parameter_words),
                        width=8 * config.parameter_word_bytes,
                    )
                ),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        blocks_left = Signal.like(self.next.fields.DEPTHWISE.blocks)
        word = Signal(range(max(2, self._config.depthwise_words)))
        ahead = Signal()
        moves, block_ends, full = bits("moves", "block_ends", "full")
        blocks = self.next.fields.DEPTHWISE.blocks
        is_one_read = ahead | block_ends
        from_next = self._is_read(m, blocks_left, blocks, is_one_read, block_ends)
        address = self._walk(m, from_next & (word == 0), moves, ahead)
        walk = stream.Signature(request_layout(self._config)).create(path=("walk",))
        m.d.comb += [
            walk.valid.eq(~full & (~from_next | self.offered)),
            walk.p.exists.eq(address < self._config.parameter_words),
            walk.p.address.eq(address),
            walk.p.word.eq(word),
            walk.p.index.eq(Mux(from_next, self.next.index, self.index)),
            moves.eq(walk.valid & walk.ready),
            block_ends.eq(moves & self._is_last(word)),
        ]
        with m.If(block_ends):
            m.d.sync += word.eq(0)
        with m.Elif(moves):
            m.d.sync += word.eq(word + 1)
        with m.If(self.accept):
            m.d.sync += ahead.eq(0)
        with m.Elif(from_next & block_ends):
            m.d.sync += ahead.eq(1)
        with m.If(self.accept):
            # Whether a block ends comes late: with path_registers it does not go through the carry.
            chosen = Mux(is_one_read, blocks - 1, blocks)
            has_path_registers = self._config.path_registers
            m.d.sync += blocks_left.eq(chosen if has_path_registers else blocks - is_one_read)
        with m.Elif(block_ends & ~from_next):
            m.d.sync += blocks_left.eq(blocks_left - 1)
        block_is_read = self._read(m, self._buffered(m, walk))
        m.d.comb += full.eq(self._follow_latch(m, block_ends, block_is_read))
        return m

    def _is_read(self, m, blocks_left, blocks, is_one_read, block_ends):
        """Whether the accepted instruction's blocks are all read, from a register if need be."""
        is_read = Signal(init=1)
        if not self._config.path_registers:
            m.d.comb += is_read.eq(blocks_left == 0)
            return is_read
        with m.If(self.accept):
            m.d.sync += is_read.eq((blocks == 1) & is_one_read)
        with m.Elif(block_ends):
            m.d.sync += is_read.eq(is_read | (blocks_left == 1))
        return is_read

    def _buffered(self, m, walk):
        """What is asked for; with path_registers a grant shows in the walk a cycle later."""
        if not self._config.path_registers:
            return walk
        m.submodules.buffer = buffer = SkidBuffer(shape=request_layout(self._config))
        wiring.connect(m, walk, buffer.sink)
        return buffer.source

    def _read(self, m, read):
        """Read a word, or report that there is none; return whether it is the last of a block."""
        moves = Signal(name="read_moves")
        m.d.comb += [
            self.parameter.request.eq(read.valid & read.p.exists),
            self.parameter.address.eq(read.p.address),
            read.ready.eq(~read.p.exists | self.parameter.grant),
            moves.eq(read.valid & read.ready),
        ]
        m.d.sync += [
            self.fault.eq(read.valid & ~read.p.exists),
            self.fault_index.eq(read.p.index),
        ]
        self._hold(m, moves & read.p.exists, read.p.word)
        return moves & self._is_last(read.p.word)

    def _is_last(self, word):
        return word == self._config.depthwise_words - 1

    def _follow_latch(self, m, block_ends, block_is_read):
        """Empty, available, claimed, empty; return whether it is not empty or about to be filled.

        With path_registers a block's last word is asked for after the walk is through with it.
        """
        taken = Signal()
        with m.If(block_is_read):
            m.d.sync += self.available.eq(1)
        with m.Elif(self.claim):
            m.d.sync += self.available.eq(0)
        with m.If(block_ends if self._config.path_registers else self.claim):
            m.d.sync += taken.eq(1)
        with m.Elif(self.swap):
            m.d.sync += taken.eq(0)
        return self.available | taken

    def _walk(self, m, at_start_of_next, moves, ahead):
        """The address of the word that is read next."""
        address = Signal(address_shape())
        following = Signal(address_shape(), reset_less=True)
        m.d.comb += address.eq(Mux(at_start_of_next, self.next.fields.DEPTHWISE.weights, following))
        with m.If(moves):
            m.d.sync += following.eq(address + 1)
        with m.Elif(self.accept & ~ahead):
            m.d.sync += following.eq(address)
        return address

    def _hold(self, m, granted, word):
        """A word lands in the cycle after its grant; the active weights load as a whole."""
        lands = Signal()
        rows = self._config.rows
        landing_word = Signal.like(word, reset_less=True)
        shadow = register(len(self.weights), "shadow")
        m.d.sync += lands.eq(granted)
        with m.If(granted):
            m.d.sync += landing_word.eq(word)
        width = len(self.parameter.data)
        for number in range(self._config.depthwise_words):
            part = shadow[number * width : (number + 1) * width]
            with m.If(lands & (landing_word == number)):
                m.d.sync += part.eq(self.parameter.data[: len(part)])
        active = register(len(self.weights), "active")
        with m.If(self.swap):
            places = range(len(shadow) // 8)
            by_channel = [p for first in range(rows) for p in places[first::rows]]
            m.d.sync += active.eq(Cat(shadow.word_select(place, 8) for place in by_channel))
        m.d.comb += self.weights.eq(active)
