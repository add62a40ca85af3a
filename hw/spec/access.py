"""The words that an instruction reads and writes, as sorted disjoint intervals of each memory.

Derived from the loops of docs/architecture.md. Units: SRAM words; DRAM bytes, a word counting with
its whole pitch. Accesses out of range are dropped, as the hardware does, and reported.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import SRAM_ADDRESS_BITS, Config
from tilewright.hw.spec.isa import Combine, Instruction, Source, Target

SRAM_MODULUS = 1 << SRAM_ADDRESS_BITS
DRAM_MODULUS = 1 << 32

Addresses = NDArray[np.int64]


class Space(enum.IntEnum):
    """The memories an instruction can touch."""

    ACTIVATION = 0
    WEIGHT = 1
    ACCUMULATOR = 2
    PARAMETER = 3
    DRAM = 4


SPACE_OF_TARGET = {
    Target.ACTIVATION: Space.ACTIVATION,
    Target.WEIGHT: Space.WEIGHT,
    Target.PARAMETER: Space.PARAMETER,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Access:
    """Half-open intervals [starts[i], ends[i]) of one memory: sorted, disjoint, not adjacent."""

    space: Space
    starts: Addresses
    ends: Addresses

    @property
    def addresses(self) -> Addresses:
        """Every address, ascending (expands the intervals)."""
        lengths = self.ends - self.starts
        offsets = np.repeat(self.starts - np.cumsum(lengths) + lengths, lengths)
        return offsets + np.arange(int(lengths.sum()), dtype=np.int64)

    def overlaps(self, other: "Access") -> bool:
        """Tell whether the two have an address of the same memory in common."""
        if self.space != other.space or not self.starts.size or not other.starts.size:
            return False
        following = np.searchsorted(self.ends, other.starts, side="right")
        inside = following < self.starts.size
        return bool((self.starts[following[inside]] < other.ends[inside]).any())


@dataclass(frozen=True, kw_only=True, eq=False)
class Accesses:
    """Everything one instruction touches, at most one Access a memory and direction.

    Accumulators count as read only where an instruction adds to what they held before it.
    """

    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    out_of_range: bool = False
    """The hardware raises SRAM_RANGE."""

    def conflicts(self, later: "Accesses") -> bool:
        """Tell whether a later instruction must be ordered behind this one."""
        return (
            any(write.overlaps(other) for write in self.writes for other in later.reads)
            or any(write.overlaps(other) for write in self.writes for other in later.writes)
            or any(read.overlaps(other) for read in self.reads for other in later.writes)
        )


Dimension = tuple[int, int]
"""(count, stride) of one loop."""


def affine(
    base: int, run: int, dimensions: tuple[Dimension, ...], offsets: Addresses | None = None
) -> tuple[Addresses, int]:
    """Return (starts, length) whose intervals cover base + offsets + every loop's steps + [0, run).

    Loops whose step does not pass the run are folded into it, so dense regions are one interval.
    """
    starts = np.array([base], np.int64) if offsets is None else base + offsets
    for count, stride in sorted(dimensions, key=lambda dimension: dimension[1]):
        if stride <= run:
            run += stride * (count - 1)
        else:
            steps = np.arange(count, dtype=np.int64) * stride
            starts = (starts[:, None] + steps).reshape(-1)
    return starts, run


def merge(starts: Addresses, ends: Addresses) -> tuple[Addresses, Addresses]:
    """Return the union of intervals, sorted, disjoint and not adjacent."""
    if starts.size > 1:
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        first = np.concatenate(([True], starts[1:] > ends[:-1]))
        starts, ends = starts[first], ends[np.concatenate((first[1:], [True]))]
    return starts, ends


class _Collector:
    """Gathers intervals per memory, wraps them at the modulus and clips them at the size."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.out_of_range = False
        self.intervals: dict[Space, list[tuple[Addresses, Addresses]]] = {}

    def add(self, space: Space, starts: Addresses, length: int) -> None:
        """Add [start, start + length) of each start; SRAM addresses wrap at 2^20."""
        modulus = DRAM_MODULUS if space == Space.DRAM else SRAM_MODULUS
        limit = modulus if space == Space.DRAM else num_words(space, self.config)
        starts, ends = _wrap(starts, length, modulus)
        if limit < modulus and ends.size and int(ends.max()) > limit:
            self.out_of_range = True
            inside = starts < limit
            starts, ends = starts[inside], np.minimum(ends[inside], limit)
        self.intervals.setdefault(space, []).append((starts, ends))

    def add_ring(self, starts: Addresses, length: int) -> None:
        """Add runs of the weight ring; a run whose first word is out of range is dropped."""
        starts = starts % SRAM_MODULUS
        inside = starts < self.config.weight_words
        if not inside.all():
            self.out_of_range = True
            starts = starts[inside]
        self.intervals.setdefault(Space.WEIGHT, []).append(
            _wrap(starts, length, self.config.weight_words)
        )

    def result(self) -> tuple[Access, ...]:
        """Return the accesses, one a memory."""
        accesses = []
        for space in sorted(self.intervals):
            parts = self.intervals[space]
            starts, ends = parts[0]
            if len(parts) > 1:
                starts = np.concatenate([part[0] for part in parts])
                ends = np.concatenate([part[1] for part in parts])
            starts, ends = merge(starts, ends)
            if starts.size:
                accesses.append(Access(space=space, starts=starts, ends=ends))
        return tuple(accesses)


