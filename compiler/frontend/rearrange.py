"""Copies of a stored map's channels and pixels in another order, where the device can make them.

A 1x1 convolution copies channels (`graph.copies`). A pooling of single pixels takes every n-th
pixel, or repeats one (stride 0). A resampling takes rows and columns in any order, and puts groups
of channels in between each other. Channels that take different pixels (SpaceToDepth) are copied by
groups of those that take the same, concatenated and brought into their order.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.values import Index
from tilewright.compiler.graph.copies import copy_channels
from tilewright.compiler.graph.graph import Concat, Node, Pool, Resample, View
from tilewright.compiler.graph.runs import LARGEST_PERIOD, axis_runs
from tilewright.compiler.limits import MAX_STRIDE
from tilewright.hw.spec.tensor import Tensor
from tilewright.support.records import record

LARGEST_GROUPS = 16
"""Of channels that take the same pixels: a pooling each."""
LARGEST_RUNS = 16
"""Of a resampling's rows, and columns: a tile takes an instruction for each pair, or more."""


@record(frozen=True, kw_only=True)
class Walk:
    """Which channels of a map, and from which pixel on by which strides."""

    channels: NDArray[np.int64]
    first: tuple[int, int]
    strides: tuple[int, int]
    shape: tuple[int, int]


def reordered(stored: Tensor, want: Index, name: str) -> list[tuple[Node, Tensor]]:
    """The nodes, each with the map that it makes, that give `want`, positions in `stored`.

    Empty where the device has no way.
    """
    walk = find_walk(stored, want)
    nodes = rearrange(stored, walk, name) if walk else resample(stored, want, name)
    return nodes or gather_groups(stored, want, name)


def find_walk(stored: Tensor, want: Index) -> Walk | None:
    """The walk that reads `want`, positions in `stored`; None: it is no such walk."""
    channels, pixels = np.divmod(want, stored.pixels)
    walk = pixels[0]
    if (channels != channels[:, :1, :1]).any() or (pixels != walk).any():
        return None
    height, width = walk.shape
    if np.array_equal(walk.reshape(-1), np.arange(stored.pixels)):
        return Walk(channels=channels[:, 0, 0], first=(0, 0), strides=(1, 1), shape=walk.shape)
    rows, columns = np.divmod(walk, stored.width)
    first = (int(rows[0, 0]), int(columns[0, 0]))
    step_y = int(rows[-1, 0] - rows[0, 0]) // max(height - 1, 1)
    step_x = int(columns[0, -1] - columns[0, 0]) // max(width - 1, 1)
    expected = (first[0] + np.arange(height) * step_y)[:, None] * stored.width
    expected = expected + first[1] + np.arange(width) * step_x
    in_range = 0 <= min(step_y, step_x) <= max(step_y, step_x) <= MAX_STRIDE
    if not in_range or not np.array_equal(expected, walk):
        return None
    return Walk(
        channels=channels[:, 0, 0], first=first, strides=(step_y, step_x), shape=(height, width)
    )


def rearrange(stored: Tensor, walk: Walk, name: str) -> list[tuple[Node, Tensor]]:
    """The nodes, each with the map that it makes, that copy what `walk` reads of `stored`."""
    made = _with_channels(stored, walk.channels, name)
    stored = made[-1][1] if made else stored
    if walk.shape == (stored.height, stored.width) and walk.strides == (1, 1):
        return made
    output = replace(stored, name=f"{name}/pixels", shape=(stored.channels, *walk.shape))
    if walk.strides == (1, 1) and walk.first == (0, 0) and _pixels(walk) == stored.pixels:
        return [*made, (View(name=output.name, output=output.name, input=stored.name), output)]
    pool = Pool(
        name=output.name,
        output=output.name,
        kind="max",
        input=stored.name,
        kernel=(1, 1),
        strides=walk.strides,
        pads=(-walk.first[0], -walk.first[1], 0, 0),
    )
    return [*made, (pool, output)]


def resample(stored: Tensor, want: Index, name: str) -> list[tuple[Node, Tensor]]:
    """The nodes, each with the map that it makes, that give `want`, positions in `stored`.

    None where a pixel's place is no row and column, or where that takes too many instructions.
    """
    channels, pixels = np.divmod(want, stored.pixels)
    rows, columns = np.divmod(pixels[0], stored.width)
    axes = rows[:, 0], columns[0]
    is_grid = (rows == rows[:, :1]).all() and (columns == columns[:1]).all()
    phases = _phases(channels)
    if not is_grid or (pixels != pixels[0]).any() or phases is None:
        return []
    vertical, horizontal = (tuple(axis.tolist()) for axis in axes)
    if max(len(axis_runs(vertical)), len(axis_runs(horizontal))) > LARGEST_RUNS:
        return []
    order = channels[:, : phases[0], : phases[1]].transpose(1, 2, 0).reshape(-1)
    made = _with_channels(stored, order, name)
    source = made[-1][1] if made else stored
    output = replace(source, name=f"{name}/pixels", shape=want.shape)
    node = Resample(
        name=output.name,
        output=output.name,
        input=source.name,
        rows=vertical,
        columns=horizontal,
        phases=phases,
    )
    return [*made, (node, output)]


def gather_groups(stored: Tensor, want: Index, name: str) -> list[tuple[Node, Tensor]]:
    """The nodes, each with the map that it makes, that copy channels by groups of the same pixels.

    Empty where there are too many groups, or one takes its pixels in no steps of several.
    """
    pixels = (want % stored.pixels).reshape(len(want), -1)
    _, owner = np.unique(pixels, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    members = [np.flatnonzero(owner == group) for group in range(owner.max() + 1)]
    if not 1 < len(members) <= LARGEST_GROUPS:
        return []
    members.sort(key=lambda channels: int(channels[0]))
    walks = [find_walk(stored, want[channels]) for channels in members]
    made: list[tuple[Node, Tensor]] = []
    parts: list[str] = []
    for number, walk in enumerate(walks):
        if walk is None or walk.strides[0] * walk.strides[1] <= 1:
            return []
        made += rearrange(stored, walk, f"{name}/group{number}")
        parts.append(made[-1][1].name)
    whole = replace(made[-1][1], name=f"{name}/joined", shape=want.shape)
    made.append((Concat(name=whole.name, output=whole.name, parts=tuple(parts)), whole))
    return [*made, *_with_channels(whole, np.argsort(np.concatenate(members)), name)]


def _phases(channels: NDArray[np.int64]) -> tuple[int, int] | None:
    """After how many rows and columns the channels repeat."""
    height, width = channels.shape[1:]
    for vertical in range(1, min(LARGEST_PERIOD, height) + 1):
        if (channels == channels[:, np.arange(height) % vertical]).all():
            for horizontal in range(1, min(LARGEST_PERIOD, width) + 1):
                if (channels == channels[:, :, np.arange(width) % horizontal]).all():
                    return vertical, horizontal
    return None


def _with_channels(
    stored: Tensor, channels: NDArray[np.int64], name: str
) -> list[tuple[Node, Tensor]]:
    if np.array_equal(channels, np.arange(stored.channels)):
        return []
    shape = (len(channels), stored.height, stored.width)
    output = replace(stored, name=f"{name}/channels", shape=shape)
    return [(copy_channels(stored, channels, output.name), output)]


def _pixels(walk: Walk) -> int:
    return walk.shape[0] * walk.shape[1]
