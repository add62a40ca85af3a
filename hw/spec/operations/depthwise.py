"""DEPTHWISE."""

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction, base, bits, count, like, operation
from tilewright.hw.spec.loops import Axis, Loop, Space, Walk, Walks
from tilewright.hw.spec.operations.matrix import Matrix


@operation(
    0x28, Engine.DEPTHWISE, "convolves every channel with weights of its own into the accumulators"
)
class Depthwise(Instruction):
    """A tile of a depthwise convolution, whole in SRAM."""

    kernel_height: int = count(2, "window rows (innermost loop), at most 3", unit="pixels")
    kernel_width: int = count(
        "taps", "window columns, adjacent ones, at most depthwise_taps", unit="pixels"
    )
    out_height: int = like(Matrix, "out_height")
    out_width: int = like(Matrix, "out_width")
    stride_y: int = like(Matrix, "stride_y")
    stride_x: int = like(Matrix, "stride_x")
    dilation_y: int = like(Matrix, "dilation_y")
    origin_y: int = like(Matrix, "origin_y")
    origin_x: int = like(Matrix, "origin_x")
    height: int = like(Matrix, "height")
    width: int = like(Matrix, "width")
    padding: int = like(Matrix, "padding")
    blocks: int = count(10, "blocks of rows channels (outermost loop)", unit="blocks")
    source: int = like(Matrix, "source")
    source_stride: int = bits("activation", "activation step of a block", unit="words")
    source_pitch: int = like(Matrix, "source_pitch")
    weights: int = base(
        "parameter", "parameter word of the first block's weights; the blocks' follow it",
        unit="words",
    )  # fmt: skip
    destination: int = base("accumulator", "accumulator word of block 0, first pixel", unit="words")
    destination_stride: int = bits("accumulator", "accumulator step of a block", unit="words")
    accumulate: int = bits(1, "1: add to what the accumulators hold; 0: overwrite")

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.out_height * self.out_width

    @property
    def step(self) -> int:
        """Source columns from output to output: a stride of 0 is one of 1."""
        return max(self.stride_x, 1)

    @property
    def positions(self) -> int:
        """Source columns that are visited for a row of outputs, one after the other."""
        return (self.out_width - 1) * self.step + self.kernel_width

    @property
    def block_words(self) -> int:
        """Steps of a block: an activation word or padding each."""
        return self.out_height * self.positions * self.kernel_height

    def source_walk(self) -> Walk:
        """Return the reads of the activations."""
        return Walk(
            space=Space.ACTIVATION,
            start=self.start("source"),
            loops=(
                Loop(count=self.blocks, stride=self.source_stride),
                Loop(count=self.out_height, stride=self.stride_y, along="y"),
                Loop(count=self.positions, stride=1, along="x"),
                Loop(count=self.kernel_height, stride=self.dilation_y, along="y"),
            ),
            window=(
                Axis(name="y", origin=self.origin_y, size=self.height, pitch=self.source_pitch),
                Axis(name="x", origin=self.origin_x, size=self.width, pitch=1),
            ),
        )

    def sum_walk(self) -> Walk:
        """Return the writes of the accumulators, and their reads where they accumulate."""
        return Walk(
            space=Space.ACCUMULATOR,
            start=self.start("destination"),
            loops=(
                Loop(count=self.blocks, stride=self.destination_stride),
                Loop(count=self.pixels, stride=1),
            ),
        )

    def walks(self, config: Config) -> Walks:
        words = self.blocks * config.depthwise_words
        weights = Walk(space=Space.PARAMETER, start=self.start("weights"), run=words)
        sums = self.sum_walk()
        held = (sums,) if self.accumulate else ()
        return Walks(reads=(self.source_walk(), weights, *held), writes=(sums,))

    def block_cycles(self, config: Config) -> int:
        """Return the cycles from a block's first word to that of the next block or instruction."""
        return cycles.depthwise_block_cycles(self.block_words, config)

    def cycles(self, config: Config) -> int:
        """Return the cycles it has the loops for; 1 and the gap if it is empty."""
        if self.is_empty:
            return 1 + cycles.acceptance_gap(config)
        return self.blocks * self.block_cycles(config)

    def latency(self, config: Config) -> int:
        if self.is_empty:
            return 1 + cycles.depthwise_pipeline(config)
        earlier = (self.blocks - 1) * self.block_cycles(config)
        offered = cycles.depthwise_offer_cycles(config) - cycles.depthwise_look(config)
        weights = offered + config.depthwise_words
        return weights + earlier + self.block_words - 1 + cycles.depthwise_pipeline(config)
