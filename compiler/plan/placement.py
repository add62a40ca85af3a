"""Where feature maps live: storages, channel slots, residency in activation SRAM, DRAM addresses.

Views share the storage of their input; the parts of a concatenation are written straight into its
storage, each from a fresh block on, so that a logical channel sits at a physical slot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Concat, Graph, Node, View
from tilewright.compiler.graph.normalize import keeps_slots
from tilewright.compiler.plan.allocate import Lifetime, allocate, extent, largest_gap
from tilewright.hw.spec.config import Config

DRAM_ALIGNMENT = 4096
MAX_SIDE = (1 << 12) - 1
"""Rows, or columns, of a resident map, of a tile, and of a tile's source, at most: the counts of
runs hold it, and the fields of a window's origin have room for its padding."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """`blocks` blocks of `pixels` words that one or more feature maps share."""

    name: str
    blocks: int
    pixels: int
    first: int
    """Chain that writes it first (-1: a graph input)."""
    last: int
    """Chain that reads it last (number of chains: a graph output)."""

    @property
    def words(self) -> int:
        return self.blocks * self.pixels


@dataclass(frozen=True, kw_only=True)
class Place:
    """A feature map's part of a storage: its first block and the slot of each channel."""

    storage: str
    block: int
    slots: NDArray[np.int64]
    """Physical channel (block * rows + byte, from `block` on) of each logical channel."""
    blocks: int

    @property
    def is_plain(self) -> bool:
        """Whether channel c sits at slot c."""
        return bool(np.array_equal(self.slots, np.arange(len(self.slots))))


@dataclass(frozen=True, kw_only=True)
class Placement:
    """All places, the storages, and the addresses of those in SRAM and of those in DRAM."""

    places: dict[str, Place]
    storages: dict[str, Storage]
    sram: dict[str, int]
    """First activation word of each resident storage."""
    dram: dict[str, int]
    """Byte address of each storage in DRAM."""
    dram_end: int
    workspaces: tuple[tuple[int, int], ...]
    """(first word, words) free for tiles in each chain."""


