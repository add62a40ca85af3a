"""VECTOR."""

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import (
    Combine,
    Engine,
    Reduction,
    Source,
    base,
    bits,
    count,
    operation,
)
from tilewright.hw.spec.loops import Loop, Space, Walk, Walks
from tilewright.hw.spec.operations.window import Window
from tilewright.support.records import record


@operation(
    0x30, Engine.VECTOR, "requantizes, pools, combines or copies lane groups into activation SRAM"
)
class Vector(Window):
    """Windows of accumulators or activations through the lanes."""

    groups: int = count(12, "lane groups (outermost loop)", unit="lane groups")
    source_kind: Source = bits(1, "SRAM that stage 1 reads", values=Source)
    reduction: Reduction = bits(1, "how a window is reduced", values=Reduction)
    combine: Combine = bits(2, "stage 2", values=Combine)
    use_table: int = bits(1, "1: stage 1's result goes through the table")
    uniform: int = bits(1, "1: every lane group uses the first group's parameters")
    source: int = base("source", "word of block 0, pixel 0", unit="words")
    source_stride: int = bits("source", "step of a block", unit="words")
    source_pitch: int = bits("source", "step of a row", unit="words")
    source_group: int = bits(
        7, "lane group of the first word at which the source starts", unit="lane groups"
    )
    operand: int = base("activation", "stage 2: activation word of block 0, pixel 0", unit="words")
    operand_stride: int = bits("activation", "step of a block", unit="words")
    operand_pitch: int = bits("activation", "step of a row", unit="words")
    operand_group: int = bits(7, "lane group at which the operand starts", unit="lane groups")
    destination: int = base("activation", "activation word of block 0, pixel 0", unit="words")
    destination_stride: int = bits("activation", "step of a block", unit="words")
    destination_pitch: int = bits("activation", "step of a row", unit="words")
    destination_group: int = bits(
        7, "lane group at which the destination starts", unit="lane groups"
    )
    parameters: int = base(
        "parameter", "parameter word of the header; the groups' words follow it", unit="words"
    )
    table: int = base("parameter", "first parameter word of the 256-byte table", unit="words")
    negative_scales: int = bits(
        1, "1: sums below 0 take scales of their own, a word in front of each lane group's"
    )
    unrounded: int = bits(
        1, "1: stage 2 takes stage 1's product, before rounding, in place of first_ratio"
    )

    @property
    def source_space(self) -> Space:
        """The SRAM that stage 1 reads."""
        return Space[self.source_kind.name]

    def source_groups(self, config: Config) -> int:
        """Return the lane groups of a source word."""
        in_sums = self.source_kind == Source.ACCUMULATOR
        return config.col_groups if in_sums else config.row_groups

    def source_walk(self, config: Config) -> Walk:
        """Return the reads of stage 1; the window's loops belong to one step."""
        every = self.source_groups(config)
        return Walk(
            space=self.source_space,
            start=self.start("source"),
            loops=(
                self._group_loop(self.source_stride, self.source_group, every),
                *self.pixel_loops,
                *self.kernel_loops,
            ),
            window=self.frame(self.source_pitch),
            inner=2,
        )

    def operand_walk(self, config: Config) -> Walk:
        """Return the reads of stage 2."""
        stride, group = self.operand_stride, self.operand_group
        return self._pixel_walk("operand", stride, self.operand_pitch, group, config)

    def destination_walk(self, config: Config) -> Walk:
        """Return the writes."""
        stride, group = self.destination_stride, self.destination_group
        return self._pixel_walk("destination", stride, self.destination_pitch, group, config)

    def _pixel_walk(self, base: str, stride: int, pitch: int, group: int, config: Config) -> Walk:
        loops = (
            self._group_loop(stride, group, config.row_groups),
            Loop(count=self.out_height, stride=pitch),
            Loop(count=self.out_width, stride=1),
        )
        return Walk(space=Space.ACTIVATION, start=self.start(base), loops=loops)

    def _group_loop(self, stride: int, first: int, every: int) -> Loop:
        return Loop(count=self.groups, stride=stride, first=first, every=every)

    def parameter_words(self, config: Config) -> int:
        """Return the words of its parameter block: header and lane groups."""
        words = 2 if self.negative_scales else 1
        return config.header_words + words * (1 if self.uniform else self.groups)

    def walks(self, config: Config) -> Walks:
        block = self._parameter_walk("parameters", self.parameter_words(config))
        reads = [self.source_walk(config), block]
        if self.use_table:
            reads.append(self._parameter_walk("table", config.table_words))
        if self.combine != Combine.NONE:
            reads.append(self.operand_walk(config))
        writes = (self.destination_walk(config),)
        return Walks(reads=tuple(reads), writes=writes, has_bad_group=self.has_bad_group(config))

    def _parameter_walk(self, base: str, words: int) -> Walk:
        return Walk(space=Space.PARAMETER, start=self.start(base), run=words)

    def has_bad_group(self, config: Config) -> bool:
        """Tell whether it starts at a lane group that its words do not have."""
        return (
            self.source_group >= self.source_groups(config)
            or self.destination_group >= config.row_groups
            or (self.combine != Combine.NONE and self.operand_group >= config.row_groups)
        )

    def setup_cycles(self, config: Config) -> int:
        """Return the cycles from its offer to an idle engine to its acceptance: header and table.

        They pass while earlier instructions run: instruction n + 2 is prepared from the cycle after
        the retirement of instruction n on.
        """
        return cycles.vector_look(config) + self.prefetch_cycles(config)

    def prefetch_cycles(self, config: Config) -> int:
        """Return the cycles in which its header and table are read."""
        if self.is_empty:
            return 0
        return config.header_words + cycles.TABLE_CYCLES * self.use_table

    def cycles(self, config: Config) -> int:
        """Return the cycles between its acceptance and its successor's, if that is prepared.

        One source read a cycle; with a second stage lanes/operand_lanes cycles a pixel at least (of
        the last pixel's, what the window leaves is for a successor that has no second stage).
        Groups with parameters of their own that take less than GROUP_PAIR_CYCLES wait for the
        scale registers, and those whose sums below 0 have scales of their own start with
        NEGATIVE_SCALE_CYCLES. An instruction without second stage behind one with it finds the
        result register free only when that one has retired.
        """
        if self.is_empty:
            return 1
        gap = cycles.acceptance_gap(config)
        if self.lead:
            last = self.pixels * self._interval(config)
            return self.lead + self._group_start(self.groups - 1, config) + last + gap
        return self._group_start(self.groups, config) + gap

    def latency(self, config: Config) -> int:
        if self.is_empty:
            return cycles.EMPTY_VECTOR_LATENCY
        issue = self.read_cycles(config)
        if self.combine:
            issue += cycles.combine_pipeline(config) + config.lanes // config.operand_lanes
        return issue + cycles.vector_pipeline(config)

    def read_cycles(self, config: Config) -> int:
        """Return the cycles from its first source read to behind its last one; it is not empty."""
        earlier = self.lead + self._group_start(self.groups - 1, config)
        return earlier + (self.pixels - 1) * self._interval(config) + self.kernel

    @property
    def lead(self) -> int:
        """Cycles in front of a lane group's first read that has parameters of its own."""
        return cycles.NEGATIVE_SCALE_CYCLES * self.negative_scales

    def _interval(self, config: Config) -> int:
        return cycles.vector_pixel_cycles(self.kernel, bool(self.combine), config)

    def _group_start(self, group: int, config: Config) -> int:
        """Return the cycles from the start of the first lane group to that of number `group`."""
        interval = self._interval(config)
        each = self.pixels * interval
        if self.lead and not self.uniform:
            return group * (each + max(self.lead + self.kernel - interval, 0))
        if self.uniform or each >= cycles.GROUP_PAIR_CYCLES:
            return group * each
        return group // 2 * (each + cycles.GROUP_PAIR_CYCLES) + group % 2 * each


