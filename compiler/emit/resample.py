"""The VECTOR instructions of a Resample's tile: runs of rows times runs of columns."""

from collections.abc import Iterator
from dataclasses import replace

from tilewright.compiler.emit.context import View
from tilewright.compiler.graph.graph import Resample
from tilewright.compiler.graph.runs import Run, axis_runs
from tilewright.compiler.plan.boxes import Box
from tilewright.hw.spec.operations.vector import Vector


def resampled(
    node: Resample, vector: Vector, tile: Box, block: int, views: tuple[View, View], group: int
) -> Iterator[Vector]:
    """Yield the instructions that make a tile of the blocks from `block` on.

    vector: groups, parameters and block strides; views: of source and destination; group: blocks of
    a phase.
    """
    rows = axis_runs(node.rows[tile.top : tile.bottom], tile.top, node.phases[0])
    columns = axis_runs(node.columns[tile.left : tile.right], tile.left, node.phases[1])
    vector = replace(vector, kernel_height=1, kernel_width=1)
    for row in rows:
        for column in columns:
            phase = row.first % node.phases[0] * node.phases[1] + column.first % node.phases[1]
            blocks = (phase * group + block, block)
            if column.step == 1 or column.count == 1:
                yield _box(vector, row, column, blocks, views)
            elif row.count > column.count:
                for single in _singles(column):
                    yield _box(vector, row, single, blocks, views)
            else:
                for single in _singles(row):
                    yield _line(vector, single, column, blocks, views)


def _singles(run: Run) -> list[Run]:
    return [replace(run, first=first, count=1, source=source) for first, source in run.positions()]


def _box(
    vector: Vector, row: Run, column: Run, blocks: tuple[int, int], views: tuple[View, View]
) -> Vector:
    """Rows in the outer loop; the columns lie side by side."""
    source, out = views
    return replace(
        vector,
        out_height=row.count,
        out_width=column.count,
        stride_y=row.source_step,
        stride_x=column.source_step,
        origin_y=row.source - source.box.top,
        origin_x=column.source - source.box.left,
        height=source.box.height,
        width=source.box.width,
        source=source.first_word(blocks[0]),
        source_pitch=source.pitch,
        destination=out.word(blocks[1], row.first, column.first),
        destination_pitch=row.step * out.pitch if row.count > 1 else 0,
    )


def _line(
    vector: Vector, row: Run, column: Run, blocks: tuple[int, int], views: tuple[View, View]
) -> Vector:
    """One row: its columns are the outer loop, of a source of one pixel a row."""
    source, out = views
    return replace(
        vector,
        out_height=column.count,
        out_width=1,
        stride_y=column.source_step,
        stride_x=1,
        origin_y=column.source - source.box.left,
        height=source.box.width,
        width=1,
        source=source.word(blocks[0], row.source, source.box.left),
        source_pitch=1,
        destination=out.word(blocks[1], row.first, column.first),
        destination_pitch=column.step,
    )
