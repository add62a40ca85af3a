"""The words of a DEPTHWISE instruction: which banks they read and write."""

from functools import cached_property
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.sim.timing.ports import FREE_BANK, step_banks
from tilewright.support.records import record

_FIELDS = attrgetter(
    *Depthwise.counts,
    *("origin_y", "origin_x", "stride_y", "stride_x", "dilation_y", "height", "width"),
    *("source", "source_stride", "source_pitch", "destination", "destination_stride"),
    "accumulate",
)


@record(frozen=True, kw_only=True, eq=False)
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

    def words(self, i: Depthwise) -> Words:
        """Return the words of a DEPTHWISE."""
        key = _FIELDS(i)
        if key not in self._known:
            self._known[key] = words_of(i, self._config)
        return self._known[key]


def words_of(i: Depthwise, config: Config) -> Words:
    """Return the words of a DEPTHWISE."""
    if i.is_empty:
        free, result = np.array([FREE_BANK]), np.array([True])
        return Words(block_words=0, reads=free, writes=free, results=result, accumulates=False)
    shape = (i.blocks, i.out_height, i.positions, i.kernel_height)
    completes = np.zeros(shape, np.bool_)
    completes[:, :, i.kernel_width - 1 :: i.step, -1] = True
    results = completes.reshape(-1)
    writes = np.full(results.shape, FREE_BANK)
    writes[results] = step_banks(i.sum_walk(), config)
    return Words(
        block_words=i.block_words,
        reads=step_banks(i.source_walk(), config),
        writes=writes,
        results=results,
        accumulates=bool(i.accumulate),
    )
