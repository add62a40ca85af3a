"""One dot-product tile of the array: a block of processing elements with an adder tree a column.

The tile is the array's repeated part: every tile of a config is the same module, which
`tile_verilog` gives once, under the name `TILE_MODULE`.
"""

import itertools
from collections.abc import Mapping

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Const, Instance, Module, ResetSignal, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from tilewright.hw.rtl.product import Addends, recode
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import tree_stages

TILE_MODULE = "tilewright_tile"
OFFSET = Const(-0x8000, signed(16))
FIRST_ADDERS = 6
"""Levels of adders in front of the first register, where a product of digits is begun."""
ADDERS_A_LEVEL = 3
"""What stands between registers in place of a level of the tree, whose carries run."""


def sum_bits(config: Config) -> int:
    """Bits of a column's sum over all rows: 16-bit products, one bit a doubling."""
    return 16 + (config.rows - 1).bit_length()


def tile_members(config: Config) -> Mapping[str, Member]:
    """Return the ports of a tile. All are plain bit vectors, so that an Instance matches."""
    members = {
        "activations": In(8 * config.tile_rows),
        "valid": In(1),
        "swap": In(1),
        "weights": In(8 * config.tile_cols),
        "load": In(1),
        "load_row": In(index_bits(config.rows)),
        "sums": Out(sum_bits(config) * config.tile_cols),
        "sums_valid": Out(1),
    }
    if config.cols > config.tile_cols:
        members |= {
            "activations_right": Out(8 * config.tile_rows),
            "valid_right": Out(1),
            "swap_right": Out(1),
        }
    if config.rows > config.tile_rows:
        members |= {
            "partial_sums": In(sum_bits(config) * config.tile_cols),
            "weights_down": Out(8 * config.tile_cols),
            "load_down": Out(1),
            "load_row_down": Out(index_bits(config.rows)),
        }
    return members


