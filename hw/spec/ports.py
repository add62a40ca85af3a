"""Who asks for which bank of an SRAM: the ports of a bank, in the order in which they are served.

Each bank has a read and a write port (docs/architecture.md, "Memories"). A program's instructions
meet where two engines ask for the same port in the same cycle; all but the first are refused.
"""

import enum
from collections.abc import Mapping
from typing import Final

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


def _ports(side: Side) -> list[Port | None]:
    """Return a side's port of each memory; None where no engines share one."""
    return [(space, side) if (space, side) in PRIORITIES else None for space in Space]


READ_PORTS: Final = _ports(Side.READ)
WRITE_PORTS: Final = _ports(Side.WRITE)
SUM_READS: Final[Port] = (Space.ACCUMULATOR, Side.READ)
SUM_WRITES: Final[Port] = (Space.ACCUMULATOR, Side.WRITE)

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
        for access in touched.reads:
            port = READ_PORTS[access.space]
            if port is not None:
                found[port] = self._banks(access)
        for access in touched.writes:
            port = WRITE_PORTS[access.space]
            if port is not None:
                found[port] = self._banks(access)
        if SUM_WRITES in found and _adds_to_own_sums(instruction):
            found[SUM_READS] = found[SUM_WRITES]
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
