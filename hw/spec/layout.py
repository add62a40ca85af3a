"""DRAM layouts of feature maps and weight tiles: words of an SRAM at a power-of-two pitch.

docs/architecture.md, "Memories", has the prose. All functions are pure NumPy and vectorised.
"""

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config

Int8Array = NDArray[np.int8]
ByteArray = NDArray[np.uint8]


def spread_words(words: ByteArray, pitch: int) -> bytes:
    """Place words (count, word_bytes) uint8 at `pitch` bytes each; the gaps are zero."""
    count, word_bytes = words.shape
    assert word_bytes <= pitch
    spread = np.zeros((count, pitch), np.uint8)
    spread[:, :word_bytes] = words
    return spread.tobytes()


def gather_words(data: bytes | ByteArray, word_bytes: int, pitch: int) -> ByteArray:
    """Return the words (count, word_bytes) uint8 of bytes laid out at `pitch`; inverts spread."""
    return np.frombuffer(data, np.uint8).reshape(-1, pitch)[:, :word_bytes]


def dense_to_words(data: bytes, word_bytes: int) -> ByteArray:
    """Cut dense bytes into words (count, word_bytes) uint8; the last one is padded with zeros."""
    count = -(-len(data) // word_bytes)
    padded = np.zeros(count * word_bytes, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded.reshape(count, word_bytes)


def num_blocks(channels: int, config: Config, channel_offset: int = 0) -> int:
    """Return the blocks of `rows` channels that a map takes, starting at lane `channel_offset`."""
    return -(-(channel_offset + channels) // config.rows)


def map_words(
    channels: int, height: int, width: int, config: Config, channel_offset: int = 0
) -> int:
    """Return the activation words of a feature map (channels, height, width)."""
    return num_blocks(channels, config, channel_offset) * height * width


def map_bytes(
    channels: int, height: int, width: int, config: Config, channel_offset: int = 0
) -> int:
    """Return the DRAM bytes of a feature map (channels, height, width) at the word pitch."""
    words = map_words(channels, height, width, config, channel_offset)
    return words * config.activation_pitch


def map_to_words(
    values: Int8Array, config: Config, *, channel_offset: int = 0, fill: int = 0
) -> Int8Array:
    """Return the activation words (blocks*height*width, rows) int8 of a map (C, H, W) int8.

    Channel c is byte (channel_offset + c) mod rows of block (channel_offset + c) div rows; bytes
    that hold no channel are `fill`.
    """
    channels, height, width = values.shape
    blocks = num_blocks(channels, config, channel_offset)
    padded = np.full((blocks * config.rows, height, width), fill, np.int8)
    padded[channel_offset : channel_offset + channels] = values
    blocked = padded.reshape(blocks, config.rows, height, width).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(blocked).reshape(-1, config.rows)


def words_to_map(
    words: Int8Array,
    channels: int,
    height: int,
    width: int,
    config: Config,
    *,
    channel_offset: int = 0,
) -> Int8Array:
    """Return the map (channels, height, width) int8 that `map_to_words` laid out."""
    blocks = num_blocks(channels, config, channel_offset)
    blocked = words.reshape(blocks, height, width, config.rows).transpose(0, 3, 1, 2)
    lanes = blocked.reshape(blocks * config.rows, height, width)
    return np.ascontiguousarray(lanes[channel_offset : channel_offset + channels])


def pack_map(values: Int8Array, config: Config, *, channel_offset: int = 0, fill: int = 0) -> bytes:
    """Return the DRAM bytes of a map (C, H, W) int8; see `map_to_words`."""
    words = map_to_words(values, config, channel_offset=channel_offset, fill=fill)
    return spread_words(words.view(np.uint8), config.activation_pitch)


def unpack_map(
    data: bytes | ByteArray,
    channels: int,
    height: int,
    width: int,
    config: Config,
    *,
    channel_offset: int = 0,
) -> Int8Array:
    """Return the map (channels, height, width) int8 held by DRAM bytes that `pack_map` made."""
    words = gather_words(data, config.activation_word_bytes, config.activation_pitch)
    signed = np.ascontiguousarray(words).view(np.int8)
    return words_to_map(signed, channels, height, width, config, channel_offset=channel_offset)


def pack_weight_tiles(tiles: Int8Array, config: Config) -> bytes:
    """Return the DRAM bytes of weight tiles (count, rows, cols) int8, in the order given."""
    count, rows, cols = tiles.shape
    assert (rows, cols) == (config.rows, config.cols)
    words = np.zeros((count * rows, config.weight_word_bytes), np.uint8)
    words[:, :cols] = np.ascontiguousarray(tiles, np.int8).reshape(-1, cols).view(np.uint8)
    return spread_words(words, config.weight_pitch)


def unpack_weight_tiles(data: bytes | ByteArray, config: Config) -> Int8Array:
    """Return the weight tiles (count, rows, cols) int8 of DRAM bytes."""
    words = gather_words(data, config.weight_word_bytes, config.weight_pitch)
    columns = np.ascontiguousarray(words[:, : config.cols]).view(np.int8)
    return columns.reshape(-1, config.rows, config.cols)
