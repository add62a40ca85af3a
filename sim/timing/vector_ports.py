"""Which banks a VECTOR instruction reads, turn by turn."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Shape, Source
from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.ports import FREE_BANK, BankFinder, step_banks

Kind = Literal["reads", "sums"]
"""What the source reads: activations or accumulators."""


class Segment(NamedTuple):
    """Consecutive turns that read the same banks."""

    source_bank: int
    operand_bank: int
    turns: int
    is_lead: bool = False
    """They belong to no window, but to what comes in front of a lane group."""


class Work(NamedTuple):
    """What an instruction does, whenever it does it."""

    prefetch_cycles: int
    """To read header and table; 0 if the instruction is empty."""
    read_cycles: int = 0
    """Turns from the first source read to behind the last."""
    window: int = 1
    """Positions of a window."""
    group_turns: int = 0
    """Of a lane group with parameters of its own; 0: all have the same ones."""
    lead: int = 0
    """Of them, those in front of its windows; if all have the same parameters, once."""
    combines: bool = False
    """It has a second stage."""
    kind: Kind = "reads"
    turns: int = 0
    """Source reads and placeholders."""
    segments: tuple[Segment, ...] = ()
    source_banks: tuple[int, ...] = ()
    operand_banks: tuple[int, ...] = ()
    """Of the segments, each bank once."""


class WorkCache:
    """The work of instructions; what those of a shape have in common is known."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._forms: dict[Shape, _Form] = {}

    def work(self, i: Vector) -> Work:
        """Return the work of a VECTOR."""
        form = self._forms.get(i.shape)
        if form is None:
            form = self._forms[i.shape] = _Form(i, self._config)
        return form.work(i)


class _Form:
    """The work of all VECTORs of a shape: where they differ, they do in their banks."""

    def __init__(self, i: Vector, config: Config) -> None:
        self._config = config
        self._common = _without_banks(i, config)
        self._known: dict[tuple[int, int], Work] = {}
        """By the only banks of the source and of the operand."""
        self._others: dict[tuple[int, int], Work] = {}
        """By the first words of both, where one of them has several banks, or padding."""
        self._source: BankFinder | None = None
        self._operand: BankFinder | None = None
        if self._common.prefetch_cycles:
            self._source = BankFinder(i.source_walk(config), config)
            self._operand = BankFinder(i.operand_walk(config), config) if i.combine else None

    def work(self, i: Vector) -> Work:
        """Return the work of one of them."""
        if self._source is None:
            return self._common
        source: int = i.source
        operand: int = i.operand
        source_bank = self._source.bank(source)
        operand_bank = FREE_BANK if self._operand is None else self._operand.bank(operand)
        if source_bank is None or operand_bank is None:
            known, key = self._others, (source, operand)
        else:
            known, key = self._known, (source_bank, operand_bank)
        found = known.get(key)
        if found is None:
            found = known[key] = self._made(i, source_bank, operand_bank)
        return found

    def _made(self, i: Vector, source_bank: int | None, operand_bank: int | None) -> Work:
        if source_bank is None or operand_bank is None:
            windows = _walked_segments(i, self._config)
        else:
            turns = i.groups * i.pixels * i.kernel
            windows = (Segment(source_bank, operand_bank, turns),)
        segments = _segments(i, windows)
        return self._common._replace(
            turns=sum(segment.turns for segment in segments),
            segments=segments,
            source_banks=tuple({segment.source_bank for segment in segments}),
            operand_banks=tuple({segment.operand_bank for segment in segments}),
        )


def _without_banks(i: Vector, config: Config) -> Work:
    """Return the work of a VECTOR as far as it does not depend on its banks."""
    if i.is_empty:
        return Work(prefetch_cycles=0)
    is_shared = i.uniform or i.groups == 1
    return Work(
        prefetch_cycles=i.prefetch_cycles(config),
        read_cycles=i.read_cycles(config),
        window=i.kernel,
        group_turns=0 if is_shared else i.lead + i.pixels * i.kernel,
        lead=i.lead,
        combines=bool(i.combine),
        kind="sums" if i.source_kind == Source.ACCUMULATOR else "reads",
    )


def _segments(i: Vector, windows: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Return the turns of windows and of what comes in front of lane groups."""
    if not i.lead:
        return windows
    lead = Segment(FREE_BANK, FREE_BANK, i.lead, is_lead=True)
    if i.uniform:
        return (lead, *windows)
    segments: list[Segment] = []
    left = 0
    for segment in windows:
        turns = segment.turns
        while turns:
            if not left:
                segments.append(lead)
                left = i.pixels * i.kernel
            part = min(turns, left)
            segments.append(segment._replace(turns=part))
            turns, left = turns - part, left - part
    return tuple(segments)


def _walked_segments(i: Vector, config: Config) -> tuple[Segment, ...]:
    """Return the turns of windows, word by word."""
    sources = step_banks(i.source_walk(config), config)
    if not i.combine:
        return _merge(sources, np.full(sources.shape, FREE_BANK))
    return _merge(sources, np.repeat(step_banks(i.operand_walk(config), config), i.kernel))


def _merge(source: NDArray[np.int64], operand: NDArray[np.int64]) -> tuple[Segment, ...]:
    changes = np.flatnonzero((source[1:] != source[:-1]) | (operand[1:] != operand[:-1]))
    last = np.append(changes, source.size - 1)
    segments, behind = [], 0
    for place, source_bank, operand_bank in zip(
        last.tolist(), source[last].tolist(), operand[last].tolist(), strict=True
    ):
        segments.append(Segment(source_bank, operand_bank, place + 1 - behind))
        behind = place + 1
    return tuple(segments)


def source_banks(plan: Sequence[Segment]) -> NDArray[np.int64]:
    """Return the bank of every turn's source read."""
    turns = [segment.turns for segment in plan]
    return np.repeat(np.array([segment.source_bank for segment in plan]), turns)
