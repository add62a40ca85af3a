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
from tilewright.hw.spec.loops import Addresses, Space, bank_words, num_words
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


class Ports:
    """The shared ports of a config's SRAMs."""

    def __init__(self, config: Config) -> None:
        self._begins: dict[Space, Addresses] = {
            space: np.arange(0, num_words(space, config), bank_words(space, config))
            for space, _ in PRIORITIES
        }
        """The first word of each bank."""
        self._words = {space: bank_words(space, config) for space in self._begins}

    def requests(self, instruction: Instruction, touched: Accesses) -> dict[Port, BankSet]:
        """Return the banks that an instruction asks for at each port that engines share."""
        found: dict[Port, BankSet] = {}
        for side, accesses in ((Side.READ, touched.reads), (Side.WRITE, touched.writes)):
            for access in accesses:
                if (access.space, side) in PRIORITIES:
                    found[access.space, side] = self._banks(access)
        if _adds_to_own_sums(instruction) and (Space.ACCUMULATOR, Side.WRITE) in found:
            found[Space.ACCUMULATOR, Side.READ] = found[Space.ACCUMULATOR, Side.WRITE]
        return found

    def _banks(self, access: Access) -> BankSet:
        """Return the banks in which the words of an access lie."""
        size, (start, end) = self._words[access.space], access.bounds
        first, last = start // size, (end - 1) // size
        if last - first < 2 or access.num_pairs == 1:
            return (2 << last) - (1 << first)
        starts, ends = access.starts, access.ends
        begins = self._begins[access.space][first : last + 1]
        following = starts[ends.searchsorted(begins, side="right")]
        touched = (following < begins + size).nonzero()[0]
        return sum(1 << bank for bank in touched.tolist()) << first


def _adds_to_own_sums(i: Instruction) -> bool:
    """Tell whether a MATRIX reads the sums of its weight tiles before; no Access lists them."""
    return isinstance(i, Matrix) and i.block_tiles > 1
