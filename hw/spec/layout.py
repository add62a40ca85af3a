"""DRAM layouts of weights and parameters: words of an SRAM at a power-of-two pitch.

docs/architecture.md, "Memories", has the prose; feature maps: `hw/spec/tensor.py`.
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


def dense_to_words(data: bytes, word_bytes: int) -> ByteArray:
    """Cut dense bytes into words (count, word_bytes) uint8; the last one is padded with zeros."""
    count = -(-len(data) // word_bytes)
    padded = np.zeros(count * word_bytes, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded.reshape(count, word_bytes)


def pack_weight_tiles(tiles: Int8Array, config: Config) -> bytes:
    """Return the DRAM bytes of weight tiles (count, rows, cols) int8, in the order given."""
    count, rows, cols = tiles.shape
    assert (rows, cols) == (config.rows, config.cols)
    words = np.zeros((count * rows, config.weight_word_bytes), np.uint8)
    words[:, :cols] = np.ascontiguousarray(tiles, np.int8).reshape(-1, cols).view(np.uint8)
    return spread_words(words, config.weight_pitch)
