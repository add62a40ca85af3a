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

    The vector unit reduces a window in one instruction, from one tile.
    """
    nodes = (node for graph in graphs for node in graph.nodes if isinstance(node, Pool))
    return [node for node in nodes if prod(node.kernel) >= config.activation_words]


def _is_pooling(op_type: str) -> bool:
    return op_type.endswith("Pool") or op_type.startswith("Reduce")
