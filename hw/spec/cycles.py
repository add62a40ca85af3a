"""Cycle formulas: what the RTL takes, exactly; the timing model and the compiler's search use them.

One section an engine. Every constant is a property of the RTL and pinned by a test there.
"""

from collections.abc import Mapping

from tilewright.hw.spec.config import Config

ACCUMULATE_LATENCY = 3
"""L: cycles from the read of an accumulator word until the sum can be read again."""
MATRIX_SETUP_CYCLES = 8
"""Cycles in which an instruction's row products form, while its first weight tile loads."""
MATRIX_ISSUE_CYCLES = 4
"""Cycles of a pixel outside the array: three in front of it, one for the accumulation."""


def tree_stages(config: Config) -> int:
    """Registers behind the products of a tile: its adder tree and the sum with the tile above."""
    levels = (config.tile_rows - 1).bit_length() + (config.rows > config.tile_rows)
    return -(-levels // config.tree_register_levels)


def array_latency(config: Config) -> int:
    """Cycles from an activation word at the array's input to its sums at the output."""
    links = config.rows // config.tile_rows - 1 + config.cols // config.tile_cols - 1
    return 1 + tree_stages(config) + links


def matrix_tile_cycles(pixels: int, config: Config) -> int:
    """Cycles one weight tile occupies the array for."""
    return max(pixels, config.rows, ACCUMULATE_LATENCY)


def matrix_cycles(fields: Mapping[str, int], config: Config) -> int:
    """Cycles a MATRIX instruction occupies the array for.

    Back-to-back instructions take the sum of these. The last weight tile takes at least
    MATRIX_SETUP_CYCLES, and so does an instruction with a zero count. Not counted: one or two
    cycles where an output block that accumulates starts at the last or last but one word of the
    block before it.
    """
    pixels, tiles = _matrix_counts(fields)
    tile_cycles = matrix_tile_cycles(pixels, config)
    return (max(tiles, 1) - 1) * tile_cycles + max(tile_cycles, MATRIX_SETUP_CYCLES)


def matrix_latency(fields: Mapping[str, int], config: Config) -> int:
    """Cycles from the acceptance of a lone MATRIX instruction to its retirement."""
    pixels, tiles = _matrix_counts(fields)
    first_tile = max(config.rows, ACCUMULATE_LATENCY, MATRIX_SETUP_CYCLES)
    earlier_tiles = (max(tiles, 1) - 1) * matrix_tile_cycles(pixels, config)
    pipeline = MATRIX_ISSUE_CYCLES + array_latency(config)
    return first_tile + earlier_tiles + max(pixels, 1) + pipeline


def _matrix_counts(fields: Mapping[str, int]) -> tuple[int, int]:
    """Return the pixels of a weight tile and the weight tiles; both 0 if either is."""
    pixels = fields["out_height"] * fields["out_width"]
    tiles = fields["out_blocks"] * fields["in_blocks"]
    tiles *= fields["kernel_height"] * fields["kernel_width"]
    return (pixels, tiles) if pixels and tiles else (0, 0)
