"""The matrix array: a grid of dot-product tiles with registered links and aligned borders."""

import itertools

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.matrix.tile import make_tile, sum_bits
from tilewright.hw.rtl.signals import index_bits, register
from tilewright.hw.spec.config import Config


class Array(wiring.Component):
    """rows x cols weight-stationary multipliers: one activation word in, cols sums out, a cycle.

    Activations travel right and partial sums down, one cycle a tile; the borders delay what enters
    tile row i and tile column j, and what leaves it, so that the outside sees whole words.

    Members
    -------
    activations : In(8*rows), byte i is row i, with `valid`
    swap : In(1): the loaded weights are active for the pixels from the next cycle on
    weights : In(8*cols), the weights of row `load_row`, with `load`; a load in the cycle of a swap
        belongs to the next weights
    sums : Out(sum_bits*cols), signed, with `sums_valid`: `array_latency(config)` cycles after the
        activations (hw/spec/cycles.py)

    With `instances` the tiles are instances of the module `tile_verilog(config)`.
    """

    def __init__(self, config: Config, *, instances: bool = False) -> None:
        self.config = config
        self.instances = instances
        super().__init__(
            {
                "activations": In(8 * config.rows),
                "valid": In(1),
                "swap": In(1),
                "weights": In(8 * config.cols),
                "load": In(1),
                "load_row": In(index_bits(config.rows)),
                "sums": Out(sum_bits(config) * config.cols),
                "sums_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        tile_rows = range(config.rows // config.tile_rows)
        tile_cols = range(config.cols // config.tile_cols)
        grid = [[self._add_tile(m, row, col) for col in tile_cols] for row in tile_rows]
        for row in tile_rows:
            self._feed_row(m, row, grid[row][0])
            for left, right in zip(grid[row], grid[row][1:], strict=False):
                for name in ("activations", "valid", "swap"):
                    m.d.comb += right[name].eq(left[f"{name}_right"])
        for col in tile_cols:
            self._feed_column(m, col, grid[0][col])
            for above, below in itertools.pairwise(grid):
                m.d.comb += below[col]["partial_sums"].eq(above[col]["sums"])
                for name in ("weights", "load", "load_row"):
                    m.d.comb += below[col][name].eq(above[col][f"{name}_down"])
            self._collect(m, col, grid[-1][col])
        return m

    def _add_tile(self, m, row, col):
        tile, ports = make_tile(self.config, instance=self.instances)
        m.submodules[f"tile_{row}_{col}"] = tile
        return ports

    def _feed_row(self, m, row, tile):
        """Tile row i sees its activations i cycles late."""
        width = 8 * self.config.tile_rows
        activations = self.activations[row * width : (row + 1) * width]
        name = f"row{row}"
        delayed, valid = delay(m, activations, self.valid, row, f"{name}_activations")
        swap, _ = delay(m, self.swap, None, row, f"{name}_swap")
        m.d.comb += [tile["activations"].eq(delayed), tile["valid"].eq(valid)]
        m.d.comb += tile["swap"].eq(swap)

    def _feed_column(self, m, col, tile):
        """Tile column j sees its weights j cycles late, as it sees its activations."""
        width = 8 * self.config.tile_cols
        weights = Cat(self.weights[col * width : (col + 1) * width], self.load_row)
        delayed, load = delay(m, weights, self.load, col, f"column{col}_weights")
        m.d.comb += [tile["weights"].eq(delayed[:width]), tile["load_row"].eq(delayed[width:])]
        m.d.comb += tile["load"].eq(load)

    def _collect(self, m, col, tile):
        """The left columns' sums wait for the right ones'."""
        num_tiles = self.config.cols // self.config.tile_cols
        width = sum_bits(self.config) * self.config.tile_cols
        delayed, valid = delay(
            m, tile["sums"], tile["sums_valid"], num_tiles - 1 - col, f"column{col}_sums"
        )
        m.d.comb += self.sums[col * width : (col + 1) * width].eq(delayed)
        if col == num_tiles - 1:
            m.d.comb += self.sums_valid.eq(valid)


def delay(m, value, valid, cycles, name):
    """Return (value, valid) delayed by some cycles; stages load with valid (None: always)."""
    for stage in range(cycles):
        after = register(len(value), f"{name}_{stage}") if valid is not None else Signal(len(value))
        if valid is None:
            m.d.sync += after.eq(value)
        else:
            with m.If(valid):
                m.d.sync += after.eq(value)
            valid_after = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += valid_after.eq(valid)
            valid = valid_after
        value = after
    return value, valid
