"""Which banks a VECTOR instruction reads, turn by turn."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import vector_read_cycles, vector_setup_cycles
from tilewright.hw.spec.isa import Instruction, Source
from tilewright.sim.timing.ports import FREE_BANK, SRAM_MODULUS

_WORK_FIELDS = itemgetter(
    *("groups", "out_height", "out_width", "kernel_height", "kernel_width", "height", "width"),
    *(f"{name}_{axis}" for name in ("origin", "stride", "dilation") for axis in ("y", "x")),
    *("source_kind", "source", "source_stride", "source_pitch", "source_group"),
    *("operand", "operand_stride", "operand_pitch", "operand_group"),
    *("combine", "use_table", "uniform"),
)
_COPY_FIELDS = (
    *(("kernel_height", 1), ("kernel_width", 1), ("stride_y", 1), ("stride_x", 1)),
    *(("origin_y", 0), ("origin_x", 0)),
)

Kind = Literal["reads", "sums"]
"""What the source reads: activations or accumulators."""


class Segment(NamedTuple):
    """Consecutive turns that read the same banks."""

    source_bank: int
    operand_bank: int
    turns: int


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
        self._known: dict[tuple[int, ...], Work] = {}

    def work(self, i: Instruction) -> Work:
        """Return the work of a VECTOR."""
        key = _WORK_FIELDS(i.fields)
        if key not in self._known:
            self._known[key] = _work(i.fields, self._config)
        return self._known[key]


def _work(i: Mapping[str, int], config: Config) -> Work:
    setup_cycles = vector_setup_cycles(i, config)
    if not setup_cycles:
        return Work(setup_cycles)
    window = i["kernel_height"] * i["kernel_width"]
    is_shared = i["uniform"] or i["groups"] == 1
    segments = _segments(i, config)
    return Work(
        setup_cycles=setup_cycles,
        read_cycles=vector_read_cycles(i, config),
        window=window,
        group_turns=0 if is_shared else i["out_height"] * i["out_width"] * window,
        combines=bool(i["combine"]),
        kind="sums" if i["source_kind"] == Source.ACCUMULATOR else "reads",
        turns=sum(segment.turns for segment in segments),
        segments=segments,
        source_banks=tuple({segment.source_bank for segment in segments}),
        operand_banks=tuple({segment.operand_bank for segment in segments}),
    )


def _segments(i: Mapping[str, int], config: Config) -> tuple[Segment, ...]:
    is_accumulator = i["source_kind"] == Source.ACCUMULATOR
    groups = config.col_groups if is_accumulator else config.row_groups
    words = config.accumulator_words if is_accumulator else config.activation_words
    banks = config.accumulator_banks if is_accumulator else config.activation_banks
    only = _only_segment(i, config, groups, words // banks)
    if only is not None:
        return (only,)
    window = i["kernel_height"] * i["kernel_width"]
    blocks = (i["source_group"] + np.arange(i["groups"])) // groups * i["source_stride"]
    pixels, inside = _window_positions(i)
    source = i["source"] + blocks[:, None] + pixels.reshape(-1)
    source = source % SRAM_MODULUS // (words // banks)
    source = np.where(np.broadcast_to(inside.reshape(-1), source.shape), source, FREE_BANK)
    source = source.reshape(-1)
    operand = np.full(source.shape, FREE_BANK)
    if i["combine"]:
        operand = np.repeat(pixel_banks(i, config, "operand"), window)
    return _merge(source, operand)


def _only_segment(
    i: Mapping[str, int], config: Config, groups: int, bank_words: int
) -> Segment | None:
    """Return the turns of a copy of pixels if all words are in one bank, and all operands."""
    if any(i[name] != value for name, value in _COPY_FIELDS):
        return None
    if i["out_height"] > i["height"] or i["out_width"] > i["width"]:
        return None
    source = _only_bank(_span(i, "source", groups), bank_words)
    operand: int | None = FREE_BANK
    if i["combine"]:
        operand = _only_bank(_span(i, "operand", config.row_groups), config.activation_bank_words)
    if source is None or operand is None:
        return None
    return Segment(source, operand, i["groups"] * i["out_height"] * i["out_width"])


def _only_bank(span: tuple[int, int], bank_words: int) -> int | None:
    """Return the bank of both words and of all between; None if they are not in one."""
    bank = span[0] // bank_words
    return bank if span[1] < SRAM_MODULUS and span[1] // bank_words == bank else None


def _span(i: Mapping[str, int], buffer: str, groups: int) -> tuple[int, int]:
    """Return the first and the last word of the output pixels in a buffer; it may wrap.

    groups: lane groups of a word.
    """
    group, last = i[f"{buffer}_group"], i[buffer]
    first = last + group // groups * i[f"{buffer}_stride"]
    last += (group + i["groups"] - 1) // groups * i[f"{buffer}_stride"]
    last += (i["out_height"] - 1) * i[f"{buffer}_pitch"] + i["out_width"] - 1
    return first, last


def _window_positions(i: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return word offset, and whether it is read, by (y, x, ky, kx)."""
    y = i["origin_y"] + i["stride_y"] * np.arange(i["out_height"])[:, None]
    y = y + i["dilation_y"] * np.arange(i["kernel_height"])
    x = i["origin_x"] + i["stride_x"] * np.arange(i["out_width"])[:, None]
    x = x + i["dilation_x"] * np.arange(i["kernel_width"])
    rows, columns = y[:, None, :, None], x[None, :, None, :]
    inside = (rows >= 0) & (rows < i["height"]) & (columns >= 0) & (columns < i["width"])
    return rows * i["source_pitch"] + columns, inside


def pixel_banks(i: Mapping[str, int], config: Config, buffer: str) -> NDArray[np.int64]:
    """Return the bank of each output pixel's word in a buffer of the activation SRAM."""
    blocks = (i[f"{buffer}_group"] + np.arange(i["groups"])) // config.row_groups
    rows = np.arange(i["out_height"]) * i[f"{buffer}_pitch"]
    offsets = rows[:, None] + np.arange(i["out_width"])
    addresses = i[buffer] + (blocks * i[f"{buffer}_stride"])[:, None] + offsets.reshape(-1)
    banks: NDArray[np.int64] = (
        addresses % SRAM_MODULUS // (config.activation_words // config.activation_banks)
    )
    return banks.reshape(-1)


def destination_banks(i: Mapping[str, int], config: Config) -> range:
    """Return the banks between those of the first and the last word that it writes."""
    first, last = _span(i, "destination", config.row_groups)
    if last >= SRAM_MODULUS:
        return range(config.activation_banks)
    bank_words = config.activation_bank_words
    return range(first // bank_words, last // bank_words + 1)


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