class Tile(wiring.Component):
    """tile_rows x tile_cols weight-stationary multipliers, summed down each column.

    Cycle t: `activations` with `valid` multiply with the active weights; their sums, plus
    `partial_sums` of cycle t+n-1, are at `sums` with `sums_valid` in cycle t+n,
    n = 1 + tree_stages. A pixel a cycle. Products and sums load in every cycle: their input stands
    still without a pixel, and an enable costs as much as half a flip-flop.

    `load` writes `weights` into the shadow row `load_row` (rows beyond the tile are ignored);
    `swap` makes the shadow weights active for the pixels from the next cycle on. A load in the
    cycle of a swap belongs to the weights after the swap.

    The `_right` ports repeat activations, valid and swap one cycle later; the `_down` ports
    repeat the weight row with its number less tile_rows. They and `partial_sums` exist only where
    the array has more than one tile in that direction.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(dict(tile_members(config)))

    def elaborate(self, platform):
        m = Module()
        self._forward(m)
        weights = self._hold_weights(m)
        self._pass_valid(m)
        if self.config.recodes:
            self._add_digits(m, weights)
        else:
            self._sum(m, self._multiply(m, weights))
        return m

    def _forward(self, m):
        """The registered links to the tiles on the right and below."""
        config = self.config
        if config.cols > config.tile_cols:
            m.d.sync += [self.valid_right.eq(self.valid), self.swap_right.eq(self.swap)]
            with m.If(self.valid):
                m.d.sync += self.activations_right.eq(self.activations)
        if config.rows > config.tile_rows:
            m.d.sync += self.load_down.eq(self.load)
            with m.If(self.load):
                m.d.sync += [
                    self.weights_down.eq(self.weights),
                    self.load_row_down.eq(self.load_row - config.tile_rows),
                ]

    def _hold_weights(self, m):
        """Shadow and active weights; return the active ones by row and column."""
        rows = []
        for row in range(self.config.tile_rows):
            cols = range(self.config.tile_cols)
            shadow = [register(signed(8), f"shadow_{row}_{col}") for col in cols]
            active = [register(signed(8), f"active_{row}_{col}") for col in cols]
            with m.If(self.load & (self.load_row == Const(row, len(self.load_row)))):
                m.d.sync += [s.eq(self.weights.word_select(c, 8)) for c, s in enumerate(shadow)]
            with m.If(self.swap):
                m.d.sync += [a.eq(s) for a, s in zip(active, shadow, strict=True)]
            rows.append(active)
        return rows

    def _pass_valid(self, m):
        """Whether a pixel's sums are there, a register a stage."""
        valids = [Signal(name=f"valid_{stage}") for stage in range(tree_stages(self.config) + 1)]
        m.d.sync += valids[0].eq(self.valid)
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(valids)]
        m.d.comb += self.sums_valid.eq(valids[-1])

    def _add_digits(self, m, weights):
        """Each column's sum of weights times digits of the activations, in carry-save form.

        As many registers as around multipliers: behind the first adders of the addends, where a
        product would be, and where a tree has them.
        """
        config = self.config
        width = sum_bits(config)
        stages = tree_stages(config)
        digits = []
        for row in range(config.tile_rows):
            recoded = recode(self.activations.word_select(row, 8))
            digits.append(Signal(len(recoded), name=f"digits_{row}"))
            m.d.comb += digits[row].eq(recoded)
        for col in range(config.tile_cols):
            addends = Addends(m, f"column_{col}", width)
            for row, active in enumerate(weights):
                addends.multiply(active[col], digits[row])
            addends.compress(FIRST_ADDERS)
            for stage in range(stages):
                addends.load(f"sum_{col}_{stage}")
                addends.compress(ADDERS_A_LEVEL * config.tree_register_levels)
            others = [Const(-addends.excess)]
            if config.rows > config.tile_rows:
                others.append(self.partial_sums.word_select(col, width))
            total = register(width, f"sum_{col}_{stages}")
            m.d.sync += total.eq(addends.total(*others))
            m.d.comb += self.sums.word_select(col, width).eq(total)

    def _multiply(self, m, weights):
        """Registered products by column and row, in offset binary: nothing to extend in the tree.

        An inverted sign bit is an added 2^15. With path_registers it is inverted behind the
        register, which leaves nothing between the multiplier and that.
        """
        inverts_behind = self.config.path_registers
        products = [[] for _ in range(self.config.tile_cols)]
        for row, active in enumerate(weights):
            activation = self.activations.word_select(row, 8).as_signed()
            for col, weight in enumerate(active):
                product = register(16, f"product_{row}_{col}")
                if inverts_behind:
                    m.d.sync += product.eq(activation * weight)
                    products[col].append((product.as_signed() ^ OFFSET).as_unsigned())
                else:
                    m.d.sync += product.eq((activation * weight) ^ OFFSET)
                    products[col].append(product)
        return products

    def _sum(self, m, products):
        """Adder trees, registered every tree_register_levels levels and at the end."""
        config = self.config
        width = sum_bits(config)
        chained = config.rows > config.tile_rows
        stages = tree_stages(config)
        for col, terms in enumerate(products):
            for stage in range(stages):
                for _ in range(config.tree_register_levels):
                    terms = _add_pairs(terms)
                last = stage == stages - 1
                if last:
                    terms = [_remove_offsets(terms[0], config.tile_rows)]
                if last and chained:
                    above = self.partial_sums.word_select(col, width).as_signed()
                    terms = [terms[0] + above]
                shape = signed(width) if last else None
                terms = _register_terms(m, terms, shape, f"sum_{col}_{stage}")
            if stages == 0:
                terms = [_remove_offsets(terms[0], 1)]
            assert len(terms) == 1
            m.d.comb += self.sums.word_select(col, width).eq(terms[0])


def _add_pairs(terms):
    """One tree level; an odd term passes."""
    sums = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
    return sums + terms[len(terms) // 2 * 2 :]


def _remove_offsets(total, count):
    """Return a sum of `count` offset products as a signed number."""
    bits = 16 + (count - 1).bit_length()
    if count & (count - 1) == 0:
        return (total ^ Const(1 << (bits - 1), bits)).as_signed()
    return (total - (count << 15))[:bits].as_signed()


def _register_terms(m, terms, shape, name):
    registers = [
        register(shape or term.shape(), f"{name}_{index}") for index, term in enumerate(terms)
    ]
    m.d.sync += [r.eq(term) for r, term in zip(registers, terms, strict=True)]
    return registers


def make_tile(config: Config, *, instance: bool) -> tuple[object, Mapping[str, object]]:
    """Return a tile for `m.submodules` and its ports by name.

    With `instance` it is an Instance of TILE_MODULE for Verilog emission, otherwise a Tile.
    """
    members = tile_members(config)
    if not instance:
        tile = Tile(config)
        return tile, {name: getattr(tile, name) for name in members}
    ports = {name: Signal(member.shape, name=name) for name, member in members.items()}
    directions = {name: "i" if member.flow is In else "o" for name, member in members.items()}
    connections = {f"{directions[name]}_{name}": port for name, port in ports.items()}
    tile = Instance(TILE_MODULE, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections)
    return tile, ports


def tile_verilog(config: Config) -> str:
    """Return the Verilog of the module TILE_MODULE for this config."""
    return verilog.convert(
        Tile(config), name=TILE_MODULE, emit_src=False, strip_internal_attrs=True
    )
