"""The parameter SRAM's contents: headers, lane-group words and tables of VECTOR instructions."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config
from tilewright.hw.spec.layout import ByteArray, dense_to_words, spread_words
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER, PARAMETER_HEADER_BYTES

TABLE_ENTRIES = 256

HEADER_DEFAULTS: Mapping[str, int | float] = MappingProxyType(
    {field.name: 0 if field.format == "b" else 0.0 for field in PARAMETER_HEADER}
    | {"low": -128, "high": 127, "combine_low": -128, "combine_high": 127}
)
"""Values of header fields that are not given: clamps wide open, everything else zero."""

GROUP_TYPE = np.dtype([("bias", "<i4"), ("scale", "<f4")])
"""One lane's eight bytes of a parameter word."""


def header_bytes(values: Mapping[str, int | float]) -> bytes:
    """Return the 32 bytes of a parameter header; fields not given have HEADER_DEFAULTS."""
    unknown = set(values) - set(HEADER_DEFAULTS)
    assert not unknown, f"the parameter header has no field {sorted(unknown)}"
    header = bytearray(PARAMETER_HEADER_BYTES)
    for field in PARAMETER_HEADER:
        value = values.get(field.name, HEADER_DEFAULTS[field.name])
        value = float(np.float32(value)) if field.format == "f" else int(value)
        struct.pack_into("<" + field.format, header, field.offset, value)
    return bytes(header)


def parse_header(data: bytes) -> dict[str, int | float]:
    """Return the fields of a parameter header's first 32 bytes."""
    return {
        field.name: struct.unpack_from("<" + field.format, data, field.offset)[0]
        for field in PARAMETER_HEADER
    }


def header_words(values: Mapping[str, int | float], config: Config) -> ByteArray:
    """Return a header as parameter words (header_words, word_bytes) uint8."""
    return dense_to_words(header_bytes(values), config.parameter_word_bytes)


def num_lane_groups(channels: int, config: Config) -> int:
    """Return the lane groups of so many channels."""
    return -(-channels // config.lanes)


def group_words(bias: ArrayLike, scale: ArrayLike, config: Config) -> ByteArray:
    """Return the words (words, word_bytes) uint8 of per-channel bias int32 and scale binary32.

    `scale` is [channels], or [2, channels] with the scales of negative sums first: a word a lane
    group, or two, of which the first has no bias. The last group's missing channels are 0.
    """
    biases, scales = np.atleast_1d(bias), np.atleast_2d(scale)
    rows, channels = scales.shape
    assert biases.shape == (channels,), (biases.shape, scales.shape)
    groups = num_lane_groups(channels, config)
    words = np.zeros((rows, groups * config.lanes), GROUP_TYPE)
    words["bias"][-1, :channels] = biases
    words["scale"][:, :channels] = scales
    by_group = words.reshape(rows, groups, config.lanes).swapaxes(0, 1)
    return np.ascontiguousarray(by_group).view(np.uint8).reshape(-1, config.parameter_word_bytes)


def parse_groups(words: ByteArray, config: Config) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return (bias, scale), each (groups, lanes), of parameter words (groups, word_bytes)."""
    lanes = np.ascontiguousarray(words).reshape(-1).view(GROUP_TYPE).reshape(-1, config.lanes)
    return lanes["bias"].copy(), lanes["scale"].copy()


def table_words(table: ArrayLike, config: Config) -> ByteArray:
    """Return a 256-entry int8 table as words (table_words, word_bytes) uint8."""
    entries = np.asarray(table, np.int8)
    assert entries.shape == (TABLE_ENTRIES,)
    return dense_to_words(entries.tobytes(), config.parameter_word_bytes)


def depthwise_words(weights: NDArray[np.int8], config: Config) -> ByteArray:
    """Return depthwise weights, int8 [blocks, kernel rows, kernel columns, rows], as words.

    Up to 3 kernel rows and depthwise_taps columns; (blocks * depthwise_words, word_bytes) uint8.
    """
    blocks, height, width, _ = weights.shape
    assert height <= DEPTHWISE_KERNEL_ROWS, height
    assert width <= config.depthwise_taps, width
    shape = (blocks, DEPTHWISE_KERNEL_ROWS, config.depthwise_taps, config.rows)
    padded = np.zeros(shape, np.int8)
    padded[:, :height, :width] = weights
    return np.concatenate(
        [dense_to_words(block.tobytes(), config.parameter_word_bytes) for block in padded]
    )


def parse_depthwise(words: ByteArray, config: Config) -> NDArray[np.int8]:
    """Return int8 [blocks, 3, depthwise_taps, rows] of parameter words; inverts the above."""
    shape = (DEPTHWISE_KERNEL_ROWS, config.depthwise_taps, config.rows)
    size = DEPTHWISE_KERNEL_ROWS * config.depthwise_taps * config.rows
    flat = np.ascontiguousarray(words).reshape(-1, config.depthwise_words * words.shape[1])
    return flat[:, :size].copy().view(np.int8).reshape(-1, *shape)


def block_words(
    header: Mapping[str, int | float], bias: ArrayLike, scale: ArrayLike, config: Config
) -> ByteArray:
    """Return a parameter block: the header's words followed by those of the lane groups."""
    return np.concatenate([header_words(header, config), group_words(bias, scale, config)])


def num_block_words(scale: ArrayLike, config: Config) -> int:
    """Return how many words `block_words` has with these scales."""
    rows, channels = map(int, np.atleast_2d(scale).shape)
    return config.header_words + rows * num_lane_groups(channels, config)


def pack_words(words: ByteArray, config: Config) -> bytes:
    """Return the DRAM bytes of parameter words (count, word_bytes) at the word pitch."""
    return spread_words(words, config.parameter_pitch)


def pack_block(
    header: Mapping[str, int | float], bias: ArrayLike, scale: ArrayLike, config: Config
) -> bytes:
    """Return the DRAM bytes of a parameter block; see `block_words`."""
    return pack_words(block_words(header, bias, scale, config), config)
