"""Who asks for which bank of an SRAM: the ports of a bank, in the order in which they are served.

Each bank has a read and a write port (docs/architecture.md, "Memories"). A program's instructions
meet where two engines ask for the same port in the same cycle; all but the first are refused.
"""

import enum
from collections.abc import Mapping

import numpy as np

from tilewright.hw.spec.access import Access, Accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.hw.spec.loops import Space, bank_words, num_words
from tilewright.hw.spec.operations.matrix import Matrix


class Side(enum.StrEnum):
    """What a port does."""

    READ = "read"
    WRITE = "write"


Port = tuple[Space, Side]
"""The same port of every bank of an SRAM."""

PRIORITIES: Mapping[Port, tuple[Engine, ...]] = {
    (Space.ACTIVATION, Side.READ): (Engine.MATRIX, Engine.DEPTHWISE, Engine.VECTOR, Engine.STORE),
    (Space.ACTIVATION, Side.WRITE): (Engine.VECTOR, Engine.LOAD),
    (Space.ACCUMULATOR, Side.READ): (Engine.MATRIX, Engine.DEPTHWISE, Engine.VECTOR),
    (Space.ACCUMULATOR, Side.WRITE): (Engine.MATRIX, Engine.DEPTHWISE),
    (Space.PARAMETER, Side.READ): (Engine.VECTOR, Engine.DEPTHWISE),
}
"""The engines that share a port, the one that is served first in front."""

BankSet = int
"""Bit b: bank b."""


def num_banks(space: Space, config: Config) -> int:
    """Return the banks of an SRAM."""
    return num_words(space, config) // bank_words(space, config)


def banks_of(access: Access, words: int, banks: int) -> BankSet:
    """Return the banks that an access touches, of an SRAM of `words` words in `banks` banks."""
    size = words // banks
    if access.starts.size == 1:
        first, last = int(access.starts[0]) // size, (int(access.ends[0]) - 1) // size
        return (2 << last) - (1 << first)
    begins = np.arange(banks) * size
    following = np.searchsorted(access.ends, begins, side="right")
    starts = np.append(access.starts, words)[following]
    return sum(1 << bank for bank in np.flatnonzero(starts < begins + size).tolist())


def requests(instruction: Instruction, touched: Accesses, config: Config) -> Mapping[Port, BankSet]:
    """Return the banks that an instruction asks for at each port that engines share."""
    found: dict[Port, BankSet] = {}
    for side, all_of_side in ((Side.READ, touched.reads), (Side.WRITE, touched.writes)):
        for access in all_of_side:
            if (access.space, side) in PRIORITIES:
                words, banks = num_words(access.space, config), num_banks(access.space, config)
                found[access.space, side] = banks_of(access, words, banks)
    if _adds_to_own_sums(instruction) and (Space.ACCUMULATOR, Side.WRITE) in found:
        found[Space.ACCUMULATOR, Side.READ] = found[Space.ACCUMULATOR, Side.WRITE]
    return found


def _adds_to_own_sums(i: Instruction) -> bool:
    """Tell whether a MATRIX reads the sums of its weight tiles before; no Access lists them."""
    return isinstance(i, Matrix) and i.block_tiles > 1
