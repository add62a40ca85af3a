"""What a tiling of a convolution makes the array, the bus and the vector unit do."""

from collections import Counter
from collections.abc import Sequence

from tilewright.compiler.plan.boxes import reach, split
from tilewright.compiler.plan.conv_shape import BlockGroup, ConvShape
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import matrix_tile_cycles, word_cycles
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class TileSums:
    """What the search needs of all tiles of one size: a map cut into rows x columns of tiles."""

    count: int
    array_cycles: int
    """Cycles of one weight tile over all tiles."""
    source: int
    """Source pixels, halos counted with each tile."""
    first_source: int
    largest_source: int
    last_pixels: int


def tile_sums(shape: ConvShape, tile_height: int, tile_width: int) -> TileSums:
    """Return the sums; a tile's source is the product of its rows' and its columns' reach."""
    rows = split(shape.out_height, tile_height)
    columns = split(shape.out_width, tile_width)
    heights = [_reach(shape, 0, part, shape.in_height) for part in rows]
    widths = [_reach(shape, 1, part, shape.in_width) for part in columns]
    sizes_y = Counter(behind - first for first, behind in rows)
    sizes_x = Counter(behind - first for first, behind in columns)
    return TileSums(
        count=len(rows) * len(columns),
        array_cycles=sum(
            matrix_tile_cycles(y * x, shape.config) * count_y * count_x
            for y, count_y in sizes_y.items()
            for x, count_x in sizes_x.items()
        ),
        source=sum(heights) * sum(widths),
        first_source=heights[0] * widths[0],
        largest_source=max(heights) * max(widths),
        last_pixels=(rows[-1][1] - rows[-1][0]) * (columns[-1][1] - columns[-1][0]),
    )


def _reach(shape: ConvShape, axis: int, outputs: tuple[int, int], size: int) -> int:
    """Source rows (axis 0) or columns (axis 1) inside the map that a range of outputs touches."""
    first, behind = reach(
        outputs,
        shape.kernel[axis],
        shape.strides[axis],
        shape.pads[axis],
        shape.dilations[axis],
        size,
    )
    return behind - first


def weight_tile_beats(config: Config) -> int:
    """Beats of a weight tile: rows words."""
    return config.rows * word_cycles(config.weight_pitch, config)


def weight_passes(shape: ConvShape, tiles: TileSums, num_groups: int, pixels_outer: bool) -> int:
    """How often all weights are loaded: for each tile, or once where they stay as long as they are
    used: all of them, or with block groups outermost those of a group."""
    words, room = shape.weight_tiles * shape.config.rows, shape.config.weight_words
    stays = not pixels_outer and words // num_groups <= room // 2
    return 1 if words <= room or stays else tiles.count


def input_blocks(
    shape: ConvShape, tiles: TileSums, groups: Sequence[BlockGroup], chunk: int, pixels_outer: bool
) -> int:
    """Input blocks loaded for a tile, summed over the groups; `chunk` are held at a time."""
    if chunk == shape.in_blocks and (pixels_outer or tiles.count == 1):
        return shape.in_blocks
    return sum(group.reach for group in groups)


def drain_cycles(shape: ConvShape, pixel_cycles: int) -> int:
    """Cycles in which the vector unit finishes all results; pixel_cycles: of a lane group's."""
    groups = -(-shape.out_channels // shape.config.lanes)
    return groups * shape.out_pixels * pixel_cycles
