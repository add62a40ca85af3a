"""The weights of two blocks: those that multiply, and the next block's, read meanwhile."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
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
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config


class WeightLatch(wiring.Component):
    """Reads the blocks' weights in order, one parameter word a cycle.

    The next block is that of the accepted instruction or, when its blocks are all read, the first
    of the instruction that is offered. Its weights are available in the cycle after the grant of
    their last word, and in place two cycles later. The latch is free again from the swap on.

    Members
    -------
    offered : In(1), next : In(engine_layout); not empty, steady until `accept`
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
        from_next, wanted, exists, moves, block_ends = bits(
            "from_next", "wanted", "exists", "moves", "block_ends"
        )
        claimed = self._follow_latch(m, block_ends)
        address = self._walk(m, from_next & (word == 0), moves, ahead)
        m.d.comb += [
            from_next.eq(blocks_left == 0),
            wanted.eq(~self.available & ~claimed & (~from_next | self.offered)),
            exists.eq(address < self._config.parameter_words),
            self.parameter.request.eq(wanted & exists),
            self.parameter.address.eq(address),
            moves.eq(wanted & (~exists | self.parameter.grant)),
            block_ends.eq(moves & (word == self._config.depthwise_words - 1)),
        ]
        m.d.sync += [
            self.fault.eq(wanted & ~exists),
            self.fault_index.eq(Mux(from_next, self.next.index, self.index)),
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
            m.d.sync += blocks_left.eq(self.next.fields.DEPTHWISE.blocks - (ahead | block_ends))
        with m.Elif(block_ends & ~from_next):
            m.d.sync += blocks_left.eq(blocks_left - 1)
        self._hold(m, moves & exists, word)
        return m

    def _follow_latch(self, m, block_ends):
        """Empty, available, claimed, empty; return whether it is claimed."""
        claimed = Signal()
        with m.If(block_ends):
            m.d.sync += self.available.eq(1)
        with m.Elif(self.claim):
            m.d.sync += self.available.eq(0)
        with m.If(self.claim):
            m.d.sync += claimed.eq(1)
        with m.Elif(self.swap):
            m.d.sync += claimed.eq(0)
        return claimed

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
