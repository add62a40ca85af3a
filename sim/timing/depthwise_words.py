"""The words of a DEPTHWISE instruction: which banks they read and write."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import DEPTHWISE_COUNTS, depthwise_positions
from tilewright.hw.spec.config import Config
from tilewright.sim.timing.ports import FREE_BANK, SRAM_MODULUS

_FIELDS = itemgetter(
    *DEPTHWISE_COUNTS,
    *("origin_y", "origin_x", "stride_y", "stride_x", "dilation_y", "height", "width"),
    *("source", "source_stride", "source_pitch", "destination", "destination_stride"),
    "accumulate",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """One entry a word, in order; FREE_BANK where a word does not use the port.

    A word is a step of the loops, or the only step of an instruction that does nothing.
    """

    block_words: int
    """Words of a block; 0 in an instruction that does nothing."""
    reads: NDArray[np.int64]
    """Bank of the activation SRAM."""
    writes: NDArray[np.int64]
    """Bank of the accumulators that a result goes to."""
    results: NDArray[np.bool_]
    """Whether the word completes a result."""
    accumulates: bool
    """Whether results are added to what the accumulators hold."""

    @property
    def count(self) -> int:
        return len(self.reads)

    @cached_property
    def read_banks(self) -> tuple[int, ...]:
        """The banks in `reads`."""
        return _banks(self.reads)

    @cached_property
    def write_banks(self) -> tuple[int, ...]:
        """The banks in `writes`."""
        return _banks(self.writes)


def _banks(banks: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(bank for bank in np.unique(banks).tolist() if bank != FREE_BANK)


class WordCache:
    """The words of instructions; those with the same accesses are known."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[int, ...], Words] = {}

    def words(self, fields: Mapping[str, int]) -> Words:
        """Return the words of a DEPTHWISE."""
        key = _FIELDS(fields)
        if key not in self._known:
            self._known[key] = words_of(fields, self._config)
        return self._known[key]


def words_of(fields: Mapping[str, int], config: Config) -> Words:
    """Return the words of a DEPTHWISE."""
    if any(fields[name] == 0 for name in DEPTHWISE_COUNTS):
        free, result = np.array([FREE_BANK]), np.array([True])
        return Words(block_words=0, reads=free, writes=free, results=result, accumulates=False)
    f, positions = fields, depthwise_positions(fields)
    outputs, kernel_rows = np.arange(f["out_height"]), np.arange(f["kernel_height"])
    rows = f["origin_y"] + outputs[:, None] * f["stride_y"] + kernel_rows * f["dilation_y"]
    columns = f["origin_x"] + np.arange(positions)
    inside_rows = (rows >= 0) & (rows < f["height"])
    inside_columns = (columns >= 0) & (columns < f["width"])
    blocks = np.arange(f["blocks"])[:, None, None, None]
    addresses = rows[:, None, :] * f["source_pitch"] + columns[:, None]
    addresses = f["source"] + blocks * f["source_stride"] + addresses
    inside = inside_rows[:, None, :] & inside_columns[:, None]
    reads = addresses % SRAM_MODULUS // config.activation_bank_words
    reads = np.where(inside & (reads < config.activation_banks), reads, FREE_BANK)
    step = max(f["stride_x"], 1)
    last = f["kernel_width"] - 1
    results = np.zeros(reads.shape, np.bool_)
    results[:, :, last::step, -1] = True
    pixels = (outputs[:, None] * f["out_width"] + np.arange(f["out_width"])).reshape(-1)
    sums = f["destination"] + np.arange(f["blocks"])[:, None] * f["destination_stride"] + pixels
    sums = sums % SRAM_MODULUS // config.accumulator_bank_words
    writes = np.full(reads.shape, FREE_BANK)
    writes[results] = np.where(sums < config.accumulator_banks, sums, FREE_BANK).reshape(-1)
    return Words(
        block_words=len(outputs) * positions * len(kernel_rows),
        reads=reads.reshape(-1),
        writes=writes.reshape(-1),
        results=results.reshape(-1),
        accumulates=bool(f["accumulate"]),
    )
