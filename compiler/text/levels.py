"""The text of a section after a pass: a module with one operation of the pass's level."""

import hashlib
from collections.abc import Iterator

from tilewright.compiler.passes import Level, Pass
from tilewright.compiler.section import Section
from tilewright.compiler.text.graph import graph_operation
from tilewright.compiler.text.instructions import task_operations
from tilewright.compiler.text.mlir import Operation, Printer
from tilewright.compiler.text.plan import (
    chain_operations,
    placement_operations,
    tiling_operations,
)


def section_text(step: Pass, section: Section, *, with_weights: bool = False) -> str:
    """Return the text of what `section` is after the pass `step`; weights only on request."""
    module = Operation(
        name="builtin.module",
        attributes={
            "tw.pass": step.name,
            "tw.section": section.name,
            "tw.config": {"name": section.config.name, "digest": section.config.digest},
        },
        body=tuple(_operations(step.level, section)),
    )
    return Printer(with_weights=with_weights).text(module)


def _operations(level: Level, section: Section) -> Iterator[Operation]:
    if level is Level.GRAPH:
        yield graph_operation(section.graph, section.name, section.folds)
    elif level is Level.PLACEMENT:
        yield _placement(section)
    else:
        yield _tasks(section)


def _placement(section: Section) -> Operation:
    placement = section.placement
    return Operation(
        name="tw.plan",
        attributes={
            "name": section.name,
            "residents_allowed": section.allow_residents,
            "dram_start": section.dram_start,
            "dram_end": placement.dram_end,
        },
        body=(
            *placement_operations(placement),
            *chain_operations(section.graph, section.chains, section.on_unit, placement),
        ),
    )


def _tasks(section: Section) -> Operation:
    constants = section.constants
    data = bytearray(constants.end - constants.start)
    constants.write(data, constants.start)
    return Operation(
        name="tw.tasks",
        attributes={
            "name": section.name,
            "constants": {
                "dram": constants.start,
                "bytes": len(data),
                "digest": hashlib.sha256(data).hexdigest()[:16],
            },
        },
        body=(
            *tiling_operations(section.graph, section.plans),
            *task_operations(section.tasks),
        ),
    )
