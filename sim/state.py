"""The accelerator's memories as NumPy arrays: what the instruction-set simulator works on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import Space

PAGE_BYTES = 4096


class State:
    """All SRAMs and the DRAM of one accelerator, zero at first.

    activation: (words, rows) int8; weight: (words, max(rows, cols)) int8; accumulator:
    (words, cols) int32; parameter: (words, 8 * lanes) uint8; memory: (memory_bytes,) uint8.
    """

    def __init__(self, config: Config, memory_bytes: int) -> None:
        self.config = config
        self.activation = np.zeros((config.activation_words, config.rows), np.int8)
        self.weight = np.zeros((config.weight_words, config.weight_word_bytes), np.int8)
        self.accumulator = np.zeros((config.accumulator_words, config.cols), np.int32)
        self.parameter = np.zeros((config.parameter_words, config.parameter_word_bytes), np.uint8)
        pages = -(-memory_bytes // PAGE_BYTES)
        self._pages: NDArray[np.uint8] = np.zeros(pages * PAGE_BYTES, np.uint8)
        self.memory = self._pages[:memory_bytes]
        self.sram: Mapping[Space, NDArray[np.uint8]] = {
            Space.ACTIVATION: self.activation.view(np.uint8),
            Space.WEIGHT: self.weight.view(np.uint8),
            Space.ACCUMULATOR: self.accumulator.view(np.uint8),
            Space.PARAMETER: self.parameter,
        }
        """The SRAMs as (words, word bytes) uint8; they share memory with the arrays above."""

    def memory_words(self, pitch: int) -> NDArray[np.uint8]:
        """Return the DRAM as words (count, pitch) uint8; whole pages, so a little longer."""
        return self._pages.reshape(-1, pitch)
