"""The matrix engine: it never stalls, so that an instruction's times are known on acceptance."""

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING

from tilewright.hw.spec.cycles import (
    ACCUMULATE_LATENCY,
    MATRIX_ISSUE_CYCLES,
    MATRIX_SETUP_CYCLES,
    array_latency,
    matrix_tile_cycles,
)
from tilewright.hw.spec.isa import Instruction
from tilewright.sim.timing.ports import BankTimeline

if TYPE_CHECKING:
    from tilewright.sim.timing.machine import Machine

READ_CYCLES = 2
"""From the cycle in which a weight tile is taken to its first pixel's activation read."""
_TILE_FIELDS = (
    "out_blocks",
    "in_blocks",
    "kernel_height",
    "kernel_width",
    "out_height",
    "out_width",
)
_ACTIVATION_FIELDS = itemgetter(
    *_TILE_FIELDS,
    *("origin_y", "origin_x", "stride_y", "stride_x", "dilation_y", "dilation_x"),
    *("height", "width", "source", "source_pitch", "source_out_stride", "source_in_stride"),
)
_ACCUMULATOR_FIELDS = itemgetter(*_TILE_FIELDS, "destination", "destination_stride", "accumulate")


class MatrixModel:
    """Weight tiles follow one another; the next instruction's first tile loads meanwhile."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        config = machine.config
        self._tile_load = max(config.rows, ACCUMULATE_LATENCY)
        self._first_load = max(self._tile_load, MATRIX_SETUP_CYCLES)
        self._pipeline = MATRIX_ISSUE_CYCLES + array_latency(config)
        self._ready = 0
        """When the last tile was taken."""
        self._pixels_end = 0
        """When the next tile can be taken."""
        self._last_word = -1
        self.version = 0
        """Of what is known of its reads."""
        self._pending: deque[tuple[Instruction, int, int, int]] = deque()
        """Instruction, first pixel, cycles of a tile and the last tile's end."""
        self._activation_patterns: dict[tuple[int, ...], BankTimeline] = {}
        self._accumulator_patterns: dict[tuple[int, ...], BankTimeline] = {}

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: when the last tile before it is taken."""
        return max(offer, self._ready)

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel: notes its retirement and its reads."""
        i = self._machine.instructions[number]
        pixels = i["out_height"] * i["out_width"]
        tiles = i["out_blocks"] * i["in_blocks"] * i["kernel_height"] * i["kernel_width"]
        is_empty = not (pixels and tiles)
        if is_empty:
            pixels, tiles = 1, 1
        first = max(cycle + self._first_load, self._pixels_end)
        if not is_empty and i["accumulate"]:
            first = self._after_pending_sum(first, i["destination"])
        tile_cycles = matrix_tile_cycles(pixels, self._machine.config)
        self._ready = first + (tiles - 1) * tile_cycles
        self._pixels_end = self._ready + pixels
        self._machine.retire(number, self._ready + pixels + self._pipeline, cycle)
        if is_empty:
            self._last_word = -1
            return
        last_block = i["destination"] + (i["out_blocks"] - 1) * i["destination_stride"]
        self._last_word = last_block + pixels - 1
        self.version += 1
        self._read_accumulators(i, first, tile_cycles)
        self._pending.append((i, first, tile_cycles, self._pixels_end))

    def _after_pending_sum(self, first: int, destination: int) -> int:
        """A block that accumulates waits until the last two sums before it can be read."""
        behind = first - self._pixels_end
        if destination == self._last_word and behind < 2:
            return self._pixels_end + 2
        if destination + 1 == self._last_word and behind < 1:
            return self._pixels_end + 1
        return first

    def _read_accumulators(self, i: Instruction, first: int, tile_cycles: int) -> None:
        """Note the reads of every tile that adds: one word a pixel."""
        timeline = self._machine.accumulator_reads
        key = _ACCUMULATOR_FIELDS(i.fields)
        if key not in self._accumulator_patterns:
            pattern = timeline.like()
            self._accumulator_patterns[key] = pattern
            _accumulator_reads(i, tile_cycles, pattern)
        timeline.occupy_as(self._accumulator_patterns[key], first + self._pipeline - 1)

    def note_activation_reads(self, cycle: int) -> None:
        """Note the activation reads of all instructions that end behind `cycle`."""
        if self._machine.store.begin is not None:
            cycle = min(cycle, self._machine.store.begin)
        timeline = self._machine.activation_reads
        while self._pending:
            i, first, tile_cycles, end = self._pending.popleft()
            if end + READ_CYCLES <= cycle:
                continue
            key = _ACTIVATION_FIELDS(i.fields)
            if key not in self._activation_patterns:
                pattern = timeline.like()
                self._activation_patterns[key] = pattern
                _activation_reads(i, tile_cycles, pattern)
            timeline.occupy_as(self._activation_patterns[key], first + READ_CYCLES)


