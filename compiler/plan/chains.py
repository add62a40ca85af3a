"""Chains: runs of layers whose tasks are interleaved; and which layers the depthwise unit runs.

A chain is a depthwise layer with the convolution that feeds it and the one that it feeds, so
that the unit works beside the array; or a convolution with the pooling layer that it feeds, so that
the vector unit does. Any other layer is a chain of its own.
"""

from collections.abc import Mapping, Sequence

from tilewright.compiler.graph.graph import Conv, Graph, Node, Pool
from tilewright.compiler.plan.placement import layers_of
from tilewright.compiler.plan.places import Place
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config


def runs_on_unit(node: Node, graph: Graph, places: Mapping[str, Place], config: Config) -> bool:
    """Whether the depthwise unit computes a layer: one filter a channel, channels in their places.

    Not where strides leave the unit's columns so idle that the array's diagonal is twice as fast,
    nor where the weights of one channel block do not fit into parameter SRAM.
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
    if columns * node.strides[1] > 2 * node.kernel[1]:
        return False
    words = config.header_words + config.row_groups * len(node.weight_scales)
    words += len(kernel_parts(node, config)) * config.depthwise_words
    words += config.table_words if node.epilogue.table is not None else 0
    return words <= config.parameter_words


def kernel_parts(node: Conv, config: Config) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the kernel's rows and columns, each [first, behind last), by DEPTHWISE instruction."""
    height, width = node.kernel
    step = config.depthwise_taps if node.dilations[1] == 1 else 1
    return [
        ((top, min(top + DEPTHWISE_KERNEL_ROWS, height)), (left, min(left + step, width)))
        for top in range(0, height, DEPTHWISE_KERNEL_ROWS)
        for left in range(0, width, step)
    ]


def find_chains(graph: Graph, on_unit: Sequence[bool], *, interleave: bool) -> list[range]:
    """Return the chains as ranges of layer numbers; on_unit: of each layer, `runs_on_unit`."""
    layers = layers_of(graph)
    chains: list[range] = []
    at = 0
    while at < len(layers):
        behind = _chain_end(layers, on_unit, at) if interleave else at + 1
        chains.append(range(at, behind))
        at = behind
    return chains


def _chain_end(layers: Sequence[Node], on_unit: Sequence[bool], first: int) -> int:
    """Return the layer behind the chain that starts with layer `first`."""

    def feeds(layer: int) -> bool:
        follows = layer + 1 < len(layers) and isinstance(layers[layer], Conv)
        return follows and next(iter(layers[layer + 1].inputs)) == layers[layer].output

    behind = first + 1
    if not on_unit[first] and feeds(first) and on_unit[behind]:
        behind += 1
    if on_unit[behind - 1]:
        if feeds(behind - 1) and isinstance(layers[behind], Conv) and not on_unit[behind]:
            behind += 1
    elif feeds(first) and isinstance(layers[behind], Pool):
        behind += 1
    return behind