def _wrap(starts: Addresses, length: int, modulus: int) -> tuple[Addresses, Addresses]:
    """Reduce intervals modulo `modulus`; those that cross it are cut in two."""
    if length >= modulus and starts.size:
        return np.zeros(1, np.int64), np.full(1, modulus, np.int64)
    starts = starts % modulus
    ends = starts + length
    crossing = ends > modulus
    if crossing.any():
        wrapped = ends[crossing] - modulus
        starts = np.concatenate((starts, np.zeros(wrapped.size, np.int64)))
        ends = np.concatenate((np.minimum(ends, modulus), wrapped))
    return starts, ends


def num_words(space: Space, config: Config) -> int:
    """Return the words of an SRAM."""
    return {
        Space.ACTIVATION: config.activation_words,
        Space.WEIGHT: config.weight_words,
        Space.ACCUMULATOR: config.accumulator_words,
        Space.PARAMETER: config.parameter_words,
    }[space]


def word_pitch(space: Space, config: Config) -> int:
    """Return the DRAM bytes between two words of an SRAM."""
    return {
        Space.ACTIVATION: config.activation_pitch,
        Space.WEIGHT: config.weight_pitch,
        Space.PARAMETER: config.parameter_pitch,
    }[space]


def transfer_space(instruction: Instruction) -> Space:
    """Return the SRAM side of a LOAD or STORE."""
    if instruction.operation == "STORE":
        return Space.ACTIVATION
    return SPACE_OF_TARGET[Target(instruction["target"])]


def axis_positions(
    origin: int, out: int, stride: int, kernel: int, dilation: int, size: int
) -> tuple[Addresses, int]:
    """Return (starts, length): the source coordinates in [0, size) that a window axis visits.

    One run when they are contiguous, else one start a coordinate.
    """
    starts, length = affine(origin, 1, ((out, stride), (kernel, dilation)))
    if starts.size == 1:
        first, end = max(int(starts[0]), 0), min(int(starts[0]) + length, size)
        return np.array([first][: end > first], np.int64), end - first
    positions = (starts[:, None] + np.arange(length)).reshape(-1)
    positions = np.unique(positions[(positions >= 0) & (positions < size)])
    return positions, 1


def _window(
    instruction: Instruction, base: int, dimensions: tuple[Dimension, ...]
) -> tuple[Addresses, int]:
    """Return (starts, length) of the source words of a windowed read."""
    i = instruction
    rows, num_rows = axis_positions(
        i["origin_y"], i["out_height"], i["stride_y"], i["kernel_height"], i["dilation_y"],
        i["height"],
    )  # fmt: skip
    cols, num_cols = axis_positions(
        i["origin_x"], i["out_width"], i["stride_x"], i["kernel_width"], i["dilation_x"],
        i["width"],
    )  # fmt: skip
    if not rows.size or not cols.size:
        return np.zeros(0, np.int64), 0
    pitch = i["source_pitch"]
    offsets = (rows[:, None] * pitch + cols).reshape(-1)
    return affine(base, num_cols, ((num_rows, pitch), *dimensions), offsets)


def _transfer(i: Instruction, config: Config) -> Accesses:
    if 0 in (i["run"], i["count0"], i["count1"], i["count2"]):
        return Accesses()
    space = transfer_space(i)
    pitch = word_pitch(space, config)
    dram, sram = _Collector(config), _Collector(config)
    base, dimensions = i["dram_address"] & -pitch, []
    for axis in range(3):
        count, stride = i[f"count{axis}"], i[f"dram_stride{axis}"] & -pitch
        if stride >= DRAM_MODULUS // 2:
            stride = DRAM_MODULUS - stride
            base -= stride * (count - 1)
        dimensions.append((count, stride))
    dram.add(Space.DRAM, *affine(base, i["run"] * pitch, tuple(dimensions)))
    steps = tuple((i[f"count{axis}"], i[f"sram_stride{axis}"]) for axis in range(3))
    if space == Space.WEIGHT:
        offsets, _ = affine(i["sram_address"], 0, steps)
        sram.add_ring(offsets, i["run"])
    else:
        sram.add(space, *affine(i["sram_address"], i["run"], steps))
    reads, writes = (sram, dram) if i.operation == "STORE" else (dram, sram)
    return Accesses(reads=reads.result(), writes=writes.result(), out_of_range=sram.out_of_range)


_MATRIX_COUNTS = (
    "out_blocks", "in_blocks", "kernel_height", "kernel_width", "out_height", "out_width"
)  # fmt: skip
DEPTHWISE_COUNTS = ("blocks", "kernel_height", "kernel_width", "out_height", "out_width")
_VECTOR_COUNTS = ("groups", "kernel_height", "kernel_width", "out_height", "out_width")


