"""Which instructions of a layer may meet others at a bank's port, and what that costs it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tilewright.compiler.program.checker import check_program
from tilewright.compiler.program.meetings import Party
from tilewright.compiler.section import Section
from tilewright.flows.report.occupancy import ENGINE_NAMES
from tilewright.hw.spec.access import Access, accesses
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.ports import BankSet, Port, Side
from tilewright.support.records import record

TILES = "tiles"
"""What lies in activation SRAM and is no resident map."""
BUFFERS = {Space.ACCUMULATOR: "sums", Space.PARAMETER: "parameters"}


@record(frozen=True, kw_only=True)
class LayerMeeting:
    """An engine at work on a layer may be refused a port that another engine uses."""

    port: Port
    banks: tuple[int, ...]
    winner: Engine
    loser: Engine
    """The engine that works on the layer and waits."""
    winner_buffers: tuple[str, ...]
    loser_buffers: tuple[str, ...]
    """Resident maps, tiles, sums or parameters, in those banks."""
    refused_cycles: int
    """At most: those of the layer's instructions that may lose. Such an instruction counts for
    every engine that it may lose to."""

    def as_dict(self) -> dict[str, Any]:
        """Return the meeting as JSON-able values."""
        space, side = self.port
        return {
            "memory": space.name.lower(),
            "port": side.value,
            "banks": list(self.banks),
            "winner": ENGINE_NAMES[self.winner],
            "loser": ENGINE_NAMES[self.loser],
            "winner_buffers": list(self.winner_buffers),
            "loser_buffers": list(self.loser_buffers),
            "refused_cycles_at_most": self.refused_cycles,
        }


class _Group:
    """Meetings of a layer at one port between the same engines."""

    def __init__(self) -> None:
        self.banks: BankSet = 0
        self.losers: set[int] = set()
        self.winner_buffers: set[str] = set()
        self.loser_buffers: set[str] = set()


Key = tuple[int, Port, Engine, Engine]
"""Layer, port, winner and loser."""


def layer_meetings(section: Section, refused: Sequence[int]) -> dict[int, list[LayerMeeting]]:
    """Return the possible meetings of each layer of a section that has any, in order of cost.

    refused: of each instruction of the section, as the timing model counts its refused cycles.
    """
    buffers = _Buffers(section)
    groups: dict[Key, _Group] = {}
    for meeting in check_program(section.instructions, section.config, writable=section.writable):
        winner, loser = meeting.winner, meeting.loser
        layer = section.tasks[loser.index].layer
        group = groups.setdefault((layer, meeting.port, winner.engine, loser.engine), _Group())
        group.banks |= meeting.banks
        group.losers.add(loser.index)
        group.winner_buffers |= buffers.names(winner, meeting.port, meeting.banks)
        group.loser_buffers |= buffers.names(loser, meeting.port, meeting.banks)
    found: dict[int, list[LayerMeeting]] = {}
    for (layer, port, first, second), group in groups.items():
        found.setdefault(layer, []).append(
            LayerMeeting(
                port=port,
                banks=tuple(_banks(group.banks)),
                winner=first,
                loser=second,
                winner_buffers=tuple(sorted(group.winner_buffers)),
                loser_buffers=tuple(sorted(group.loser_buffers)),
                refused_cycles=sum(refused[index] for index in group.losers),
            )
        )
    for meetings in found.values():
        meetings.sort(key=lambda item: -item.refused_cycles)
    return found


class _Buffers:
    """Names what lies in the banks that an instruction asks for."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._chain_of = {n: number for number, c in enumerate(section.chains) for n in c}
        self._known: dict[tuple[int, Port, BankSet], frozenset[str]] = {}

    def names(self, party: Party, port: Port, banks: BankSet) -> frozenset[str]:
        """Return the buffers in those banks that an instruction uses at a port."""
        space, side = port
        if space in BUFFERS:
            return frozenset({BUFFERS[space]})
        key = party.index, port, banks
        if key not in self._known:
            task = self._section.tasks[party.index]
            touched = accesses(task.instruction, self._section.config)
            found = touched.reads if side == Side.READ else touched.writes
            access = next(item for item in found if item.space == space)
            self._known[key] = frozenset(self._maps(access, banks, self._chain_of[task.layer]))
        return self._known[key]

    def _maps(self, access: Access, banks: BankSet, chain: int) -> Iterator[str]:
        """Yield the resident maps that an access touches in those banks, and the tiles."""
        placement, size = self._section.placement, self._section.config.activation_bank_words
        words = access.addresses
        words = words[(banks >> (words // size) & 1).astype(np.bool_)]
        is_tile = np.ones(words.size, np.bool_)
        for name, start in placement.sram.items():
            storage = placement.storages[name]
            inside = (words >= start) & (words < start + storage.size)
            if storage.first <= chain <= storage.last and inside.any():
                is_tile &= ~inside
                yield name
        if is_tile.any():
            yield TILES


def _banks(banks: BankSet) -> Iterator[int]:
    return (bank for bank in range(banks.bit_length()) if banks >> bank & 1)
