"""DRAM layouts against the sentence in docs/architecture.md, byte by byte."""

import numpy as np
import pytest

from tilewright.hw.spec import layout
from tilewright.hw.spec.config import Config

CONFIGS = {
    "3x5": Config(rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=8, weight_kib=2,
                  accumulator_kib=4),
    "12x20": Config(rows=12, cols=20, lanes=4, operand_lanes=2),
    "base": Config.load("base"),
}  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_weight_tiles_lie_where_documented(config: Config) -> None:
    rng = np.random.default_rng(2)
    tiles = rng.integers(-128, 128, (3, config.rows, config.cols)).astype(np.int8)
    data = layout.pack_weight_tiles(tiles, config)
    pitch = config.weight_pitch
    assert len(data) == 3 * config.rows * pitch
    for tile in range(3):
        for row in range(config.rows):
            word = data[(tile * config.rows + row) * pitch :][:pitch]
            expected = [int(value) & 0xFF for value in tiles[tile, row]]
            assert list(word) == expected + [0] * (pitch - config.cols)
