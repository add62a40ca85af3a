"""Where feature maps live: storages, residency in activation SRAM, DRAM addresses.

A storage is words that one or more feature maps share (`places.py`), with a lifetime in chains:
from the one that writes it first (-1: a graph input) to the one that reads it last (their number: a
graph output).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

from tilewright.compiler.graph.graph import Concat, Graph, Node, Pool, View
from tilewright.compiler.limits import MAX_SIDE
from tilewright.compiler.plan.allocate import Lifetime, allocate, extent, largest_gap
from tilewright.compiler.plan.places import Place
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.tensor import Layout, Tensor
from tilewright.support.records import record

DRAM_ALIGNMENT = 4096


@record(frozen=True, kw_only=True)
class Placement:
    """All places, the storages, and the addresses of those in SRAM and of those in DRAM."""

    places: dict[str, Place] = field(default_factory=dict)
    storages: dict[str, Lifetime] = field(default_factory=dict)
    """In words."""
    sram: dict[str, int] = field(default_factory=dict)
    """First activation word of each resident storage."""
    dram: dict[str, int] = field(default_factory=dict)
    """Byte address of each storage in DRAM."""
    dram_end: int = 0
    workspaces: tuple[tuple[int, int], ...] = ()
    """(first word, words) free for tiles in each chain."""

    def in_sram(self, stored: Tensor, config: Config) -> Layout:
        """Return the layout of a resident map, in activation words."""
        return self._layout(stored, self.sram, config.rows, 1)

    def in_dram(self, stored: Tensor, config: Config) -> Layout:
        """Return the layout of a map in DRAM, in bytes."""
        return self._layout(stored, self.dram, config.rows, config.activation_pitch)

    def in_storage(self, stored: Tensor, config: Config) -> Layout:
        """Return the layout of a map in its storage, in words."""
        return self._layout(stored, dict.fromkeys(self.storages, 0), config.rows, 1)

    def _layout(self, stored: Tensor, bases: Mapping[str, int], rows: int, pitch: int) -> Layout:
        place = self.places[stored.name]
        base, frame = bases[place.storage], place.frame
        if frame is None:
            base += place.block * stored.pixels * pitch
            return stored.layout_at(base, block=rows, pitch=pitch)
        row = stored.width if frame.row is None else frame.row
        return Layout(
            base=base + frame.first * pitch,
            strides=(frame.block * pitch, row * pitch, pitch),
            word_axis=stored.word_axis,
            block=rows,
        )


@record(frozen=True, kw_only=True)
class Residents:
    """The storages in activation SRAM."""

    lifetimes: tuple[Lifetime, ...]

    @cached_property
    def offsets(self) -> dict[str, int]:
        """The first word of each."""
        return allocate(self.lifetimes)

    def gap(self, chain: int, config: Config) -> tuple[int, int]:
        """(first word, words) of the largest range that is free during a chain."""
        capacity = config.activation_words
        return largest_gap(self.lifetimes, self.offsets, step=chain, capacity=capacity)


def layers_of(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes that become instructions."""
    return tuple(node for node in graph.nodes if not isinstance(node, View | Concat))


def find_storages(
    graph: Graph, places: Mapping[str, Place], chains: Sequence[range]
) -> dict[str, Lifetime]:
    """Return the storages with their sizes and lifetimes."""
    layers = layers_of(graph)
    chain_of = {layer: n for n, members in enumerate(chains) for layer in members}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    words: dict[str, int] = {}
    for name, place in places.items():
        key = place.storage
        pixels = place.frame.block if place.frame else graph.maps[name].pixels
        end = (place.block + place.blocks) * pixels
        words[key] = max(words.get(key, 0), end)
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
        key: Lifetime(
            name=key,
            size=words[key],
            first=first.get(key, -1),
            last=last.get(key, first.get(key, -1)),
        )
        for key in words
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

    `exclusive` are the storages that the depthwise unit reads.
    """
    storages = find_storages(graph, places, chains)
    borders = {places[name].storage for name in (*graph.inputs, *graph.outputs)}
    excluded = borders | _too_large(graph, places)
    candidates = [s for s in storages.values() if s.name not in excluded] if allow_residents else []

    residents = _choose_residents(
        candidates,
        len(chains),
        config,
        exclusive=exclusive,
        operands=_operands(graph, places),
        pooled=_pooled(graph, places),
        workspace_need=workspace_need,
    )
    workspaces = tuple(residents.gap(number, config) for number in range(len(chains)))
    dram = {
        name: dram_start + offset
        for name, offset in _dram_offsets(
            storages, set(residents.offsets), len(chains), borders, config
        ).items()
    }
    return Placement(
        places=places,
        storages=storages,
        sram=residents.offsets,
        dram=dram,
        dram_end=max(
            (dram[n] + storages[n].size * config.activation_pitch for n in dram),
            default=dram_start,
        ),
        workspaces=workspaces,
    )


def _choose_residents(
    candidates: Sequence[Lifetime],
    num_chains: int,
    config: Config,
    *,
    exclusive: frozenset[str],
    operands: frozenset[str],
    pooled: frozenset[str],
    workspace_need: Need,
) -> Residents:
    """Choose what stays in activation SRAM, and what of it shares no bank.

    The array goes first at every port, so what another engine reads beside it gets whole banks:
    `exclusive` always; operands of the vector unit and what is pooled where no storage loses its
    residency by it, or else those of them that leave every chain as much workspace as before.
    """

    def fits(trial: Residents) -> bool:
        if extent(trial.lifetimes, trial.offsets) > config.activation_words:
            return False
        return _leaves_workspace(num_chains, trial, config, workspace_need)

    def is_roomy(trial: Residents, before: Residents) -> bool:
        return fits(trial) and all(
            trial.gap(number, config)[1] >= before.gap(number, config)[1]
            or not workspace_need(number, frozenset(trial.offsets))
            for number in range(num_chains)
        )

    residents = _find_residents(candidates, config, exclusive, fits)
    apart = _find_residents(candidates, config, exclusive | operands, fits)
    if residents.offsets.keys() <= apart.offsets.keys():
        return _separated(apart, candidates, config, pooled, lambda new, old: fits(new))
    return _separated(residents, candidates, config, operands | pooled, is_roomy)


def _operands(graph: Graph, places: Mapping[str, Place]) -> frozenset[str]:
    """Storages that the vector unit reads beside a layer's first input."""
    return frozenset(
        places[name].storage for node in layers_of(graph) for name in tuple(node.inputs)[1:]
    )


