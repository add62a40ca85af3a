"""Address generator of the depthwise unit: block, y, position, kernel row."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.layouts import (
    DEPTHWISE,
    KERNEL_ROW_BITS,
    access_layout,
    mark_layout,
)
from tilewright.hw.rtl.interfaces import (
    INDEX_BITS,
    address_shape,
    bits,
    engine_layout,
    fields_layout,
)
from tilewright.hw.rtl.matrix.pixel_sequencer import COORDINATE_BITS
from tilewright.hw.rtl.signals import count_down, delayed, within
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import acceptance_gap
from tilewright.hw.spec.operations.depthwise import Depthwise

KEPT_FIELDS = (
    "kernel_height",
    "kernel_width",
    "out_height",
    "out_width",
    "stride_y",
    "stride_x",
    "dilation_y",
    "origin_y",
    "origin_x",
    "height",
    "width",
    "padding",
    "source_stride",
    "source_pitch",
    "destination_stride",
    "accumulate",
)


def position_layout(config: Config) -> data.StructLayout:
    """One activation word of the loops."""
    return data.StructLayout(
        {
            "compute": 1,
            "swap": 1,
            "kernel_row": unsigned(KERNEL_ROW_BITS),
            "output": 1,  # a sum is complete
            "retire": 1,
            "y": signed(COORDINATE_BITS),
            "x": signed(COORDINATE_BITS),
            "block": address_shape(),
            "destination": address_shape(),
        }
    )


class DepthwiseLoops(wiring.Component):
    """One position a cycle; the first one is there in the cycle after the acceptance.

    The next instruction is accepted in the cycle in which the last position of the one before is
    taken, with path_registers in the cycle behind that. A block's first position is there when its
    weights are available, with path_registers not in the cycle behind another position. An empty
    instruction has one position, without `compute`.

    Members
    -------
    instruction : In(stream of engine_layout)
    available : In(1), of WeightLatch; claim : Out(1), a block's first position is taken
    empty : Out(1), the offered instruction does nothing; with path_registers it is not accepted in
        the first cycle of its offer
    position : Out(stream of position_layout)
    fields : Out(layout of KEPT_FIELDS), index : Out; of the instruction of `position`
    """

    def __init__(self, *, config: Config):
        self._has_gap = acceptance_gap(config)
        every = fields_layout(DEPTHWISE, config).members
        super().__init__(
            {
                "instruction": In(stream.Signature(engine_layout([DEPTHWISE], config))),
                "available": In(1),
                "claim": Out(1),
                "empty": Out(1),
                "position": Out(stream.Signature(position_layout(config))),
                "fields": Out(data.StructLayout({name: every[name] for name in KEPT_FIELDS})),
                "index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        new, here = self.instruction.p.fields.DEPTHWISE, self.position.p
        active, opens, moves, step = bits("active", "opens", "moves", "step")
        may_start = self.available
        if self._has_gap:
            may_start &= ~delayed(m, step, "had_position")
        # Whether the loops move comes late: by then it is known what they move to. What is offered
        # is taken, valid or not.
        ends = self._count(m, opens, moves)
        empty = delayed(m, self.empty, "was_empty") if self._has_gap else self.empty
        m.d.comb += [
            self.empty.eq(Cat(new[name] == 0 for name in Depthwise.counts).any()),
            self.position.valid.eq(active & (~here.swap | may_start)),
            step.eq(self.position.valid & self.position.ready),
            opens.eq(~active if self._has_gap else ~active | here.retire),
            moves.eq(~active | step),
            self.claim.eq(step & here.swap),
            self.instruction.ready.eq(opens & moves),
            here.output.eq(here.compute & ends["output"]),
            here.retire.eq(~here.compute | ends["instruction"]),
        ]
        with m.If(moves):
            m.d.sync += here.swap.eq(Mux(opens, ~empty, ends["block"]))
        if self._has_gap:
            with m.If(moves & here.retire):
                m.d.sync += active.eq(0)
        with m.If(self.instruction.ready):
            m.d.sync += [active.eq(self.instruction.valid), self.index.eq(self.instruction.p.index)]
            m.d.sync += here.compute.eq(~empty)
            m.d.sync += [self.fields[name].eq(new[name]) for name in KEPT_FIELDS]
        self._walk_coordinates(m, opens, moves, ends)
        self._walk_destination(m, opens, moves, ends)
        return m

    def _count(self, m, opens, moves):
        """Counters of the loops; ends[loop]: this is its last position."""
        new, fields, row = (
            self.instruction.p.fields.DEPTHWISE,
            self.fields,
            self.position.p.kernel_row,
        )
        ends = {
            name: Signal(name=f"{name}_ends")
            for name in ("position", "output", "row", "block", "instruction")
        }
        with m.If(moves):
            _, is_last = count_down(
                m, new.kernel_height, name="kernel_rows", start=opens, step=1,
                again=fields.kernel_height,
            )  # fmt: skip
        stride = Mux(fields.stride_x == 0, 1, fields.stride_x)
        first = new.kernel_width | Const(0, len(stride))
        with m.If(moves):
            m.d.sync += row.eq(Mux(opens | is_last, 0, row + 1))
            _, is_output = count_down(
                m, first, name="until_output", start=opens, step=is_last,
                again=Mux(ends["row"], fields.kernel_width, stride),
            )  # fmt: skip
        m.d.comb += [ends["position"].eq(is_last), ends["output"].eq(is_last & is_output)]
        before = ends["output"]
        for loop, name in (("row", "out_width"), ("block", "out_height"), ("instruction", None)):
            with m.If(moves):
                _, is_last = count_down(
                    m, new[name or "blocks"], name=loop, start=opens, step=before,
                    again=fields[name] if name else None,
                )  # fmt: skip
            m.d.comb += ends[loop].eq(before & is_last)
            before = ends[loop]
        return ends

    def _walk_coordinates(self, m, opens, moves, ends):
        """Block address, y and x of the source word; y of the row's first window row."""
        new, fields, here = self.instruction.p.fields.DEPTHWISE, self.fields, self.position.p
        row_y = Signal(signed(COORDINATE_BITS), reset_less=True)
        next_y = Signal(signed(COORDINATE_BITS))
        m.d.comb += next_y.eq(Mux(ends["block"], fields.origin_y, row_y + fields.stride_y))
        with m.If(moves):
            with m.If(opens):
                m.d.sync += [
                    row_y.eq(new.origin_y),
                    here.y.eq(new.origin_y),
                    here.x.eq(new.origin_x),
                    here.block.eq(new.source),
                ]
            with m.Elif(ends["row"]):
                m.d.sync += [row_y.eq(next_y), here.y.eq(next_y), here.x.eq(fields.origin_x)]
                with m.If(ends["block"]):
                    m.d.sync += here.block.eq(here.block + fields.source_stride)
            with m.Elif(ends["position"]):
                m.d.sync += [here.y.eq(row_y), here.x.eq(here.x + 1)]
            with m.Else():
                m.d.sync += here.y.eq(here.y + fields.dilation_y)

    def _walk_destination(self, m, opens, moves, ends):
        """Accumulator word of the next output."""
        new, here = self.instruction.p.fields.DEPTHWISE, self.position.p
        block = Signal(address_shape(), reset_less=True)
        next_block = Signal(address_shape())
        m.d.comb += next_block.eq(block + self.fields.destination_stride)
        with m.If(moves):
            with m.If(opens):
                m.d.sync += [block.eq(new.destination), here.destination.eq(new.destination)]
            with m.Elif(ends["block"]):
                m.d.sync += [block.eq(next_block), here.destination.eq(next_block)]
            with m.Elif(ends["output"]):
                m.d.sync += here.destination.eq(here.destination + 1)


