"""Kernel folding: kernel columns, and some kernel rows, of a first layer become channels.

The host writes the folded map; on the array a layer of few input channels then fills its rows.
"""

import numpy as np
from numpy.typing import NDArray

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Fold:
    """Output channel (j * columns + i) * C + c, row r, column x holds input channel c at row
    r * row_step + j - top, column x * column_step + i - left, or `padding` outside the map.
    """

    rows: int
    """Kernel rows that are folded."""
    columns: int
    """Kernel columns that are folded (all of them)."""
    row_step: int
    column_step: int
    top: int
    left: int
    height: int
    """Rows of the folded map."""
    width: int
    """Columns of the folded map."""
    padding: int
    """int8 value of pixels outside the map: its zero point."""


def fold_map(values: NDArray[np.int8], fold: Fold) -> NDArray[np.int8]:
    """Fold a map (C, H, W) into (rows * columns * C, height, width), int8."""
    channels, height, width = values.shape
    bottom = (fold.height - 1) * fold.row_step + fold.rows - fold.top - height
    right = (fold.width - 1) * fold.column_step + fold.columns - fold.left - width
    padded = np.pad(
        values,
        ((0, 0), (fold.top, max(bottom, 0)), (fold.left, max(right, 0))),
        constant_values=fold.padding,
    )
    folded = np.empty((fold.rows, fold.columns, channels, fold.height, fold.width), np.int8)
    for row in range(fold.rows):
        last_row = row + (fold.height - 1) * fold.row_step + 1
        for column in range(fold.columns):
            last_column = column + (fold.width - 1) * fold.column_step + 1
            folded[row, column] = padded[
                :, row : last_row : fold.row_step, column : last_column : fold.column_step
            ]
    return folded.reshape(-1, fold.height, fold.width)
