"""Convolutions that only copy channels join the weights of a neighbour.

A copy is a 1x1 convolution with one weight an output, worth exactly 1. Where one convolution alone
makes what it reads, that makes the channels in the order of the copy; else the convolution behind
takes its weights in the order of the input; either if that is no more work.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Conv, Graph, Node


def fold_copies(graph: Graph) -> Graph:
    """Return the graph without the copies that another convolution can make."""
    made: dict[str, Node] = {}
    uses = Counter((*graph.outputs, *(name for node in graph.nodes for name in node.inputs)))
    for node in graph.nodes:
        maker = made.get(node.input) if isinstance(node, Conv) else None
        if isinstance(node, Conv) and isinstance(maker, Conv):
            order, before = copied_channels(graph, node), copied_channels(graph, maker)
            is_alone = uses[node.input] == 1
            if order is not None and is_alone and _can_reorder(maker, node, order):
                del made[maker.output]
                node = _reordered(maker, node, order)
            elif before is not None and _saves_work(node, maker, uses[node.input]):
                node = _widened(node, maker, before)
        made[node.output] = node
    return replace(graph, nodes=tuple(made.values()))


def copied_channels(graph: Graph, node: Conv) -> NDArray[np.int64] | None:
    """The input channel that each output of a copy holds; None: `node` is no copy."""
    quantization = graph.maps[node.input].quantization
    is_plain = (
        node.groups == 1
        and node.kernel == node.strides == (1, 1)
        and not any(node.pads)
        and node.residual is None
        and not node.bias.any()
        and node.negative_scale is None
        and node.epilogue.table is None
        and not node.epilogue.pieces
        and node.epilogue.quantization == quantization
        and (node.epilogue.low, node.epilogue.high) == (-128, 127)
    )
    if not is_plain:
        return None
    weight = node.weight[:, :, 0, 0]
    values = weight.max(axis=1) * node.weight_scale
    is_single = (np.count_nonzero(weight, axis=1) == 1).all()
    return weight.argmax(axis=1) if is_single and (values == 1).all() else None


def _can_reorder(maker: Conv, copy: Conv, order: NDArray[np.int64]) -> bool:
    """Whether `maker` may make what the copy does, and for no more work: channels may repeat."""
    work = len(order) * maker.weight[0].size
    is_dense = maker.groups == 1 and maker.residual is None
    return is_dense and work <= maker.weight.size + copy.weight.size


def _reordered(maker: Conv, copy: Conv, order: NDArray[np.int64]) -> Conv:
    """`maker` with its outputs in the `order` of the copy."""
    source = (*maker.source, *copy.source)
    return replace(maker.with_channels(order), output=copy.output, source=source)


def _saves_work(node: Conv, copy: Conv, uses: int) -> bool:
    """Whether `node` may read what `copy` reads instead."""
    outputs, inputs = copy.weight.shape[:2]
    work = node.weight.size // max(outputs, 1)
    own = outputs * work + (inputs * outputs if uses == 1 else 0)
    is_once = len(set(copy.weight[:, :, 0, 0].argmax(axis=1))) == outputs
    return node.groups == 1 and is_once and inputs * work <= own


def _widened(node: Conv, copy: Conv, order: NDArray[np.int64]) -> Conv:
    """`node` with weights for the channels that the copy reads."""
    weight = np.zeros((len(node.weight), copy.weight.shape[1], *node.kernel), np.int8)
    weight[:, order] = node.weight
    return replace(node, input=copy.input, weight=weight, source=(*copy.source, *node.source))
