"""When the matrix engine takes the banks of the activation SRAM and of the accumulators."""

from collections.abc import Callable, Mapping
from operator import itemgetter

from tilewright.hw.spec.isa import Instruction
from tilewright.sim.timing.ports import BankTimeline, Taken

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


class Pattern:
    """A kind of access; what instructions with the same fields take is known."""

    def __init__(
        self,
        timeline: BankTimeline,
        fields: Callable[[Mapping[str, int]], tuple[int, ...]],
        note: Callable[[Instruction, int, BankTimeline], None],
    ) -> None:
        self._timeline, self._fields, self._note = timeline, fields, note
        self._known: dict[tuple[int, ...], list[Taken]] = {}

    def occupy(self, i: Instruction, tile_cycles: int, start: int) -> None:
        """Take what an instruction does; its first pixel's turn is in cycle `start`."""
        key = self._fields(i.fields)
        pattern = self._known.get(key)
        if pattern is None:
            timeline = self._timeline.like()
            self._note(i, tile_cycles, timeline)
            pattern = self._known[key] = timeline.taken()
        self._timeline.occupy_as(pattern, start)


def activation_reads(timeline: BankTimeline) -> Pattern:
    """Reads of activations: the window's words."""
    return Pattern(timeline, _ACTIVATION_FIELDS, _activation_reads)


def accumulator_reads(timeline: BankTimeline) -> Pattern:
    """Reads of accumulators: one word a pixel of every tile that adds."""
    return Pattern(timeline, _ACCUMULATOR_FIELDS, _accumulator_reads)


def accumulator_writes(timeline: BankTimeline) -> Pattern:
    """Writes of accumulators: one word a pixel of every tile."""
    return Pattern(timeline, _ACCUMULATOR_FIELDS, _accumulator_writes)


def _accumulator_reads(i: Instruction, tile_cycles: int, timeline: BankTimeline) -> None:
    _sums(i, tile_cycles, 0 if i["accumulate"] else 1, timeline)


def _accumulator_writes(i: Instruction, tile_cycles: int, timeline: BankTimeline) -> None:
    _sums(i, tile_cycles, 0, timeline)


def _sums(i: Instruction, tile_cycles: int, skipped: int, timeline: BankTimeline) -> None:
    """Note a word a pixel of all tiles of an output block but the first `skipped` ones."""
    pixels = i["out_height"] * i["out_width"]
    block_tiles = i["in_blocks"] * i["kernel_height"] * i["kernel_width"]
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
    if bank is not None:
        starts = [cycle + row * out_width + columns[0] for row in rows]
        timeline.occupy_all(bank, starts, [start + len(columns) for start in starts])
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
