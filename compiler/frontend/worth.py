"""Which sections are worth starting the accelerator for."""

from collections.abc import Sequence

import numpy as np

from tilewright.compiler import host_cost
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.work import elements_of, macs_of
from tilewright.compiler.graph.graph import Graph
from tilewright.hw.spec.binding import Binding
from tilewright.hw.spec.config import Config
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Candidate:
    """A section that may join the host."""

    graph: Graph
    borders: tuple[Binding, ...]
    """What the host writes and reads."""
    is_between: bool
    """It parts two islands, which would be one call of the host without it."""


def unprofitable(
    interpretation: Interpretation,
    sections: Sequence[Candidate],
    config: Config,
) -> dict[str, str]:
    """Return the operators, with the reason, of the section that costs most above what it saves.

    Empty where every section saves time, or where there is only one.
    """
    if len(sections) < 2:
        return {}
    losses = [_loss(interpretation, section, config) for section in sections]
    worst = int(np.argmax(losses))
    if losses[worst] <= 0:
        return {}
    reason = (
        f"its section would take {losses[worst] * 1e6:.0f} us more than the host by the estimate; "
        "--keep-sections keeps it"
    )
    names = {name for node in sections[worst].graph.nodes for name in node.source}
    return dict.fromkeys(sorted(names), reason)


def _loss(interpretation: Interpretation, section: Candidate, config: Config) -> float:
    """Seconds that a section takes above what the host would take for its operators."""
    graph = section.graph
    source = interpretation.context.source
    names = {name for node in graph.nodes for name in node.source}
    operators = [operator for operator in source.operators if operator.name in names]
    host = sum(
        host_cost.operator_seconds(macs_of(source, item), elements_of(source, item))
        for item in operators
    )
    macs = sum(graph.macs(node) for node in graph.nodes)
    results = [graph.maps[node.output].elements for node in graph.nodes]
    moved = sum(binding.stored.elements for binding in section.borders)
    accelerator = host_cost.section_seconds(macs, results, config)
    extra = host_cost.HOST_CALL_SECONDS if section.is_between else 0.0
    return accelerator + host_cost.moving_seconds(moved) + extra - host