def _matrix(i: Instruction, config: Config) -> Accesses:
    if any(i[name] == 0 for name in _MATRIX_COUNTS):
        return Accesses()
    reads, writes = _Collector(config), _Collector(config)
    blocks = (
        (i["out_blocks"], i["source_out_stride"]),
        (i["in_blocks"], i["source_in_stride"]),
    )
    reads.add(Space.ACTIVATION, *_window(i, i["source"], blocks))
    tiles = i["out_blocks"] * i["in_blocks"] * i["kernel_height"] * i["kernel_width"]
    reads.add_ring(np.array([i["weights"]], np.int64), tiles * config.rows)
    pixels = i["out_height"] * i["out_width"]
    destination = affine(i["destination"], pixels, ((i["out_blocks"], i["destination_stride"]),))
    writes.add(Space.ACCUMULATOR, *destination)
    if i["accumulate"]:
        reads.add(Space.ACCUMULATOR, *destination)
    return Accesses(
        reads=reads.result(),
        writes=writes.result(),
        out_of_range=reads.out_of_range or writes.out_of_range,
    )


def depthwise_positions(fields: Mapping[str, int]) -> int:
    """Return the source columns that a DEPTHWISE instruction visits for a row of outputs."""
    return (fields["out_width"] - 1) * max(fields["stride_x"], 1) + fields["kernel_width"]


def _depthwise(i: Instruction, config: Config) -> Accesses:
    if any(i[name] == 0 for name in DEPTHWISE_COUNTS):
        return Accesses()
    reads, writes = _Collector(config), _Collector(config)
    columns = {"out_width": depthwise_positions(i.fields), "stride_x": 1}
    visited = {**i.fields, **columns, "kernel_width": 1, "dilation_x": 1}
    window = Instruction(operation=i.operation, fields=visited)
    blocks = (i["blocks"], i["source_stride"])
    reads.add(Space.ACTIVATION, *_window(window, i["source"], (blocks,)))
    weights = np.array([i["weights"]], np.int64)
    reads.add(Space.PARAMETER, weights, i["blocks"] * config.depthwise_words)
    pixels = i["out_height"] * i["out_width"]
    destination = affine(i["destination"], pixels, ((i["blocks"], i["destination_stride"]),))
    writes.add(Space.ACCUMULATOR, *destination)
    if i["accumulate"]:
        reads.add(Space.ACCUMULATOR, *destination)
    return Accesses(
        reads=reads.result(),
        writes=writes.result(),
        out_of_range=reads.out_of_range or writes.out_of_range,
    )


def groups_in_range(i: Instruction, config: Config) -> bool:
    """Tell whether a VECTOR instruction's first lane groups lie in their words."""
    accumulator = i["source_kind"] == Source.ACCUMULATOR
    source_groups = config.col_groups if accumulator else config.row_groups
    return (
        i["source_group"] < source_groups
        and i["destination_group"] < config.row_groups
        and (i["combine"] == Combine.NONE or i["operand_group"] < config.row_groups)
    )


def _vector(i: Instruction, config: Config) -> Accesses:
    if any(i[name] == 0 for name in _VECTOR_COUNTS):
        return Accesses()
    if not groups_in_range(i, config):
        return Accesses(out_of_range=True)
    accumulator = i["source_kind"] == Source.ACCUMULATOR
    reads, writes = _Collector(config), _Collector(config)
    groups = config.col_groups if accumulator else config.row_groups
    space = Space.ACCUMULATOR if accumulator else Space.ACTIVATION
    blocks = (-(-(i["source_group"] + i["groups"]) // groups), i["source_stride"])
    reads.add(space, *_window(i, i["source"], (blocks,)))
    for name, collector in (("operand", reads), ("destination", writes)):
        if name == "destination" or i["combine"] != Combine.NONE:
            blocks = (
                -(-(i[f"{name}_group"] + i["groups"]) // config.row_groups),
                i[f"{name}_stride"],
            )
            rows = (i["out_height"], i[f"{name}_pitch"])
            words = affine(i[name], i["out_width"], (blocks, rows))
            collector.add(Space.ACTIVATION, *words)
    parameters = config.header_words + (1 if i["uniform"] else i["groups"])
    reads.add(Space.PARAMETER, np.array([i["parameters"]], np.int64), parameters)
    if i["use_table"]:
        reads.add(Space.PARAMETER, np.array([i["table"]], np.int64), config.table_words)
    return Accesses(
        reads=reads.result(),
        writes=writes.result(),
        out_of_range=reads.out_of_range or writes.out_of_range,
    )


ACCESS: dict[str, Callable[[Instruction, Config], Accesses]] = {
    "END": lambda instruction, config: Accesses(),
    "LOAD": _transfer,
    "STORE": _transfer,
    "MATRIX": _matrix,
    "DEPTHWISE": _depthwise,
    "VECTOR": _vector,
}
"""How each operation's accesses are derived."""


def accesses(instruction: Instruction, config: Config) -> Accesses:
    """Return the words an instruction reads and writes (its own fetch from DRAM not included)."""
    return ACCESS[instruction.operation](instruction, config)
