"""Windows that no tile of activation SRAM holds."""

from collections.abc import Sequence
from math import prod

from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.graph.graph import Graph, Pool
from tilewright.hw.spec.config import Config


def too_large(
    interpretation: Interpretation, graphs: Sequence[Graph], config: Config
) -> dict[str, str]:
    """Return the operators, with the reason, of `oversized_poolings`."""
    operators = {item.name: item for item in interpretation.context.source.operators}
    found: dict[str, str] = {}
    for node in oversized_poolings(graphs, config):
        height, width = node.kernel
        reason = (
            f"its window of {height}x{width} pixels must fit into activation SRAM, "
            f"{config.activation_words} words; raise activation_kib"
        )
        names = [name for name in node.source if _is_pooling(operators[name].op_type)]
        found |= dict.fromkeys(names, reason)
    return found


def oversized_poolings(graphs: Sequence[Graph], config: Config) -> list[Pool]:
    """Return the poolings whose window and result do not fit into activation SRAM.

    The vector unit reduces a window in one instruction, from one tile, which holds the pixels that
    a dilation leaves out, too.
    """
    return [
        node
        for graph in graphs
        for node in graph.nodes
        if isinstance(node, Pool) and _num_pixels(graph, node) >= config.activation_words
    ]


def _num_pixels(graph: Graph, node: Pool) -> int:
    """How many pixels of its input lie within a window, at most."""
    sides = graph.maps[node.input].shape[1:]
    taps = zip(node.kernel, node.dilations, sides, strict=True)
    return prod(min((kernel - 1) * dilation + 1, side) for kernel, dilation, side in taps)


def _is_pooling(op_type: str) -> bool:
    return op_type.endswith("Pool") or op_type.startswith("Reduce")