def _accumulator_reads(i: Instruction, tile_cycles: int, timeline: BankTimeline) -> None:
    """Note an instruction's reads of accumulators; the first pixel of the first tile in cycle 0."""
    pixels = i["out_height"] * i["out_width"]
    block_tiles = i["in_blocks"] * i["kernel_height"] * i["kernel_width"]
    skipped = 0 if i["accumulate"] else 1
    for block in range(i["out_blocks"]):
        address = i["destination"] + block * i["destination_stride"]
        start = block * block_tiles * tile_cycles
        bank = timeline.bank_of(address, address + pixels - 1)
        if bank is not None and tile_cycles == pixels and block_tiles > skipped:
            begin = start + skipped * tile_cycles
            timeline.occupy_bank(bank, begin, start + block_tiles * tile_cycles)
            continue
        for tile in range(skipped, block_tiles):
            timeline.occupy(address, pixels, start + tile * tile_cycles)


def _activation_reads(i: Instruction, tile_cycles: int, timeline: BankTimeline) -> None:
    """Note an instruction's reads of activations; the first pixel of the first tile in cycle 0."""
    rows = [_valid(i, "y", ky) for ky in range(i["kernel_height"])]
    columns = [_valid(i, "x", kx) for kx in range(i["kernel_width"])]
    pitch, cycle = i["source_pitch"], 0
    for out_block in range(i["out_blocks"]):
        for in_block in range(i["in_blocks"]):
            block = i["source"] + out_block * i["source_out_stride"]
            block += in_block * i["source_in_stride"]
            for y, valid_rows in rows:
                for x, valid_columns in columns:
                    if valid_rows and valid_columns:
                        origin = block + y * pitch + x
                        _read_tile(i, origin, valid_rows, valid_columns, cycle, timeline)
                    cycle += tile_cycles


def _read_tile(
    i: Instruction, origin: int, rows: range, columns: range, cycle: int, timeline: BankTimeline
) -> None:
    """Note the reads of one weight tile, whose first pixel's turn is in `cycle`.

    origin: the word of pixel (0, 0), which may be outside of the map; rows, columns: the
    output pixels whose source is inside of it.
    """
    out_width = i["out_width"]
    row_step, stride = i["stride_y"] * i["source_pitch"], i["stride_x"]
    left, right = origin + columns[0] * stride, origin + columns[-1] * stride
    bank = timeline.bank_of(left + rows[0] * row_step, right + rows[-1] * row_step)
    if bank is not None and len(columns) == out_width:
        start = cycle + rows[0] * out_width
        timeline.occupy_bank(bank, start, start + len(rows) * out_width)
        return
    for row in rows:
        start = cycle + row * out_width
        bank = timeline.bank_of(left + row * row_step, right + row * row_step)
        if bank is not None:
            timeline.occupy_bank(bank, start + columns[0], start + columns[-1] + 1)
            continue
        for column in columns:
            address = origin + row * row_step + column * stride
            timeline.occupy(address, 1, start + column)


def _valid(i: Instruction, axis: str, kernel: int) -> tuple[int, range]:
    """Return a kernel element's first source coordinate and the outputs whose source exists.

    axis: "y" or "x".
    """
    size, count = ("height", "out_height") if axis == "y" else ("width", "out_width")
    stride = i[f"stride_{axis}"]
    start = i[f"origin_{axis}"] + kernel * i[f"dilation_{axis}"]
    if not stride:
        return start, range(i[count] if 0 <= start < i[size] else 0)
    return start, range(max(0, -(start // stride)), min(i[count], -((start - i[size]) // stride)))
