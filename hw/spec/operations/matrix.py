"""MATRIX."""

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, base, bits, count, operation
from tilewright.hw.spec.loops import Loop, Space, Walk, Walks
from tilewright.hw.spec.operations.window import Window


@operation(
    0x20, Engine.MATRIX, "multiplies an activation tile with weight tiles into the accumulators"
)
class Matrix(Window):
    """A tile of a convolution or matrix product, whole in SRAM."""

    out_blocks: int = count(10, "output blocks of cols channels (outermost loop)", unit="blocks")
    in_blocks: int = count(10, "input blocks of rows channels", unit="blocks")
    source: int = base("activation", "activation word of block 0, pixel (0, 0)", unit="words")
    source_out_stride: int = bits(
        "activation", "activation step of an output block (0: dense)", unit="words"
    )
    source_in_stride: int = bits("activation", "activation step of an input block", unit="words")
    source_pitch: int = bits("activation", "activation step of a source row", unit="words")
    weights: int = base(
        "weight", "first word of the first weight tile; the tiles follow, rows words each",
        unit="words",
    )  # fmt: skip
    destination: int = base(
        "accumulator", "accumulator word of output block 0, first pixel", unit="words"
    )
    destination_stride: int = bits(
        "accumulator", "accumulator step of an output block", unit="words"
    )
    accumulate: int = bits(1, "1: add to what the accumulators hold; 0: the first tile overwrites")

    @property
    def block_tiles(self) -> int:
        """Weight tiles of an output block."""
        return self.in_blocks * self.kernel

    @property
    def tiles(self) -> int:
        """Weight tiles, each of which meets every pixel."""
        return self.out_blocks * self.block_tiles

    def source_walk(self) -> Walk:
        """Return the reads of the activations."""
        blocks = (
            Loop(count=self.out_blocks, stride=self.source_out_stride),
            Loop(count=self.in_blocks, stride=self.source_in_stride),
        )
        return Walk(
            space=Space.ACTIVATION,
            start=self.start("source"),
            loops=(*blocks, *self.kernel_loops, *self.pixel_loops),
            window=self.frame(self.source_pitch),
        )

    def sum_walk(self) -> Walk:
        """Return the additions to the accumulators, whose latency the array sees to."""
        return Walk(
            space=Space.ACCUMULATOR,
            start=self.start("destination"),
            loops=(
                Loop(count=self.out_blocks, stride=self.destination_stride),
                Loop(count=self.block_tiles),
                Loop(count=self.pixels, stride=1),
            ),
            is_forwarded=True,
        )

    def walks(self, config: Config) -> Walks:
        words = self.tiles * config.rows
        weights = Walk(space=Space.WEIGHT, start=self.start("weights"), run=words, is_ring=True)
        sums = self.sum_walk()
        held = (sums,) if self.accumulate else ()
        return Walks(reads=(self.source_walk(), weights, *held), writes=(sums,))

    def cycles(self, config: Config) -> int:
        """Return the cycles it occupies the array for.

        The last weight tile takes at least MATRIX_SETUP_CYCLES, with path_registers one more, and
        so does an instruction with a zero count. Not counted: cycles, less than accumulate_latency,
        where an output block that accumulates starts at one of the last words of the block before.
        """
        tile = cycles.matrix_tile_cycles(0 if self.is_empty else self.pixels, config)
        first_tile = cycles.matrix_first_tile_cycles(config) + cycles.acceptance_gap(config)
        return self._earlier_tiles * tile + max(tile, first_tile)

    def latency(self, config: Config) -> int:
        pixels = 0 if self.is_empty else self.pixels
        first_tile = cycles.matrix_first_tile_cycles(config)
        earlier = self._earlier_tiles * cycles.matrix_tile_cycles(pixels, config)
        return first_tile + earlier + max(pixels, 1) + cycles.matrix_pipeline(config)

    @property
    def _earlier_tiles(self) -> int:
        return 0 if self.is_empty else self.tiles - 1
