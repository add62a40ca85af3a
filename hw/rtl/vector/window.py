"""Address generator of stage 1's source: lane group, y, x, ky, kx."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import address_shape, bits, fields_layout
from tilewright.hw.rtl.signals import count_down, index_bits, register, within
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.rtl.vector.layouts import VECTOR, mark_layout, source_layout, start_layout
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import NEGATIVE_SCALE_CYCLES

COORDINATE_BITS = 24
LEAD = NEGATIVE_SCALE_CYCLES
KEPT_FIELDS = (
    "kernel_height",
    "kernel_width",
    "out_height",
    "out_width",
    "stride_y",
    "stride_x",
    "dilation_y",
    "dilation_x",
    "origin_y",
    "origin_x",
    "height",
    "width",
    "source_kind",
    "combine",
    "uniform",
    "negative_scales",
    "source_stride",
    "source_pitch",
)


def position_layout(config: Config) -> data.StructLayout:
    """One position of the loops: coordinates, block, lane group, mark of the value.

    leads: it is in front of a lane group's first one and reads nothing.
    """
    groups = max(config.row_groups, config.col_groups)
    return data.StructLayout(
        {
            "mark": mark_layout(config),
            "leads": unsigned(1),
            "y": signed(COORDINATE_BITS),
            "x": signed(COORDINATE_BITS),
            "block": address_shape(),
            "group": unsigned(index_bits(groups)),
        }
    )


class WindowLoops(wiring.Component):
    """One position a cycle; the first one is there in the cycle after `start` is taken.

    The next start is taken in the cycle in which the last position of the one before is taken,
    so two instructions follow each other without a gap; with path registers one cycle later. A
    lane group with scales of negative sums starts with LEAD positions that read nothing: while they
    pass, both scale registers come free; with the last one the scales of negative sums are fetched.
    With a second stage, the last positions of two windows are at least lanes/operand_lanes cycles
    apart: the rate of that stage.

    Members
    -------
    start : In(stream of start_layout); no count is 0, the source group is in range
    position : Out(stream of position_layout)
    fields : Out(layout of KEPT_FIELDS), of the instruction that `position` belongs to
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._pace = config.lanes // config.operand_lanes
        every = fields_layout(VECTOR, config).members
        kept = {name: every[name] for name in KEPT_FIELDS}
        super().__init__(
            {
                "start": In(stream.Signature(start_layout(config))),
                "position": Out(stream.Signature(position_layout(config))),
                "fields": Out(data.StructLayout(kept)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        active, opens, moves, step = bits("active", "opens", "moves", "step")
        taken, leads = bits("taken", "leads")
        # Whether the loops move comes late: by then it is known what they move to. What is offered
        # is taken, valid or not.
        ends = self._count(m, opens, moves)
        may_end = self._keep_pace(m, step, ends["window"])
        registered = self._config.path_registers
        m.d.comb += [
            self.position.valid.eq(active & (leads | ~ends["window"] | may_end)),
            taken.eq(self.position.valid & self.position.ready),
            step.eq(taken & ~leads),
            moves.eq(step | ~active),
        ]
        last = ends["group"] & ends["group_count"]
        if registered:
            # Nothing of the last position's turn decides whether a start is taken.
            m.d.comb += [opens.eq(~active), self.start.ready.eq(opens)]
            with m.If(step & last):
                m.d.sync += active.eq(0)
        else:
            # ready: `opens & moves`, without what decides whether a window ends.
            m.d.comb += [
                opens.eq(~active | last),
                self.start.ready.eq(opens & (~active | (self.position.ready & ~leads & may_end))),
            ]
        with m.If(self.start.ready):
            m.d.sync += active.eq(self.start.valid)
            m.d.sync += [self.fields[name].eq(self.start.p.fields[name]) for name in KEPT_FIELDS]
        self._walk_coordinates(m, opens, moves, ends)
        self._walk_blocks(m, opens, moves, ends)
        lead, is_lead = self._lead(m, opens, moves, taken, ends["group"])
        m.d.comb += [leads.eq(is_lead), self.position.p.leads.eq(leads)]
        self._mark(m, opens, moves, taken, ends, lead)
        return m

    def _count(self, m, opens, moves):
        """Down counters of the five loops; ends[loop]: this is its last position."""
        new, fields = self.start.p.fields, self.fields
        inner = {"kx": "kernel_width", "window": "kernel_height"}
        outer = {"row": "out_width", "group": "out_height"}
        ends, all_before = {}, 1
        self._turns = {}
        for loop, name in (inner | outer).items():
            ends[loop] = Signal(name=f"{loop}_ends")
            with m.If(moves):
                self._turns[loop] = _, is_last = count_down(
                    m, new[name], name=loop, start=opens, step=all_before, again=fields[name]
                )
            m.d.comb += ends[loop].eq(all_before & is_last)
            if loop == "window" and self._config.path_registers:
                ends[loop] = self._foresee(m, opens, moves, ends[loop])
            all_before = ends[loop]
        with m.If(moves):
            _, ends["group_count"] = count_down(
                m, new.groups, name="groups", start=opens, step=ends["group"]
            )
        return ends

    def _foresee(self, m, opens, moves, window_ends):
        """Return the window's end from a register of its own."""
        new, fields = self.start.p.fields, self.fields
        (left_x, is_last_x), (left_y, is_last_y) = self._turns["kx"], self._turns["window"]
        next_x = Mux(is_last_x, fields.kernel_width == 1, left_x == 2)
        next_y = Mux(is_last_y, fields.kernel_height == 1, left_y == 2)
        is_single = (new.kernel_width == 1) & (new.kernel_height == 1)
        ends = register(1, "foreseen_end")
        m.d.sync += Assert(opens | (ends == window_ends))
        with m.If(moves):
            m.d.sync += ends.eq(Mux(opens, is_single, next_x & Mux(is_last_x, next_y, is_last_y)))
        return ends

    def _keep_pace(self, m, step, window_ends):
        """Whether a window may end, as far as the second stage's rate is concerned."""
        if self._pace == 1:
            return 1
        pause = Signal(range(self._pace))
        if self._config.path_registers:
            return self._know_pace(m, step & window_ends, pause)
        combines = self.fields.combine.any()
        self._pause(m, step & window_ends & combines, pause)
        return ~combines | (pause == 0)

    def _pause(self, m, begins, pause):
        with m.If(begins):
            m.d.sync += pause.eq(self._pace - 1)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)

    def _know_pace(self, m, ends, pause):
        """The same from a register; `ends`: a window does in this cycle."""
        combines, may_end = Signal(name="combines"), Signal(name="may_end", init=1)
        following = Signal(name="combines_next")
        begins = ends & combines
        self._pause(m, begins, pause)
        start = self.start
        m.d.comb += following.eq(Mux(start.ready, start.p.fields.combine.any(), combines))
        m.d.sync += [
            combines.eq(following),
            may_end.eq(~following | (~begins & (pause <= 1))),
        ]
        return may_end

    def _lead(self, m, opens, moves, taken, group_ends):
        """How many positions there are in front of the lane group's first value, and if any."""
        lead = Signal(range(LEAD + 1))
        new, fields = self.start.p.fields, self.fields
        again = Mux(opens, new.negative_scales, fields.negative_scales & ~fields.uniform)
        leads = Signal(name="is_lead") if self._config.path_registers else lead != 0
        begins = moves & (opens | group_ends)
        with m.If(begins):
            m.d.sync += lead.eq(Mux(again, LEAD, 0))
        with m.Elif(taken & (lead != 0)):
            m.d.sync += lead.eq(lead - 1)
        if self._config.path_registers:
            with m.If(begins):
                m.d.sync += leads.eq(again)
            with m.Elif(taken & leads):
                m.d.sync += leads.eq(lead != 1)
        return lead, leads

    def _walk_coordinates(self, m, opens, moves, ends):
        """y and x of the source, and of the first element of the window and of the row."""
        new, fields, here = self.start.p.fields, self.fields, self.position.p
        window_y = Signal(signed(COORDINATE_BITS), reset_less=True)
        window_x = Signal(signed(COORDINATE_BITS), reset_less=True)
        next_y = Signal(signed(COORDINATE_BITS))
        next_x = Signal(signed(COORDINATE_BITS))
        m.d.comb += [
            next_y.eq(Mux(ends["group"], fields.origin_y, window_y + fields.stride_y)),
            next_x.eq(Mux(ends["row"], fields.origin_x, window_x + fields.stride_x)),
        ]
        with m.If(moves):
            with m.If(opens):
                m.d.sync += [
                    window_y.eq(new.origin_y),
                    window_x.eq(new.origin_x),
                    here.y.eq(new.origin_y),
                    here.x.eq(new.origin_x),
                ]
            with m.Elif(ends["row"]):
                m.d.sync += [window_y.eq(next_y), here.y.eq(next_y)]
                m.d.sync += [window_x.eq(next_x), here.x.eq(next_x)]
            with m.Elif(ends["window"]):
                m.d.sync += [here.y.eq(window_y), window_x.eq(next_x), here.x.eq(next_x)]
            with m.Elif(ends["kx"]):
                m.d.sync += [here.y.eq(here.y + fields.dilation_y), here.x.eq(window_x)]
            with m.Else():
                m.d.sync += here.x.eq(here.x + fields.dilation_x)

    def _walk_blocks(self, m, opens, moves, ends):
        """Word address of the block's pixel (0, 0), and the lane group in the word."""
        new, fields, here = self.start.p.fields, self.fields, self.position.p
        config = self._config
        word_ends = here.group == Mux(
            fields.source_kind == isa.Source.ACCUMULATOR,
            config.col_groups - 1,
            config.row_groups - 1,
        )
        with m.If(moves):
            with m.If(opens):
                m.d.sync += [here.block.eq(new.source), here.group.eq(new.source_group)]
            with m.Elif(ends["group"]):
                m.d.sync += here.group.eq(Mux(word_ends, 0, here.group + 1))
                with m.If(word_ends):
                    m.d.sync += here.block.eq(here.block + fields.source_stride)

    def _mark(self, m, opens, moves, taken, ends, lead):
        """Window and parameter flags."""
        new, mark = self.start.p, self.position.p.mark
        address = Signal(address_shape(), reset_less=True)
        first_of_group = Signal(reset_less=True)
        reuses = Signal(reset_less=True)
        bank = Signal()
        registered = self._config.path_registers
        exists = address < self._config.parameter_words
        m.d.comb += [
            mark.last.eq((lead == 0) & ends["window"]),
            mark.fetch.eq(Mux(lead == 0, first_of_group & ~reuses, lead == 1)),
            mark.bank.eq(bank ^ mark.fetch),
            mark.parameter_exists.eq(exists & mark.fetch if registered else exists),
            mark.parameter_address.eq(address),
        ]
        with m.If(taken):
            m.d.sync += bank.eq(mark.bank)
            with m.If(mark.fetch):
                m.d.sync += address.eq(address + 1)
        with m.If(moves):
            m.d.sync += [
                mark.first.eq(opens | ends["window"]),
                first_of_group.eq(opens | ends["group"]),
                reuses.eq(self.fields.uniform & ~opens),
            ]
            with m.If(opens):
                m.d.sync += [
                    mark.slot.eq(new.slot),
                    address.eq(new.fields.parameters + self._config.header_words),
                ]


class WindowWalker(wiring.Component):
    """One source read a cycle: the loops, then padding test, row product and address.

    The first token is there three cycles after `start` is taken. Positions are taken until three
    wait for the reader, so that its stalls do not reach the loops within their cycle.

    Members
    -------
    start : In(stream of start_layout); see WindowLoops
    token : Out(stream of source_layout)
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(stream.Signature(start_layout(config))),
                "token": Out(stream.Signature(source_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.loops = loops = WindowLoops(config=self._config)
        m.submodules.tokens = tokens = SkidBuffer(shape=source_layout(self._config))
        wiring.connect(m, wiring.flipped(self.start), loops.start)
        wiring.connect(m, tokens.source, wiring.flipped(self.token))
        here, fields = loops.position.p, loops.fields

        valid = Signal()
        token = Signal(source_layout(self._config), reset_less=True)
        row, column = (Signal(address_shape(), name=n, reset_less=True) for n in ("row", "column"))
        inside = Signal(reset_less=True)
        m.d.comb += loops.position.ready.eq(~valid | tokens.sink.ready)
        with m.If(loops.position.ready):
            m.d.sync += valid.eq(loops.position.valid)
        with m.If(loops.position.ready & loops.position.valid):
            m.d.sync += [
                row.eq(here.y[: len(fields.height)] * fields.source_pitch),
                column.eq(here.block + here.x),
                inside.eq(
                    ~here.leads & within(here.y, fields.height) & within(here.x, fields.width)
                ),
                token.mark.eq(here.mark),
                token.kind.eq(fields.source_kind),
                token.group.eq(here.group),
            ]

        # No signal: a bit of the token that depends on others would look like a loop.
        address = (row + column)[: address_shape().width]
        exists = Signal()
        words = Mux(
            token.kind == isa.Source.ACCUMULATOR,
            self._config.accumulator_words,
            self._config.activation_words,
        )
        new = tokens.sink.p
        m.d.comb += [
            exists.eq(address < words),
            tokens.sink.valid.eq(valid),
            new.mark.eq(token.mark),
            new.kind.eq(token.kind),
            new.group.eq(token.group),
            new.address.eq(address),
            new.read.eq(inside & exists),
            new.out_of_range.eq(inside & ~exists),
        ]
        return m
