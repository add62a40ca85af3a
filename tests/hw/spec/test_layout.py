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


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("channels", [1, 3, 17])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_map_bytes_lie_where_documented(config: Config, channels: int, offset: int) -> None:
    height, width = 3, 2
    rng = np.random.default_rng(1)
    values = rng.integers(-128, 128, (channels, height, width)).astype(np.int8)
    data = layout.pack_map(values, config, channel_offset=offset, fill=5)
    blocks = -(-(channels + offset) // config.rows)
    pitch = config.activation_pitch
    assert len(data) == blocks * height * width * pitch
    assert len(data) == layout.map_bytes(channels, height, width, config, offset)
    for block in range(blocks):
        for y in range(height):
            for x in range(width):
                word = data[((block * height + y) * width + x) * pitch :][:pitch]
                for lane in range(pitch):
                    channel = block * config.rows + lane - offset
                    expected = 5 if 0 <= lane < config.rows else 0
                    if lane < config.rows and 0 <= channel < channels:
                        expected = int(values[channel, y, x]) & 0xFF
                    assert word[lane] == expected
    back = layout.unpack_map(data, channels, height, width, config, channel_offset=offset)
    np.testing.assert_array_equal(back, values)


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
    np.testing.assert_array_equal(layout.unpack_weight_tiles(data, config), tiles)
