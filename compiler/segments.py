"""Segments: runs of layers whose tasks are interleaved; and which layers the depthwise unit runs.

A segment is a depthwise layer with the convolution that feeds it and the one that it feeds, so
that the unit works beside the array. Any other layer is a segment of its own.
"""

from collections.abc import Mapping, Sequence

from tilewright.compiler.graph import Conv, Graph, Node
from tilewright.compiler.placement import Place, layers_of
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config


def runs_on_unit(node: Node, graph: Graph, places: Mapping[str, Place], config: Config) -> bool:
    """Whether the depthwise unit computes a layer: one filter a channel, channels in their places.

    Not where strides leave the unit's columns so idle that the array's diagonal is twice as fast.
    """
    if not isinstance(node, Conv) or not config.depthwise_taps:
        return False
    channels, inputs = node.weight.shape[:2]
    is_depthwise = inputs == 1 and node.groups == channels == graph.maps[node.input].channels
    if not is_depthwise or not places[node.input].is_plain:
        return False
    columns = -(-node.kernel[1] // config.depthwise_taps)
    if node.dilations[1] > 1:
        columns = node.kernel[1]
    return columns * node.strides[1] <= 2 * node.kernel[1]


def kernel_parts(node: Conv, config: Config) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the kernel's rows and columns, each [first, behind last), by DEPTHWISE instruction."""
    height, width = node.kernel
    step = config.depthwise_taps if node.dilations[1] == 1 else 1
    return [
        ((top, min(top + DEPTHWISE_KERNEL_ROWS, height)), (left, min(left + step, width)))
        for top in range(0, height, DEPTHWISE_KERNEL_ROWS)
        for left in range(0, width, step)
    ]


def find_segments(graph: Graph, on_unit: Sequence[bool], *, interleave: bool) -> list[range]:
    """Return the segments as ranges of layer numbers; on_unit: of each layer, `runs_on_unit`."""
    layers = layers_of(graph)
    segments: list[range] = []
    at = 0
    while at < len(layers):
        behind = at + 1
        if interleave:
            unit = at if on_unit[at] else at + 1
            if unit < len(layers) and on_unit[unit] and _feeds(layers, at, unit):
                behind = unit + 1
                if behind < len(layers) and not on_unit[behind] and _feeds(layers, unit, behind):
                    behind += 1
        segments.append(range(at, behind))
        at = behind
    return segments


def _feeds(layers: Sequence[Node], first: int, second: int) -> bool:
    """Whether both are convolutions and the second reads the first's result, or they are one."""
    before, after = layers[first], layers[second]
    if not isinstance(before, Conv) or not isinstance(after, Conv):
        return False
    return first == second or after.input == before.output
