"""The largest channel of each pixel: poolings of a few equal parts of the channels.

A resampling puts the pixels of the parts in between each other, a pooling takes the largest of each
window; so a quarter of the channels is left, and so on down to one. Parts may overlap.
"""

import numpy as np

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.store import store_exactly
from tilewright.compiler.frontend.values import Index, Pooled, Quantized, Real

PARTS = 4
ALIGNED_PARTS = (PARTS, 3, 2, 5, 7)
"""How many parts are taken where each begins a word, the best number first; else PARTS."""
WORD = 16
"""Channels of a word, or of several."""


def largest_channel(context: Context, source: Quantized, rows: Index, name: str) -> Real:
    """The largest of each row of `rows` [pixels, channels], positions in the stored `source`."""
    want = _in_map(context, source, rows)
    channels, height, width = want.shape
    while True:
        kernel = _kernel(channels)
        parts = kernel[0] * kernel[1]
        size = -(-channels // parts)
        firsts = np.minimum(np.arange(parts) * size, channels - size)
        cut = want[firsts[:, None] + np.arange(size)].reshape(*kernel, size, height, width)
        mixed = cut.transpose(2, 3, 0, 4, 1).reshape(size, height * kernel[0], width * kernel[1])
        producer = Pooled(
            kind="max",
            source=source,
            feature_map=context.builder.as_map(source, mixed),
            kernel=kernel,
            strides=kernel,
            shape=(size, height, width),
        )
        largest = Real(producer=producer, index=natural_index(producer.shape), names=(name,))
        if size == 1:
            return largest
        stored = store_exactly(context, largest)
        assert stored is not None, "a largest value is a level of its source"
        source, want, channels = stored, stored.index, size


def _in_map(context: Context, source: Quantized, rows: Index) -> Index:
    """`rows` as a map [C, H, W], of the height and width that are stored where all pixels are."""
    stored = context.builder.maps[source.origin]
    sides = (1, len(rows))
    if np.array_equal(rows[:, 0] % stored.pixels, np.arange(stored.pixels)):
        sides = (stored.height, stored.width)
    return rows.T.reshape(rows.shape[1], *sides)


def _kernel(channels: int) -> tuple[int, int]:
    """Rows and columns of the window that holds a channel of each part."""
    aligned = (parts for parts in ALIGNED_PARTS if channels % (parts * WORD) == 0)
    parts = min(next(aligned, PARTS), channels)
    return (2, 2) if parts == 4 else (1, parts)