class DepthwiseSequencer(wiring.Component):
    """One activation word a cycle: the loops, then padding test, row product and address.

    A position that is taken in cycle t is at `access` in cycle t + 2. Three are taken ahead of
    `access.ready`, which the loops see a cycle later.

    Members
    -------
    instruction, available, claim, empty, index : see DepthwiseLoops
    access : Out(stream of access_layout)
    fault, fault_index : Out; a source or destination word of that instruction is out of range
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(engine_layout([DEPTHWISE], config))),
                "available": In(1),
                "claim": Out(1),
                "empty": Out(1),
                "index": Out(INDEX_BITS),
                "access": Out(stream.Signature(access_layout(config))),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.loops = loops = DepthwiseLoops(config=self._config)
        wiring.connect(m, wiring.flipped(self.instruction), loops.instruction)
        m.submodules.buffer = buffer = SkidBuffer(shape=access_layout(self._config))
        wiring.connect(m, buffer.source, wiring.flipped(self.access))
        stage = _Stage(self._config)
        m.d.comb += [
            loops.available.eq(self.available),
            self.claim.eq(loops.claim),
            self.empty.eq(loops.empty),
            self.index.eq(loops.index),
            loops.position.ready.eq(~stage.valid | buffer.sink.ready),
        ]
        self._take_position(m, loops, stage)
        self._give_access(m, stage, buffer.sink)
        return m

    def _take_position(self, m, loops, stage):
        """Test for padding and multiply the row."""
        here, fields = loops.position.p, loops.fields
        with m.If(loops.position.ready):
            m.d.sync += stage.valid.eq(loops.position.valid)
        with m.If(loops.position.ready & loops.position.valid):
            names = ("compute", "swap", "kernel_row", "retire")
            m.d.sync += [stage.mark[name].eq(here[name]) for name in names]
            m.d.sync += [
                stage.mark.result.eq(here.output | here.retire),
                stage.mark.write.eq(here.output),
                stage.mark.accumulate.eq(fields.accumulate),
                stage.mark.last_column.eq(fields.kernel_width - 1),
                stage.destination.eq(here.destination),
                stage.row.eq(here.y[: len(fields.height)] * fields.source_pitch),
                stage.column.eq(here.block + here.x),
                stage.inside.eq(within(here.y, fields.height) & within(here.x, fields.width)),
                stage.padding.eq(fields.padding),
                stage.index.eq(loops.index),
            ]

    def _give_access(self, m, stage, sink):
        """Add up the address and test whether its word and the destination exist."""
        # The expression, not a signal: else Verilator sees a loop in the access.
        address = (stage.row + stage.column)[: len(stage.row)]
        source_exists, destination_exists = bits("source_exists", "destination_exists")
        reads, out_of_range = bits("reads", "out_of_range")
        access = sink.p
        m.d.comb += [
            reads.eq(stage.mark.compute & stage.inside),
            source_exists.eq(address < self._config.activation_words),
            destination_exists.eq(stage.destination < self._config.accumulator_words),
            out_of_range.eq((reads & ~source_exists) | (stage.mark.write & ~destination_exists)),
            sink.valid.eq(stage.valid),
            access.mark.eq(stage.mark),
            access.mark.write.eq(stage.mark.write & destination_exists),
            access.mark.destination.eq(stage.destination),
            access.read.eq(reads & source_exists),
            access.address.eq(address),
            access.padding.eq(stage.padding),
        ]
        m.d.sync += [
            self.fault.eq(sink.ready & stage.valid & out_of_range),
            self.fault_index.eq(stage.index),
        ]


class _Stage:
    """Registers between the loops and the access."""

    def __init__(self, config: Config):
        self.valid = Signal()
        self.mark = Signal(mark_layout(config), reset_less=True)
        self.row, self.column, self.destination = (
            Signal(address_shape(), name=name, reset_less=True)
            for name in ("row", "column", "destination")
        )
        self.inside = Signal(reset_less=True)
        self.padding = Signal(signed(8), reset_less=True)
        self.index = Signal(INDEX_BITS, reset_less=True)
