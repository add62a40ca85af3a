"""From a LOAD or STORE instruction to AXI bursts: the run loops and the 4 KiB split.

AMBA AXI4 (IHI 0022), A3.4.1: INCR bursts of 1 to 256 full-width beats that stay inside 4 KiB.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import INDEX_BITS, address_shape, bits, engine_layout
from tilewright.hw.rtl.signals import count_down
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import burst_limit, transfer_retirement
from tilewright.hw.spec.operations.transfer import Load, Store

AXI_INCR = 1
"""The burst type of every burst."""
DRAM_ADDRESS_BITS = 32
TARGET_BITS = 2
NUM_AXES = 3


def target_pitches(operation: isa.Operation, config: Config) -> tuple[int, ...]:
    """Return the DRAM pitch of a word, in bytes, for each target of a transfer operation."""
    if operation is Store:
        return (Store().pitch(config),)
    return tuple(Load(target=target).pitch(config) for target in isa.Target)


def choose(target: Value, values: tuple) -> Value:
    """Return the value of the target; targets past the last one get the last one's."""
    chosen = values[-1]
    for number in reversed(range(len(values) - 1)):
        chosen = Mux(target == number, values[number], chosen)
    return chosen


def retirement_domain(config: Config) -> str:
    """Return the domain of `retire`: `transfer_retirement(config)` cycles behind what it awaits."""
    return "sync" if transfer_retirement(config) else "comb"


def run_layout(operation: isa.Operation, config: Config) -> data.StructLayout:
    """One run of an instruction: contiguous words in DRAM and SRAM.

    address: DRAM byte, from the DRAM base; last_byte: bytes of the run - 1 (gaps included); empty:
    the instruction has no run at all and this entry only carries its retirement.
    """
    largest = exact_log2(max(target_pitches(operation, config)))
    return data.StructLayout(
        {
            "address": unsigned(DRAM_ADDRESS_BITS),
            "last_byte": unsigned(16 + largest),
            "sram_address": address_shape(),
            "target": unsigned(TARGET_BITS),
            "last": 1,
            "empty": 1,
            "index": unsigned(INDEX_BITS),
        }
    )


