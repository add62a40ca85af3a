"""Fold the kernel of a first convolution with few input channels into its channels.

Applies to a graph input that has one consumer, an ungrouped, undilated convolution with fewer
input channels than the array has rows. Of the possible folds (all kernel columns, and one to all
kernel rows) the one with the fewest cycles is taken, none if none is faster. The host writes the
folded map (`hw.spec.fold`); the result is the same to the byte.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tilewright.compiler.graph.graph import Conv, Graph
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import matrix_tile_cycles, word_cycles
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.tensor import Tensor


def fold_stem(graph: Graph, config: Config) -> tuple[Graph, Mapping[str, Fold]]:
    """Return an equivalent graph and the fold of each input map that the host must fold."""
    folds: dict[str, Fold] = {}
    maps, nodes = dict(graph.maps), list(graph.nodes)
    for name in graph.inputs:
        consumers = list(graph.consumers(name))
        if len(consumers) != 1 or name in graph.outputs or not _is_foldable(consumers[0], name):
            continue
        node = consumers[0]
        assert isinstance(node, Conv)
        source, out = graph.maps[name], graph.maps[node.output]
        best = min(range(node.kernel[0] + 1), key=lambda r: _cycles(node, source, out, r, config))
        if best == 0 or source.channels >= config.rows:
            continue
        folds[name] = fold = _fold(node, source, out, best)
        channels = source.channels * fold.rows * fold.columns
        maps[name] = replace(source, shape=(channels, fold.height, fold.width))
        nodes[nodes.index(node)] = _folded_conv(node, best)
    return replace(graph, maps=maps, nodes=tuple(nodes)), folds


def _is_foldable(node: object, name: str) -> bool:
    if not isinstance(node, Conv) or node.groups != 1 or node.dilations != (1, 1):
        return False
    is_operand = node.residual is not None and node.residual.other == name
    return node.kernel != (1, 1) and not is_operand


def _fold(node: Conv, source: Tensor, out: Tensor, rows: int) -> Fold:
    groups = -(-node.kernel[0] // rows)
    step = node.strides[0] if groups == 1 else 1
    span = (out.height - 1) * node.strides[0] + (groups - 1) * rows + 1
    return Fold(
        rows=rows,
        columns=node.kernel[1],
        row_step=step,
        column_step=node.strides[1],
        top=node.pads[0],
        left=node.pads[1],
        height=-(-span // step),
        width=out.width,
        padding=source.quantization.zero_point,
    )


def _folded_conv(node: Conv, rows: int) -> Conv:
    """The same convolution on the folded map: kernel (ceil(kh / rows), 1), no padding."""
    filters, channels, height, width = node.weight.shape
    groups = -(-height // rows)
    padded = np.zeros((filters, channels, groups * rows, width), np.int8)
    padded[:, :, :height] = node.weight
    weight = padded.reshape(filters, channels, groups, rows, width).transpose(0, 3, 4, 1, 2)
    return replace(
        node,
        weight=np.ascontiguousarray(weight).reshape(filters, -1, groups, 1),
        strides=(1 if groups == 1 else node.strides[0], 1),
        pads=(0, 0, 0, 0),
        dilations=(rows if groups > 1 else 1, 1),
    )


def _cycles(node: Conv, source: Tensor, out: Tensor, rows: int, config: Config) -> int:
    """Cycles of the layer with `rows` kernel rows folded (0: as it is); the longer of array and
    input load."""
    filters = -(-out.channels // config.cols)
    if rows == 0:
        blocks = -(-source.channels // config.rows)
        tiles, pixels = blocks * node.kernel[0] * node.kernel[1], source.pixels
    else:
        fold = _fold(node, source, out, rows)
        blocks = -(-source.channels * fold.rows * fold.columns // config.rows)
        tiles, pixels = blocks * -(-node.kernel[0] // rows), fold.height * fold.width
    array = tiles * filters * matrix_tile_cycles(out.pixels, config)
    return max(array, blocks * pixels * word_cycles(config.activation_pitch, config))
