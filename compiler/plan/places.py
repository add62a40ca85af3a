"""The place of each feature map in a storage: blocks, channel slots, a frame of pixels.

Views share the storage of their input. The parts of a concatenation are written straight into its
storage: of channels each from a fresh block on, so that a logical channel sits at a physical slot;
of rows or columns each into a frame of every block.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Concat, Graph, View
from tilewright.compiler.graph.normalize import is_contiguous, keeps_slots
from tilewright.hw.spec.config import Config
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Frame:
    """Pixels of every block of a larger map that a part of a concatenation has to itself."""

    first: int
    """Words from the start of a block."""
    block: int
    """Words from block to block."""
    row: int | None
    """Words from row to row; None: rows lie densely, whatever the width."""


@record(frozen=True, kw_only=True)
class Place:
    """A feature map's part of a storage: its first block and the slot of each channel."""

    storage: str
    block: int
    slots: NDArray[np.int64]
    """Physical channel (block * rows + byte, from `block` on) of each logical channel."""
    blocks: int
    frame: Frame | None = None
    """None: the map has whole blocks to itself."""

    @property
    def is_plain(self) -> bool:
        """Whether channel c sits at slot c."""
        return bool(np.array_equal(self.slots, np.arange(len(self.slots))))


def find_places(graph: Graph, config: Config) -> dict[str, Place]:
    """Assign every feature map to a storage. Concat parts must each have one concat as a user."""
    rows = config.rows
    places: dict[str, Place] = {}
    for node in reversed(graph.nodes):
        if isinstance(node, Concat):
            whole = places.get(node.output) or _own_place(graph, node, config)
            places[node.output] = whole
            if node.axis > 0:
                for part, frame in _frames(graph, node):
                    places[graph.root_of(part)] = replace(whole, frame=frame)
                continue
            block = whole.block
            at = 0
            for part in node.parts:
                channels = graph.maps[part].channels
                slots = whole.slots[at : at + channels] - (block - whole.block) * rows
                places[part] = Place(
                    storage=whole.storage, block=block, slots=slots, blocks=-(-channels // rows)
                )
                block += -(-channels // rows)
                at += channels
    for name in graph.inputs:
        places.setdefault(name, _plain(name, graph.maps[name].channels, rows))
    for node in graph.nodes:
        if node.output in places:
            continue
        source = next(iter(node.inputs))
        if isinstance(node, View):
            places[node.output] = places[source]
        elif keeps_slots(node):
            inherited = places[source]
            places[node.output] = Place(
                storage=node.output, block=0, slots=inherited.slots, blocks=inherited.blocks
            )
        else:
            places[node.output] = _plain(node.output, graph.maps[node.output].channels, rows)
    return places


def _plain(name: str, channels: int, rows: int) -> Place:
    return Place(storage=name, block=0, slots=np.arange(channels), blocks=-(-channels // rows))


def _frames(graph: Graph, node: Concat) -> Iterator[tuple[str, Frame]]:
    """Yield each part of a concatenation along rows or columns with its pixels."""
    whole, first = graph.maps[node.output], 0
    for name in node.parts:
        part = graph.maps[name]
        row = None if is_contiguous(part, whole) else whole.width
        yield name, Frame(first=first, block=whole.pixels, row=row)
        first += part.pixels if node.axis == 1 else part.width


def _own_place(graph: Graph, node: Concat, config: Config) -> Place:
    rows = config.rows
    if node.axis > 0:
        return _plain(node.output, graph.maps[node.output].channels, rows)
    slots, block = [], 0
    for part in node.parts:
        channels = graph.maps[part].channels
        slots.append(block * rows + np.arange(channels))
        block += -(-channels // rows)
    return Place(storage=node.output, block=0, slots=np.concatenate(slots), blocks=block)
