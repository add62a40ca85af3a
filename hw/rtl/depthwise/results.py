"""Results of the depthwise unit on their way to the accumulators, with path_registers."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.lane import sum_bits
from tilewright.hw.rtl.interfaces import read_port_signature
from tilewright.hw.rtl.read import RepeatedRead, connect_reader
from tilewright.hw.rtl.signals import index_bits
from tilewright.hw.rtl.skid import SkidBuffer, StreamRegister
from tilewright.hw.spec.config import Config


def result_layout(config: Config, **more: ShapeLike) -> data.StructLayout:
    """Complete sums, one a lane, and what becomes of them."""
    total = signed(sum_bits(config.depthwise_taps))
    return data.StructLayout(
        {
            "write": 1,
            "accumulate": 1,
            "retire": 1,
            "destination": unsigned(index_bits(config.accumulator_words)),
            "sums": data.ArrayLayout(total, config.rows),
            **more,
        }
    )


def total_layout(config: Config) -> data.StructLayout:
    """A result and what it is added to: the accumulators' word or, if it overwrites that, 0."""
    return result_layout(config, old=unsigned(8 * config.accumulator_word_bytes))


class ResultReader(wiring.Component):
    """Reads the accumulators' word of a result: accepted in cycle t, with its word in t + 3.

    Two results wait in front of the port, so that a refusal reaches the lanes from a register.

    Members
    -------
    result : In(stream of result_layout)
    total : Out(stream of total_layout), from registers
    accumulator : Out(read_port_signature)
    """

    def __init__(self, *, config: Config):
        self._config = config
        port = read_port_signature(
            address_bits=index_bits(config.accumulator_words),
            width=8 * config.accumulator_word_bytes,
        )
        super().__init__(
            {
                "result": In(stream.Signature(result_layout(config))),
                "total": Out(stream.Signature(total_layout(config))),
                "accumulator": Out(port),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SkidBuffer(shape=result_layout(self._config))
        m.submodules.landing = landing = StreamRegister(shape=total_layout(self._config))
        wiring.connect(m, wiring.flipped(self.result), queue.sink)
        wiring.connect(m, landing.source, wiring.flipped(self.total))
        asks, lands = queue.source.p, landing.sink.p
        m.submodules.reader = reader = RepeatedRead(asks.destination.shape())
        connect_reader(m, reader, self.accumulator)
        held = Signal(result_layout(self._config), reset_less=True)
        with m.If(reader.free):
            m.d.sync += held.eq(asks)
        m.d.comb += [
            reader.valid.eq(queue.source.valid),
            reader.read.eq(asks.write & asks.accumulate),
            reader.address.eq(asks.destination),
            queue.source.ready.eq(reader.ready),
            landing.sink.valid.eq(reader.held_valid),
            reader.held_ready.eq(landing.sink.ready),
            lands.old.eq(Mux(held.accumulate, self.accumulator.data, 0)),
        ]
        m.d.comb += [lands[name].eq(held[name]) for name, _ in result_layout(self._config)]
        return m
