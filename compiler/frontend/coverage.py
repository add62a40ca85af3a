"""How much of a model runs on the accelerator."""

from collections.abc import Set

from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.source import Operator, Source
from tilewright.compiler.frontend.values import Constant
from tilewright.compiler.frontend.work import macs_of
from tilewright.hw.spec.coverage import Coverage


def coverage_of(interpretation: Interpretation, hosted: Set[str]) -> Coverage:
    """Count the operators that a run needs and their multiplications; hosted: those of the host.

    An operator that the host computes once more, from what the accelerator stored, is the host's.
    """
    source = interpretation.context.source
    needed = [operator for operator in _needed(interpretation) if not operator.is_added]
    own = [operator for operator in needed if operator.name not in hosted]
    return Coverage(
        macs_accelerator=sum(macs_of(source, operator) for operator in own),
        macs_total=sum(macs_of(source, operator) for operator in needed),
        operators_accelerator=len(own),
        operators_total=len(needed),
    )


def _needed(interpretation: Interpretation) -> list[Operator]:
    """The operators that depend on the model's inputs and that its outputs depend on.

    What is known when the model is read is none of them.
    """
    context = interpretation.context
    varying = _varying(context.source)
    found: dict[str, Operator] = {}
    pending = [spec.name for spec in context.source.outputs]
    while pending:
        name = pending.pop()
        producer = context.producers.get(name)
        is_fixed = name not in varying or isinstance(context.values.get(name), Constant)
        if producer is not None and not is_fixed and producer.name not in found:
            found[producer.name] = producer
            pending.extend(producer.reads)
    return list(found.values())


def _varying(source: Source) -> set[str]:
    """The values that the model's inputs can change."""
    varying = {spec.name for spec in source.inputs}
    for operator in source.operators:
        if not varying.isdisjoint(operator.reads):
            varying.update(operator.outputs)
    return varying
