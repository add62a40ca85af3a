"""Parameter words: header offsets, lane groups, tables, for words narrower than a header too."""

import struct

import numpy as np
import pytest

from tilewright.hw.spec import parameters
from tilewright.hw.spec.config import Config

NARROW = Config(rows=3, cols=3, lanes=3, operand_lanes=1, activation_kib=8, weight_kib=2,
                accumulator_kib=4)  # fmt: skip
CONFIGS = {"lanes 3": NARROW, "nano": Config.load("nano"), "base": Config.load("base")}


def test_header_bytes_by_hand() -> None:
    data = parameters.header_bytes(
        {"zero_point": -1, "low": -5, "high": 6, "first_zero_point": 7, "second_zero_point": -8,
         "combine_zero_point": 9, "first_ratio": 0.5, "second_ratio": -2.0}
    )  # fmt: skip
    assert len(data) == 32
    assert data == struct.pack("<bbbxbbbbbxxxff12x", -1, -5, 6, 7, -8, 9, -128, 127, 0.5, -2.0)
    assert parameters.parse_header(data)["combine_high"] == 127


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_block_is_header_then_one_word_a_group(config: Config) -> None:
    channels = 2 * config.lanes - 1
    bias = np.arange(channels) - 3
    scale = np.linspace(0.1, 2, channels).astype(np.float32)
    data = parameters.pack_block({"zero_point": 4}, bias, scale, config)
    pitch, word_bytes = config.parameter_pitch, 8 * config.lanes
    words = [data[start : start + word_bytes] for start in range(0, len(data), pitch)]
    assert len(words) == config.header_words + 2
    header = b"".join(words[: config.header_words])
    assert header[:32] == parameters.header_bytes({"zero_point": 4})
    lanes = b"".join(words[config.header_words :])
    for channel in range(2 * config.lanes):
        expected = (bias[channel], scale[channel]) if channel < channels else (0, 0.0)
        assert struct.unpack_from("<if", lanes, 8 * channel) == expected
    packed = parameters.block_words({}, bias, scale, config)[config.header_words :]
    biases, scales = parameters.parse_groups(packed, config)
    np.testing.assert_array_equal(biases.reshape(-1)[:channels], bias)
    np.testing.assert_array_equal(scales.reshape(-1)[:channels], scale)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_scales_of_negative_sums_lie_in_front_of_each_group(config: Config) -> None:
    channels = 2 * config.lanes - 1
    scales = np.arange(2 * channels, dtype=np.float32).reshape(2, channels)
    words = parameters.group_words(np.arange(channels) + 9, scales, config)
    assert words.shape == (4, config.parameter_word_bytes)
    for channel in range(channels):
        group, lane = divmod(channel, config.lanes)
        assert struct.unpack_from("<if", words[2 * group], 8 * lane) == (0, channel)
        expected = (channel + 9, channel + channels)
        assert struct.unpack_from("<if", words[2 * group + 1], 8 * lane) == expected


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("rows", [1, 2])
def test_the_words_of_a_block_are_counted(config: Config, rows: int) -> None:
    for channels in (1, config.lanes, config.lanes + 1):
        scales = np.ones((rows, channels), np.float32)
        block = parameters.block_words({}, np.zeros(channels, np.int32), scales, config)
        assert parameters.num_block_words(scales, config) == len(block)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_depthwise_weights_lie_by_kernel_row_column_and_channel(config: Config) -> None:
    rng = np.random.default_rng(7)
    taps, rows = config.depthwise_taps, config.rows
    weights = rng.integers(-128, 128, (2, 2, taps, rows), np.int8)
    words = parameters.depthwise_words(weights, config)
    assert words.shape == (2 * config.depthwise_words, config.parameter_word_bytes)
    for block, data in enumerate(words.reshape(2, -1)):
        for ky in range(3):
            for kx in range(taps):
                for row in range(rows):
                    expected = int(weights[block, ky, kx, row]) & 0xFF if ky < 2 else 0
                    assert data[(ky * taps + kx) * rows + row] == expected
        assert not data[3 * taps * rows :].any()
    parsed = parameters.parse_depthwise(words, config)
    np.testing.assert_array_equal(parsed[:, :2], weights)
    assert not parsed[:, 2].any()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_table_entry_lies_at_its_unsigned_byte(config: Config) -> None:
    table = np.random.default_rng(3).integers(-128, 128, 256).astype(np.int8)
    words = parameters.table_words(table, config)
    assert words.shape == (config.table_words, config.parameter_word_bytes)
    for entry in range(256):
        byte = words[entry // config.parameter_word_bytes, entry % config.parameter_word_bytes]
        assert byte == int(table[entry]) & 0xFF