def burst_words_layout(operation: isa.Operation, config: Config) -> data.StructLayout:
    """The words of one burst.

    first: the run starts here, at SRAM word `sram_address` (later bursts of a run continue);
    offset: byte of the first word in its beat; last_word: words - 1; last: the instruction ends
    with this burst; empty: no burst, only a retirement.
    """
    smallest = min(target_pitches(operation, config))
    return data.StructLayout(
        {
            "sram_address": address_shape(),
            "first": 1,
            "offset": unsigned(exact_log2(config.axi_bytes)),
            "last_word": unsigned(exact_log2(burst_limit(config) // smallest)),
            "target": unsigned(TARGET_BITS),
            "last": 1,
            "empty": 1,
            "index": unsigned(INDEX_BITS),
        }
    )


def burst_layout(operation: isa.Operation, config: Config) -> data.StructLayout:
    """One burst: bus byte address of its first beat, beats - 1, and its words."""
    return data.StructLayout(
        {
            "address": unsigned(config.axi_address_bits),
            "length": unsigned(8),
            "words": burst_words_layout(operation, config),
        }
    )


class RunIterator(wiring.Component):
    """The three strided loops of a transfer instruction: one run a cycle.

    An instruction accepted in cycle t shows its first run in t+1; the next one is accepted in the
    cycle in which the last run is taken, so there is no gap between instructions, or, with
    path_registers, a cycle later.

    Members
    -------
    instruction : In(stream of engine_layout)
    run : Out(stream of run_layout)
    active : Out(1), an instruction has runs left
    """

    def __init__(self, *, config: Config, operation: isa.Operation):
        self._operation = operation
        self._has_gaps = bool(config.path_registers)
        self._pitches = target_pitches(operation, config)
        self._layout = run_layout(operation, config)
        super().__init__(
            {
                "instruction": In(stream.Signature(engine_layout([operation], config))),
                "run": Out(stream.Signature(self._layout)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields = self.instruction.payload.fields[self._operation.name]
        target = fields.target if "target" in fields.shape().members else Const(0, TARGET_BITS)
        head = Signal(self._layout, reset_less=True)
        opens, moves = bits("opens", "moves")
        last_words = tuple(
            Cat(Const(pitch - 1, exact_log2(pitch)), (fields.run - 1)[:16])
            for pitch in self._pitches
        )
        counts = [fields[f"count{axis}"] for axis in range(NUM_AXES)]
        # Whether the loops move comes late: by then it is known what they move to. What is offered
        # is taken, valid or not.
        with m.If(moves):
            exhausted = self._step(m, head, opens, target)
        with m.If(self.instruction.ready):
            m.d.sync += [
                self.active.eq(self.instruction.valid),
                head.last_byte.eq(choose(target, last_words)),
                head.target.eq(target),
                head.empty.eq(Cat(count == 0 for count in (fields.run, *counts)).any()),
                head.index.eq(self.instruction.payload.index),
            ]
        ends = Const(0) if self._has_gaps else self.run.payload.last
        if self._has_gaps:
            with m.Elif(self.run.ready & self.run.payload.last):
                m.d.sync += self.active.eq(0)
        m.d.comb += [
            self.run.valid.eq(self.active),
            self.run.payload.eq(head),
            self.run.payload.last.eq(exhausted | head.empty),
            opens.eq(~self.active | ends),
            moves.eq(~self.active | self.run.ready),
            self.instruction.ready.eq(opens & moves),
        ]
        return m

    def _step(self, m, head, opens, target):
        """Start the loops where it `opens`, else advance them; return whether it was their last.

        Axis k keeps where its iteration began; the innermost one lives in `head`.
        """
        fields = self.instruction.payload.fields[self._operation.name]
        ones = (1 << DRAM_ADDRESS_BITS) - 1
        aligned = choose(target, tuple(Const(ones & -pitch) for pitch in self._pitches))
        axes = [(head.address, head.sram_address)] + [
            (
                Signal(DRAM_ADDRESS_BITS, name=f"dram_axis{axis}"),
                Signal(address_shape(), name=f"sram_axis{axis}"),
            )
            for axis in range(1, NUM_AXES)
        ]
        inner_done = Const(1)
        for axis, (dram, sram) in enumerate(axes):
            count = fields[f"count{axis}"]
            dram_stride = Signal(DRAM_ADDRESS_BITS, name=f"dram_stride{axis}")
            sram_stride = Signal.like(fields[f"sram_stride{axis}"], name=f"sram_stride{axis}")
            turns = Signal.like(count, name=f"turns{axis}")
            _, is_last = count_down(
                m, count, name=f"axis{axis}", start=opens, step=inner_done, again=turns
            )
            with m.If(opens):
                m.d.sync += [
                    dram_stride.eq(fields[f"dram_stride{axis}"] & aligned),
                    sram_stride.eq(fields[f"sram_stride{axis}"]),
                    turns.eq(count),
                    dram.eq(fields.dram_address & aligned),
                    sram.eq(fields.sram_address),
                ]
            with m.Elif(inner_done & ~is_last):
                for inner in axes[: axis + 1]:
                    m.d.sync += inner[0].eq(dram + dram_stride)
                    m.d.sync += inner[1].eq(sram + sram_stride)
            inner_done = inner_done & is_last
        return inner_done


class BurstSplitter(wiring.Component):
    """Cuts runs at `burst_limit(config)`: one burst a cycle, no gap between runs.

    A run taken in cycle t shows its first burst in t+1. The payload is stable while valid. With
    path_registers the next run is taken in the cycle behind that of a run's last burst.

    Members
    -------
    run : In(stream of run_layout)
    dram_base : In(64), a multiple of 4096; stable while anything is in flight
    burst : Out(stream of burst_layout)
    """

    def __init__(self, *, config: Config, operation: isa.Operation):
        self._config = config
        self._pitches = target_pitches(operation, config)
        self._layout = run_layout(operation, config)
        super().__init__(
            {
                "run": In(stream.Signature(self._layout)),
                "dram_base": In(64),
                "burst": Out(stream.Signature(burst_layout(operation, config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        split_bits = exact_log2(burst_limit(self._config))
        beat_bits = exact_log2(self._config.axi_bytes)
        burst, has_gaps = self.burst.payload, bool(self._config.path_registers)
        run = Signal(self._layout, reset_less=True)
        occupied, first, ends = bits("occupied", "first", "ends")
        last_byte = Signal(split_bits)

        low, new = run.address[:split_bits], self.run.payload
        rest = (run.last_byte - ~low - 1)[: len(run.last_byte)]
        m.d.comb += [
            last_byte.eq(Mux(ends, run.last_byte, ~low)),
            self.burst.valid.eq(occupied),
            burst.address.eq(
                Cat(Const(0, beat_bits), run.address[beat_bits:])
                + Cat(Const(0, split_bits), self.dram_base[split_bits:])
            ),
            burst.length.eq((low + last_byte)[beat_bits:] - low[beat_bits:]),
            burst.words.sram_address.eq(run.sram_address),
            burst.words.first.eq(first),
            burst.words.offset.eq(run.address[:beat_bits]),
            burst.words.last_word.eq(
                choose(run.target, tuple(last_byte >> exact_log2(p) for p in self._pitches))
            ),
            burst.words.target.eq(run.target),
            burst.words.last.eq(run.last & ends),
            burst.words.empty.eq(run.empty),
            burst.words.index.eq(run.index),
            self.run.ready.eq(~occupied | (0 if has_gaps else self.burst.ready & ends)),
        ]
        with m.If(self.run.ready):
            m.d.sync += [occupied.eq(self.run.valid), run.eq(new), first.eq(1)]
            m.d.sync += ends.eq(new.empty | (new.last_byte <= ~new.address[:split_bits]))
        with m.Elif(self.burst.ready):
            m.d.sync += [
                first.eq(0),
                run.address[split_bits:].eq(run.address[split_bits:] + 1),
                run.address[:split_bits].eq(0),
                run.last_byte.eq(rest),
                ends.eq(rest[split_bits:] == 0),
            ]
            if has_gaps:
                m.d.sync += occupied.eq(~ends)
        return m
