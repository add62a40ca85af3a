"""The order of reads and writes inside one instruction."""

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import Accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.loops import Addresses, Walk, addresses, num_words


def overwrites_own_source(touched: Accesses, instruction: Instruction, config: Config) -> bool:
    """Tell whether an instruction may write a word that it reads in a later step.

    Reading and writing a word in the same step is in order; that is what makes element-wise work in
    place legal, by a walk that meets no lane group of a word twice. Otherwise lane groups of a word
    count as one. Sums of MATRIX are forwarded. touched: what it accesses.
    """
    if not any(write.overlaps(read) for write in touched.writes for read in touched.reads):
        return False
    walks = instruction.walks(config)
    written = {access.space: access.num_words for access in touched.writes}
    return any(
        _meets_later(write, read, config)
        for write in walks.writes
        if not write.is_forwarded
        for read in walks.reads
        if read.space == write.space
        and not (read == write and (write.num_words == written[write.space] or _meets_once(write)))
    )


def _meets_once(walk: Walk) -> bool:
    """Tell whether a walk meets every lane group of a word in one step only."""
    words, _ = addresses(walk)
    groups = walk.loops[0]
    lane_group = (groups.first + np.arange(groups.count, dtype=np.int64)) % groups.every
    places = words * groups.every + lane_group.reshape(-1, *(1,) * (words.ndim - 1))
    return np.unique(places).size == places.size


def _meets_later(write: Walk, read: Walk, config: Config) -> bool:
    """Tell whether a word is written in an earlier step than one that reads it."""
    size = num_words(write.space, config)
    words, steps, inside = _visits(write, size)
    first = np.full(size, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(first, words[inside], steps[inside])
    words, steps, inside = _visits(read, size)
    return bool((first[words[inside]] < steps[inside]).any())


def _visits(walk: Walk, size: int) -> tuple[Addresses, Addresses, NDArray[np.bool_]]:
    """Return the word, the instruction's step and whether the word exists, of all steps in order.

    The loops around the innermost ones are the same for all walks of an instruction.
    """
    assert walk.run == 1, "only walks of single words share a memory with another one"
    words, inside = addresses(walk)
    inner = int(np.prod([loop.count for loop in walk.loops[len(walk.loops) - walk.inner :]]))
    steps = np.arange(words.size, dtype=np.int64) // max(inner, 1)
    return words.reshape(-1), steps, (inside & (words < size)).reshape(-1)


def writes_twice(touched: Accesses) -> bool:
    """Tell whether a LOAD writes an SRAM word, or a STORE a DRAM byte, more than once.

    What such a transfer leaves behind is what came last, which the memory's order decides.
    """
    assert not touched.out_of_range, "words that are dropped are not counted"
    written = sum(write.num_words for write in touched.writes)
    return touched.exclusive_words not in (0, written)
