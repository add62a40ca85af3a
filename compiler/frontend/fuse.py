"""Simplify the quantized graph; every step keeps all results byte for byte.

1. A Pad whose value is what the window's own padding feeds joins the Conv or Pool behind it.
2. A clamp or table behind a Conv joins the Conv's epilogue, a clamp behind a Pool, an Elementwise
   or a Conv with a residual joins that node.
3. A convolution that only copies channels joins the weights of a neighbour (graph.fold_copies).
4. An Elementwise with a Conv that only it reads becomes the Conv's residual; of two such Convs
   the later one gets it.
5. Nodes and inputs that no output needs go away.

A feature map disappears only if one node reads it and it is no output of the graph.
"""

from collections import Counter
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tilewright.compiler.graph.fold_copies import fold_copies
from tilewright.compiler.graph.graph import (
    Conv,
    Elementwise,
    Epilogue,
    Graph,
    Node,
    Pad,
    Pool,
    Requantize,
    Residual,
)
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization

Clamped = TypeVar("Clamped", Pool | Elementwise, Epilogue, Residual)


def simplify(graph: Graph) -> Graph:
    """Apply all steps."""
    graph = remove_dead(graph)
    graph = fold_pads(graph)
    graph = remove_dead(fold_copies(fuse_unary(graph)))
    graph = fuse_residuals(graph)
    return remove_dead(graph)


def remove_dead(graph: Graph) -> Graph:
    """Keep the nodes, maps and inputs that the outputs depend on."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            kept.append(node)
            needed.update(node.inputs)
    return replace(
        graph,
        maps={name: item for name, item in graph.maps.items() if name in needed},
        nodes=tuple(reversed(kept)),
        inputs=tuple(name for name in graph.inputs if name in needed),
    )


def fold_pads(graph: Graph) -> Graph:
    """Step 1."""
    pads = {node.output: node for node in graph.nodes if isinstance(node, Pad)}
    nodes = []
    for node in graph.nodes:
        pad = pads.get(node.inputs[0]) if isinstance(node, Conv | Pool) else None
        if pad is not None and isinstance(node, Conv | Pool):
            node = _with_pad(graph, node, pad)
        nodes.append(node)
    return remove_dead(replace(graph, nodes=tuple(nodes)))


def _with_pad(graph: Graph, node: Conv | Pool, pad: Pad) -> Conv | Pool:
    first, second = pad.pads, node.pads
    pads = (
        first[0] + second[0],
        first[1] + second[1],
        first[2] + second[2],
        first[3] + second[3],
    )
    source = (*pad.source, *node.source)
    is_zero = pad.value == graph.maps[pad.input].quantization.zero_point
    if isinstance(node, Conv):
        return replace(node, input=pad.input, pads=pads, source=source) if is_zero else node
    if node.kind == "max":
        reach = [(k - 1) * d + 1 for k, d in zip(node.kernel, node.dilations, strict=True)]
        sees_a_pixel = all(pads[side] < reach[side % 2] for side in range(4))
        if pad.value == -128 and sees_a_pixel:
            return replace(node, input=pad.input, pads=pads, source=source)
        return node
    if is_zero and not node.is_global and (node.count_include_pad or not any(node.pads)):
        return replace(node, input=pad.input, pads=pads, source=source, count_include_pad=True)
    return node


def fuse_unary(graph: Graph) -> Graph:
    """Step 2."""
    uses = _uses(graph)
    made: dict[str, Node] = {}
    for node in graph.nodes:
        producer = made.get(node.inputs[0]) if isinstance(node, Requantize) else None
        fused: Node | None = None
        if isinstance(node, Requantize) and producer is not None and uses[node.input] == 1:
            is_clamp = _is_clamp(graph.maps[node.input].quantization, node.epilogue)
            fused = _with_unary(producer, node, is_clamp)
        if fused is not None and producer is not None:
            del made[producer.output]
        made[node.output] = fused or node
    return remove_dead(replace(graph, nodes=tuple(made.values())))


def _with_unary(producer: Node, unary: Requantize, is_clamp: bool) -> Node | None:
    """`producer` with `unary` as part of it, or None where that is not possible."""
    output, source = unary.output, (*producer.source, *unary.source)
    second = unary.epilogue
    if isinstance(producer, Conv) and producer.residual is not None:
        if not is_clamp:
            return None
        residual = _clamp(producer.residual, second.low, second.high)
        return replace(producer, residual=residual, output=output, source=source)
    if isinstance(producer, Conv | Requantize) and (is_clamp or not producer.epilogue.pieces):
        epilogue = chain_epilogues(producer.epilogue, second)
        return replace(producer, epilogue=epilogue, output=output, source=source)
    if isinstance(producer, Pool | Elementwise) and is_clamp:
        return replace(_clamp(producer, second.low, second.high), output=output, source=source)
    return None


def chain_epilogues(first: Epilogue, second: Epilogue) -> Epilogue:
    """The epilogue that applies `first`, then `second`."""
    if _is_clamp(first.result, second):
        if first.table is None:
            return _clamp(first, second.low, second.high)
        table = np.clip(first.table, second.low, second.high).astype(np.int8)
        return replace(first, table=table)
    stored = np.roll(np.arange(-128, 128), 128) - first.result.zero_point
    ratio = numerics.scale_ratio(first.result.scale, second.quantization.scale)
    table = numerics.requantize(
        stored, 0, ratio, second.quantization.zero_point, second.low, second.high
    )
    if second.table is not None:
        table = numerics.look_up(second.table, table)
    if first.table is not None:
        table = numerics.look_up(table, first.table)
    return replace(first, table=table, table_quantization=second.result)


def fuse_residuals(graph: Graph) -> Graph:
    """Step 4."""
    uses = _uses(graph)
    made: dict[str, Node] = {}
    for node in graph.nodes:
        made[node.output] = node
        if not isinstance(node, Elementwise):
            continue
        order = list(made)
        operands = [node.first, node.second]
        convs = [name for name in operands if isinstance(made.get(name), Conv) and uses[name] == 1]
        convs = [name for name in convs if _takes_residual(made[name])]
        if convs:
            name = max(convs, key=order.index)
            operands.remove(name)
            made[node.output] = _with_residual(made.pop(name), node, operands[0])
    return remove_dead(replace(graph, nodes=tuple(made.values())))


def _takes_residual(node: Node) -> bool:
    return isinstance(node, Conv) and node.residual is None and not node.epilogue.pieces


def _with_residual(conv: Node, node: Elementwise, other: str) -> Conv:
    assert isinstance(conv, Conv)
    return replace(
        conv,
        output=node.output,
        source=(*conv.source, *node.source),
        residual=Residual(kind=node.kind, other=other, low=node.low, high=node.high),
    )


def _is_clamp(source: Quantization, epilogue: Epilogue) -> bool:
    """Whether `epilogue` only clamps a value of quantization `source`."""
    return epilogue.table is None and epilogue.quantization == source


def _clamp(item: Clamped, low: int, high: int) -> Clamped:
    """Clamp the result of `item` to [low, high] as well."""
    return replace(
        item,
        low=int(np.clip(item.low, low, high)),
        high=int(np.clip(item.high, low, high)),
    )


def _uses(graph: Graph) -> Counter[str]:
    counts = Counter(graph.outputs)
    for node in graph.nodes:
        counts.update(node.inputs)
    return counts