def layers_of(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes that become instructions."""
    return tuple(node for node in graph.nodes if not isinstance(node, View | Concat))


def find_places(graph: Graph, config: Config) -> dict[str, Place]:
    """Assign every feature map to a storage. Concat parts must each have one concat as a user."""
    rows = config.rows
    places: dict[str, Place] = {}
    for node in reversed(graph.nodes):
        if isinstance(node, Concat):
            whole = places.get(node.output) or _own_place(graph, node, config)
            places[node.output] = whole
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


def _own_place(graph: Graph, node: Concat, config: Config) -> Place:
    rows = config.rows
    slots, block = [], 0
    for part in node.parts:
        channels = graph.maps[part].channels
        slots.append(block * rows + np.arange(channels))
        block += -(-channels // rows)
    return Place(storage=node.output, block=0, slots=np.concatenate(slots), blocks=block)


def find_storages(
    graph: Graph, places: Mapping[str, Place], chains: Sequence[range]
) -> dict[str, Storage]:
    """Return the storages with their sizes and lifetimes."""
    layers = layers_of(graph)
    chain_of = {layer: n for n, members in enumerate(chains) for layer in members}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    blocks: dict[str, int] = {}
    pixels: dict[str, int] = {}
    for name, place in places.items():
        key = place.storage
        blocks[key] = max(blocks.get(key, 0), place.block + place.blocks)
        pixels[key] = graph.maps[name].pixels
    for name in graph.inputs:
        first[places[name].storage] = -1
    for number, node in enumerate(layers):
        key = places[node.output].storage
        first.setdefault(key, chain_of[number])
        last[key] = max(last.get(key, 0), chain_of[number])
        for name in node.inputs:
            last[places[name].storage] = chain_of[number]
    for name in graph.outputs:
        last[places[name].storage] = len(chains)
    return {
        key: Storage(
            name=key,
            blocks=blocks[key],
            pixels=pixels[key],
            first=first.get(key, -1),
            last=last.get(key, first.get(key, -1)),
        )
        for key in blocks
    }


Need = Callable[[int, frozenset[str]], int]
"""Activation words that a chain's tiles want, given the resident storages."""


def place(
    graph: Graph,
    places: dict[str, Place],
    chains: Sequence[range],
    config: Config,
    *,
    allow_residents: bool,
    exclusive: frozenset[str],
    workspace_need: Need,
    dram_start: int,
) -> Placement:
    """Decide which storages stay in activation SRAM and give every storage its addresses.

    Storages are made resident, small and short-lived first, while every chain keeps what
    `workspace_need` says. Those in `exclusive` come last and share no bank with others.
    """
    storages = find_storages(graph, places, chains)
    borders = {places[name].storage for name in (*graph.inputs, *graph.outputs)}
    excluded = borders | _too_large(graph, places)
    candidates = [s for s in storages.values() if s.name not in excluded] if allow_residents else []
    residents: list[Lifetime] = []
    offsets: dict[str, int] = {}

    def order(s: Storage) -> tuple[bool, int, int]:
        return s.name in exclusive, s.words * (s.last - s.first + 1), s.first

    for storage in sorted(candidates, key=order):
        trial = [*residents, _lifetime(storage, config, is_exclusive=storage.name in exclusive)]
        trial_offsets = allocate(trial)
        if extent(trial, trial_offsets) > config.activation_words:
            continue
        if _leaves_workspace(len(chains), trial, trial_offsets, config, workspace_need):
            residents, offsets = trial, trial_offsets
    workspaces = tuple(
        largest_gap(residents, offsets, step=number, capacity=config.activation_words)
        for number in range(len(chains))
    )
    dram = {
        name: dram_start + offset
        for name, offset in _dram_offsets(
            storages, set(offsets), len(chains), borders, config
        ).items()
    }
    return Placement(
        places=places,
        storages=storages,
        sram=offsets,
        dram=dram,
        dram_end=max(
            (dram[n] + storages[n].words * config.activation_pitch for n in dram),
            default=dram_start,
        ),
        workspaces=workspaces,
    )


def _too_large(graph: Graph, places: Mapping[str, Place]) -> set[str]:
    """Storages of maps that no window can read as a whole."""
    return {
        place.storage
        for name, place in places.items()
        if max(graph.maps[name].height, graph.maps[name].width) > MAX_SIDE
    }


def _lifetime(storage: Storage, config: Config, *, is_exclusive: bool) -> Lifetime:
    """The storage's words in SRAM; whole banks where it is to share none."""
    unit = config.activation_bank_words if is_exclusive else 1
    return Lifetime(
        name=storage.name,
        size=-(-storage.words // unit) * unit,
        first=storage.first,
        last=storage.last,
        alignment=unit,
    )


def _leaves_workspace(
    num_chains: int,
    residents: Sequence[Lifetime],
    offsets: dict[str, int],
    config: Config,
    workspace_need: Need,
) -> bool:
    names = frozenset(offsets)
    for number in range(num_chains):
        need = workspace_need(number, names)
        gap = largest_gap(residents, offsets, step=number, capacity=config.activation_words)
        if need > gap[1]:
            return False
    return True


def _dram_offsets(
    storages: dict[str, Storage],
    residents: set[str],
    num_chains: int,
    borders: set[str],
    config: Config,
) -> dict[str, int]:
    """Graph inputs and outputs keep their memory for good; the rest shares by lifetime."""
    objects = [
        Lifetime(
            name=s.name,
            size=-(-s.words * config.activation_pitch // DRAM_ALIGNMENT) * DRAM_ALIGNMENT,
            first=-1 if s.name in borders else s.first,
            last=num_chains if s.name in borders else s.last,
        )
        for s in storages.values()
        if s.name not in residents
    ]
    return allocate(objects)