@record(frozen=True, kw_only=True)
class HeaderField:
    """One field of the 32-byte parameter header (little endian) of a VECTOR instruction."""

    name: str
    offset: int
    format: str
    """A struct format character: 'b' int8, 'f' binary32."""
    meaning: str


PARAMETER_HEADER_BYTES = 32
PARAMETER_HEADER: tuple[HeaderField, ...] = (
    HeaderField(name="zero_point", offset=0, format="b", meaning="stage 1: added after rounding"),
    HeaderField(name="low", offset=1, format="b", meaning="stage 1: lower clamp"),
    HeaderField(name="high", offset=2, format="b", meaning="stage 1: upper clamp"),
    HeaderField(name="first_zero_point", offset=4, format="b",
                meaning="stage 2: zero point of stage 1's result (behind the table)"),
    HeaderField(name="second_zero_point", offset=5, format="b",
                meaning="stage 2: zero point of the operand"),
    HeaderField(name="combine_zero_point", offset=6, format="b",
                meaning="stage 2: zero point of the result"),
    HeaderField(name="combine_low", offset=7, format="b", meaning="stage 2: lower clamp"),
    HeaderField(name="combine_high", offset=8, format="b", meaning="stage 2: upper clamp"),
    HeaderField(name="first_ratio", offset=12, format="f",
                meaning="stage 2: r1 of add, s of multiply"),
    HeaderField(name="second_ratio", offset=16, format="f", meaning="stage 2: r2 of add"),
)  # fmt: skip
