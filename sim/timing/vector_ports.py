"""Which banks a VECTOR instruction reads, turn by turn."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Shape, Source
from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.ports import FREE_BANK, only_bank, step_banks

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

    setup_cycles: int
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
    """The work of instructions; that of those with the same fields is known."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[Shape, int, int], Work] = {}

    def work(self, i: Vector) -> Work:
        """Return the work of a VECTOR."""
        key = (i.shape, i.source, i.operand)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _work(i, self._config)
        return found


def _work(i: Vector, config: Config) -> Work:
    if i.is_empty:
        return Work(setup_cycles=0)
    is_shared = i.uniform or i.groups == 1
    segments = _segments(i, config)
    return Work(
        setup_cycles=i.setup_cycles(config),
        read_cycles=i.read_cycles(config),
        window=i.kernel,
        group_turns=0 if is_shared else i.lead + i.pixels * i.kernel,
        lead=i.lead,
        combines=bool(i.combine),
        kind="sums" if i.source_kind == Source.ACCUMULATOR else "reads",
        turns=sum(segment.turns for segment in segments),
        segments=segments,
        source_banks=tuple({segment.source_bank for segment in segments}),
        operand_banks=tuple({segment.operand_bank for segment in segments}),
    )


def _segments(i: Vector, config: Config) -> tuple[Segment, ...]:
    windows = _window_segments(i, config)
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


def _window_segments(i: Vector, config: Config) -> tuple[Segment, ...]:
    source = i.source_walk(config)
    operand = i.operand_walk(config) if i.combine else None
    source_bank = only_bank(source, config)
    operand_bank = only_bank(operand, config) if operand else FREE_BANK
    if source_bank is not None and operand_bank is not None:
        return (Segment(source_bank, operand_bank, source.num_words),)
    sources = step_banks(source, config)
    if operand is None:
        return _merge(sources, np.full(sources.shape, FREE_BANK))
    return _merge(sources, np.repeat(step_banks(operand, config), i.kernel))


def _merge(source: NDArray[np.int64], operand: NDArray[np.int64]) -> tuple[Segment, ...]:
    changes = np.flatnonzero(np.diff(source) | np.diff(operand)) + 1
    starts = np.concatenate(([0], changes))
    turns = np.diff(np.append(starts, source.size))
    return tuple(
        Segment(int(source[start]), int(operand[start]), int(count))
        for start, count in zip(starts, turns, strict=True)
    )


def source_banks(plan: Sequence[Segment]) -> NDArray[np.int64]:
    """Return the bank of every turn's source read."""
    turns = [segment.turns for segment in plan]
    return np.repeat(np.array([segment.source_bank for segment in plan]), turns)
