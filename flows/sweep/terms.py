"""What an accelerator's hardware grows with: terms of a config, of which fits take some."""

import math
from collections.abc import Mapping

from tilewright.hw.spec.config import Config, next_power_of_two
from tilewright.hw.spec.loops import Space, bank_words, num_words, word_bytes

BLOCK_RAM_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Words and bits of an ECP5's block RAM."""
SRAMS = tuple(space for space in Space if space != Space.DRAM)


def terms_of(config: Config) -> Mapping[str, float]:
    """Return the terms of a config by name, those of large parts first."""
    rows, cols, lanes = config.rows, config.cols, config.lanes
    tiles = (rows // config.tile_rows) * (cols // config.tile_cols)
    tree_levels = math.ceil(math.log2(config.tile_rows)) if config.tile_rows > 1 else 0
    has_depthwise = float(config.depthwise_taps > 0)
    return {
        "rows*cols": rows * cols,
        "cols": cols,
        "rows": rows,
        "lanes": lanes,
        "operand_lanes": config.operand_lanes,
        "block_ram": block_ram(config),
        "longer side": max(rows, cols),
        "tiles": tiles,
        "tile_rows*tiles": config.tile_rows * tiles,
        "tile_cols*tiles": config.tile_cols * tiles,
        "tree registers": rows * cols / 2**config.tree_register_levels,
        "tree stages*cols": cols * (tree_levels // config.tree_register_levels),
        "tree levels": tree_levels,
        "rows*depthwise_taps": rows * config.depthwise_taps,
        "depthwise": has_depthwise,
        "cols*depthwise": cols * has_depthwise,
        "lanes*multiplier_bits": lanes * config.multiplier_bits,
        "lanes/multiplier_bits": lanes / config.multiplier_bits,
        "rows*cols of digits": rows * cols * config.recodes,
        "lanes of digits": lanes * config.recodes,
        "row groups": config.row_groups,
        "column groups": config.col_groups,
        "one row group": float(config.row_groups == 1),
        "one column group": float(config.col_groups == 1),
        "lanes a result": lanes / config.operand_lanes,
        "activation_banks": config.activation_banks,
        "accumulator_banks": config.accumulator_banks,
        "rows*activation_banks": rows * config.activation_banks,
        "cols*accumulator_banks": cols * config.accumulator_banks,
        **_terms_of_memory(config),
        "queue_depth": config.queue_depth,
        "fetch_ahead": config.fetch_ahead,
        "counters": config.counters,
        "path_registers": config.path_registers,
        "wire_registers": config.wire_registers,
    }


def _terms_of_memory(config: Config) -> Mapping[str, float]:
    """Return what ways to and from the SRAMs and DRAM grow with."""
    bus_bytes = config.axi_bytes
    return {
        "address bits": sum(math.log2(num_words(space, config)) for space in SRAMS),
        "activation pitch": config.activation_pitch,
        "weight pitch": config.weight_pitch,
        "accumulator pitch": next_power_of_two(config.cols),
        "parameter pitch": config.parameter_pitch,
        "axi_data_bits": config.axi_data_bits,
        "bus shifter": bus_bytes * math.log2(bus_bytes),
        "bus*words": bus_bytes * sum(math.log2(word_bytes(space, config)) for space in SRAMS),
        "axi_address_bits": config.axi_address_bits,
        "axi_outstanding": config.axi_outstanding,
    }


def block_ram(config: Config) -> int:
    """Return how many block RAMs of an ECP5 the SRAM banks take."""
    total = 0
    for space in SRAMS:
        words = bank_words(space, config)
        bits = 8 * word_bytes(space, config)
        banks = num_words(space, config) // words
        total += banks * min(
            math.ceil(words / deep) * math.ceil(bits / wide) for deep, wide in BLOCK_RAM_SHAPES
        )
    return total
