"""Address generator of an output buffer or a second operand: lane group, row, pixel."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import address_shape, bits
from tilewright.hw.rtl.signals import count_down, index_bits
from tilewright.hw.rtl.vector.layouts import job_layout
from tilewright.hw.spec.config import Config


def position_layout(config: Config) -> data.StructLayout:
    """A position of a walk: activation word (modulo 2^20) and lane group in it.

    exists: the word does; last: nothing follows it; slot, combine, empty: the job's.
    """
    return data.StructLayout(
        {
            "address": address_shape(),
            "exists": 1,
            "group": index_bits(config.row_groups),
            "last": 1,
            "slot": 1,
            "combine": 1,
            "empty": 1,
        }
    )


class Walker(wiring.Component):
    """Walks `for group: for y: for x` over the feature map of a job, one position a step.

    What follows a position is a register before it is known whether the walk moves, so that
    `moves`, which may come late in a cycle, decides one register alone.

    Members
    -------
    job : In(stream of job_layout); taken in cycle t, its first position is there in t+1
    moves : In(1); the next cycle has the next position, or the next job's; not without a position
    active : Out(1), there is a position
    position : Out(position_layout); an empty job has one, the last
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "moves": In(1),
                "active": Out(1),
                "position": Out(position_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        same, ahead = (
            Signal.like(self.position, name=n, reset_less=True) for n in ("same", "ahead")
        )
        was_active, follows, moved = bits("was_active", "follows", "moved")
        last, exists = self._look_ahead(m, ahead, moved)
        m.d.comb += [
            self.active.eq(Mux(moved, follows, was_active)),
            self.position.eq(Mux(moved, ahead, same)),
            self.position.last.eq(Mux(moved, last, same.last)),
            self.position.exists.eq(Mux(moved, exists, same.exists)),
            self.job.ready.eq(~self.active | (self.moves & self.position.last)),
        ]
        m.d.sync += [
            moved.eq(self.moves | ~self.active),
            was_active.eq(self.active),
            same.eq(self.position),
        ]
        with m.If(~self.active | self.position.last):
            m.d.sync += follows.eq(self.job.valid)
        with m.Elif(moved):
            m.d.sync += follows.eq(1)
        return m

    def _look_ahead(self, m, ahead, moved):
        """Keep `ahead` what follows the position, where the walk ends the offered job's first one.

        Return whether it is its walk's last and whether its word exists.
        """
        job, is_word_end = self.job.p, ahead.group == self._config.row_groups - 1
        walk = Signal.like(job.walk, reset_less=True)
        row, block = (Signal(address_shape(), name=n, reset_less=True) for n in ("row", "block"))
        starts = Signal()
        row_ends, is_last_row, is_last_group = self._count(m, starts, moved, walk)
        block_ends = row_ends & is_last_row
        next_row, next_block = Signal.like(row), Signal.like(block)
        m.d.comb += [
            next_block.eq(block + Mux(is_word_end, walk.stride, 0)),
            next_row.eq(Mux(is_last_row, next_block, row + walk.pitch)),
            starts.eq(~self.active | self.position.last),
        ]
        following = Mux(row_ends, next_row, ahead.address + 1)
        with m.If(starts):
            m.d.sync += [
                walk.eq(job.walk),
                row.eq(job.walk.base),
                block.eq(job.walk.base),
                ahead.address.eq(job.walk.base),
                ahead.group.eq(job.walk.group),
                *(ahead[name].eq(job[name]) for name in ("slot", "combine", "empty")),
            ]
        with m.Elif(moved):
            m.d.sync += ahead.address.eq(following)
            with m.If(row_ends):
                m.d.sync += row.eq(next_row)
            with m.If(block_ends):
                m.d.sync += [
                    block.eq(next_block),
                    ahead.group.eq(Mux(is_word_end, 0, ahead.group + 1)),
                ]
        exists = ahead.address < self._config.activation_words
        return ahead.empty | (block_ends & is_last_group), exists

    def _count(self, m, starts, moved, walk):
        """Whether `ahead` is the last of its row, in the last row, in the last group."""
        new = self.job.p.walk
        _, row_ends = count_down(
            m, new.out_width, name="pixels", start=starts, step=moved, again=walk.out_width
        )
        _, is_last_row = count_down(
            m, new.out_height, name="rows", start=starts, step=moved & row_ends,
            again=walk.out_height,
        )  # fmt: skip
        block_ends = row_ends & is_last_row
        _, is_last_group = count_down(
            m, new.groups, name="groups", start=starts, step=moved & block_ends
        )
        return row_ends, is_last_row, is_last_group