def _pooled(graph: Graph, places: Mapping[str, Place]) -> frozenset[str]:
    """Storages whose windows the vector unit reduces."""
    pools = (node for node in layers_of(graph) if isinstance(node, Pool))
    return frozenset(places[node.input].storage for node in pools)


def _find_residents(
    candidates: Sequence[Lifetime],
    config: Config,
    banked: frozenset[str],
    fits: Callable[[Residents], bool],
) -> Residents:
    """Make storages resident while all of them fit: small and short-lived ones first, those of
    `banked` last and in whole banks."""

    def order(s: Lifetime) -> tuple[bool, int, int]:
        return s.name in banked, s.size * (s.last - s.first + 1), s.first

    residents = Residents(lifetimes=())
    for storage in sorted(candidates, key=order):
        lifetime = _lifetime(storage, config, has_banks=storage.name in banked)
        trial = Residents(lifetimes=(*residents.lifetimes, lifetime))
        if fits(trial):
            residents = trial
    return residents


def _separated(
    residents: Residents,
    candidates: Sequence[Lifetime],
    config: Config,
    names: frozenset[str],
    accepts: Callable[[Residents, Residents], bool],
) -> Residents:
    """Give the residents among `names` whole banks, one after the other, where `accepts` agrees to
    the new residents in place of the old ones."""
    for storage in candidates:
        if storage.name in names & residents.offsets.keys():
            whole = _lifetime(storage, config, has_banks=True)
            items = (whole if i.name == storage.name else i for i in residents.lifetimes)
            trial = Residents(lifetimes=tuple(items))
            if accepts(trial, residents):
                residents = trial
    return residents


def _too_large(graph: Graph, places: Mapping[str, Place]) -> set[str]:
    """Storages of maps that no window can read as a whole."""
    return {
        place.storage
        for name, place in places.items()
        if max(graph.maps[name].height, graph.maps[name].width) > MAX_SIDE
    }


def _lifetime(storage: Lifetime, config: Config, *, has_banks: bool) -> Lifetime:
    """The storage's words in SRAM; whole banks where it has banks of its own."""
    unit = config.activation_bank_words if has_banks else 1
    return replace(storage, size=-(-storage.size // unit) * unit, alignment=unit)


def _leaves_workspace(
    num_chains: int, residents: Residents, config: Config, workspace_need: Need
) -> bool:
    names = frozenset(residents.offsets)
    return all(
        workspace_need(number, names) <= residents.gap(number, config)[1]
        for number in range(num_chains)
    )


def _dram_offsets(
    storages: dict[str, Lifetime],
    residents: set[str],
    num_chains: int,
    borders: set[str],
    config: Config,
) -> dict[str, int]:
    """Graph inputs and outputs keep their memory for good; the rest shares by lifetime."""
    objects = [
        replace(
            s,
            size=-(-s.size * config.activation_pitch // DRAM_ALIGNMENT) * DRAM_ALIGNMENT,
            first=-1 if s.name in borders else s.first,
            last=num_chains if s.name in borders else s.last,
        )
        for s in storages.values()
        if s.name not in residents
    ]
    return allocate(objects)
