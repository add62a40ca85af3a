"""Groups of channels that a Resample puts in between each other begin a word each.

Where they do not, the convolution that makes them gets channels that nothing reads in between; any
other map is copied by a 1x1 convolution.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.copies import copy_channels
from tilewright.compiler.graph.graph import Conv, Graph, Node, Resample


def align_phases(graph: Graph, rows: int) -> Graph:
    """Return an equivalent graph; rows: channels of a word."""
    uses = Counter((*graph.outputs, *(name for node in graph.nodes for name in node.inputs)))
    maps = dict(graph.maps)
    made: dict[str, Node] = {}
    for node in graph.nodes:
        made[node.output] = node
        if not isinstance(node, Resample) or node.num_phases == 1:
            continue
        stored = maps[node.input]
        group = stored.channels // node.num_phases
        if group % rows == 0:
            continue
        order = _spread(node.num_phases, group, rows)
        maker = made.get(node.input)
        if isinstance(maker, Conv) and uses[node.input] == 1 and _is_plain(maker):
            made[node.input] = _with_gaps(maker, order)
            maps[node.input] = replace(stored, shape=(len(order), *stored.shape[1:]))
            continue
        copy = replace(stored, name=f"{node.output}.phases", shape=(len(order), *stored.shape[1:]))
        maps[copy.name] = copy
        del made[node.output]
        made[copy.name] = copy_channels(stored, order, copy.name)
        made[node.output] = replace(node, input=copy.name)
    return replace(graph, maps=maps, nodes=tuple(made.values()))


def _spread(groups: int, channels: int, rows: int) -> NDArray[np.int64]:
    """The channel at each place, -1 where there is none."""
    order = np.full((groups, -(-channels // rows) * rows), -1)
    order[:, :channels] = np.arange(groups * channels).reshape(groups, channels)
    return order.reshape(-1)


def _is_plain(maker: Conv) -> bool:
    return maker.groups == 1 and maker.residual is None


def _with_gaps(maker: Conv, order: NDArray[np.int64]) -> Conv:
    is_there = order >= 0
    chosen = maker.with_channels(order)
    return replace(
        chosen,
        weight=chosen.weight * is_there[:, None, None, None].astype(np.int8),
        bias=chosen.bias * is_there.astype(np.int32),
    )
