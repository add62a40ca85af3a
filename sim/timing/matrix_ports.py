"""When the matrix engine takes the banks of the activation SRAM and of the accumulators."""

from collections.abc import Callable

from tilewright.hw.spec.isa import Shape
from tilewright.hw.spec.loops import Axis, Loop
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.sim.timing.ports import BankTimeline, Taken


class Pattern:
    """A kind of access; what instructions of a shape that start at the same word take is known."""

    def __init__(
        self,
        timeline: BankTimeline,
        note: Callable[[Matrix, int, BankTimeline], None],
    ) -> None:
        self._timeline, self._note = timeline, note
        self._known: dict[tuple[Shape, int], list[Taken]] = {}

    def occupy(self, i: Matrix, base: int, tile_cycles: int, start: int) -> None:
        """Take what an instruction does from the word `base` on.

        Its first pixel's turn is in cycle `start`.
        """
        key = (i.shape, base)
        pattern = self._known.get(key)
        if pattern is None:
            timeline = self._timeline.like()
            self._note(i, tile_cycles, timeline)
            pattern = self._known[key] = timeline.taken()
        self._timeline.occupy_as(pattern, start)


def activation_reads(timeline: BankTimeline) -> Pattern:
    """Reads of activations: the window's words."""
    return Pattern(timeline, _activation_reads)


def accumulator_reads(timeline: BankTimeline) -> Pattern:
    """Reads of accumulators: one word a pixel of every tile that adds."""
    return Pattern(timeline, _accumulator_reads)


def accumulator_writes(timeline: BankTimeline) -> Pattern:
    """Writes of accumulators: one word a pixel of every tile."""
    return Pattern(timeline, _accumulator_writes)


def _accumulator_reads(i: Matrix, tile_cycles: int, timeline: BankTimeline) -> None:
    _sums(i, tile_cycles, 0 if i.accumulate else 1, timeline)


def _accumulator_writes(i: Matrix, tile_cycles: int, timeline: BankTimeline) -> None:
    _sums(i, tile_cycles, 0, timeline)


def _sums(i: Matrix, tile_cycles: int, skipped: int, timeline: BankTimeline) -> None:
    """Note a word a pixel of all tiles of an output block but the first `skipped` ones."""
    pixels, block_tiles = i.pixels, i.block_tiles
    for block in range(i.out_blocks):
        address = i.destination + block * i.destination_stride
        start = block * block_tiles * tile_cycles
        bank = timeline.bank_of(address, address + pixels - 1)
        if bank is not None and tile_cycles == pixels and block_tiles > skipped:
            begin = start + skipped * tile_cycles
            timeline.occupy_bank(bank, begin, start + block_tiles * tile_cycles)
            continue
        for tile in range(skipped, block_tiles):
            timeline.occupy(address, pixels, start + tile * tile_cycles)


def _activation_reads(i: Matrix, tile_cycles: int, timeline: BankTimeline) -> None:
    rows, columns = map(_valid, i.frame(i.source_pitch), i.kernel_loops, i.pixel_loops)
    pitch, cycle = i.source_pitch, 0
    for out_block in range(i.out_blocks):
        for in_block in range(i.in_blocks):
            block = i.source + out_block * i.source_out_stride
            block += in_block * i.source_in_stride
            for y, valid_rows in rows:
                for x, valid_columns in columns:
                    if valid_rows and valid_columns:
                        origin = block + y * pitch + x
                        _read_tile(i, origin, valid_rows, valid_columns, cycle, timeline)
                    cycle += tile_cycles


def _read_tile(
    i: Matrix, origin: int, rows: range, columns: range, cycle: int, timeline: BankTimeline
) -> None:
    """Note the reads of one weight tile, whose first pixel's turn is in `cycle`.

    origin: the word of pixel (0, 0), which may be inside of the map; rows, columns: the
    output pixels whose source is inside of it.
    """
    out_width = i.out_width
    row_step, stride = i.stride_y * i.source_pitch, i.stride_x
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


def _valid(axis: Axis, kernel: Loop, outputs: Loop) -> list[tuple[int, range]]:
    """Return of each kernel element its first source coordinate and the outputs that have one."""
    valid = []
    for element in range(kernel.count):
        start, stride = axis.origin + element * kernel.stride, outputs.stride
        if stride:
            last = -((start - axis.size) // stride)
            inside = max(0, -(start // stride)), min(outputs.count, last)
        else:
            inside = 0, outputs.count if 0 <= start < axis.size else 0
        valid.append((start, range(*inside)))
    return valid
