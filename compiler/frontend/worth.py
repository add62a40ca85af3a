"""Which sections are worth starting the accelerator for."""

from collections.abc import Sequence

import numpy as np

from tilewright.compiler import host_cost
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.work import elements_of, macs_of
from tilewright.compiler.graph.graph import Conv, Graph
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.tensor import Tensor


def unprofitable(
    interpretation: Interpretation,
    sections: Sequence[tuple[Graph, Sequence[Tensor]]],
    config: Config,
) -> dict[str, str]:
    """Return the operators, with the reason, of the section that costs most above what it saves.

    sections: the graph of each, and the tensors that the host writes and reads. Empty where every
    section saves time, or where there is only one.
    """
    if len(sections) < 2:
        return {}
    losses = [_loss(interpretation, graph, tensors, config) for graph, tensors in sections]
    worst = int(np.argmax(losses))
    if losses[worst] <= 0:
        return {}
    reason = (
        f"its section would take {losses[worst] * 1e6:.0f} us more than the host by the estimate; "
        "--keep-sections keeps it"
    )
    names = {name for node in sections[worst][0].nodes for name in node.source}
    return dict.fromkeys(sorted(names), reason)


def _loss(
    interpretation: Interpretation, graph: Graph, tensors: Sequence[Tensor], config: Config
) -> float:
    """Seconds that a section takes above what the host would take for its operators."""
    source = interpretation.context.source
    names = {name for node in graph.nodes for name in node.source}
    operators = [operator for operator in source.operators if operator.name in names]
    host = sum(
        host_cost.operator_seconds(macs_of(source, item), elements_of(source, item))
        for item in operators
    )
    macs = sum(
        int(np.prod(node.weight.shape)) * graph.maps[node.output].pixels
        for node in graph.nodes
        if isinstance(node, Conv)
    )
    results = [int(np.prod(graph.maps[node.output].shape)) for node in graph.nodes]
    moved = sum(int(np.prod(tensor.map_shape)) for tensor in tensors)
    accelerator = host_cost.section_seconds(macs, results, config)
    return accelerator + host_cost.moving_seconds(moved) - host
