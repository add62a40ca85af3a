"""What the accelerator leaves to the host: islands with their operators, reasons and estimates."""

from typing import Any

from rich.console import Console

from tilewright.flows.report.display import plural, shorten, size, table
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.steps import Island, Step


def steps_sentence(program: Program) -> str | None:
    """Return the order of sections and islands in words; None of one section alone."""
    if len(program.steps) < 2:
        return None
    order = " ".join("host" if isinstance(step, Island) else step.name for step in program.steps)
    if len(program.steps) > 8:
        order = f"{len(program.steps)} steps in turn"
    sections = plural(len(program.sections), "section")
    return f"{sections} on the accelerator, {plural(len(program.islands), 'island')}: {order}"


def print_islands(out: Console, program: Program) -> None:
    """Print each island's operators with the reason and the estimate of the host's time."""
    sentence = steps_sentence(program)
    if sentence is not None:
        out.print(sentence, markup=False)
    for island in program.islands:
        title = (
            f"{island.name} on the host: {size(island.moved_bytes)} moved, about "
            f"{island.seconds * 1e6:,.0f} us by a rough estimate"
        )
        rows = [
            (
                item.op_type,
                shorten(item.name),
                item.macs,
                item.elements,
                f"{item.seconds * 1e6:,.0f}",
                item.reason,
            )
            for item in island.operators
        ]
        columns = ("operator", "?<node", "?>MACs", "?>elements", ">us", "=why on the host")
        out.print(table(title, columns, rows))


def islands_json(program: Program) -> list[dict[str, Any]]:
    """Return the islands as JSON-able values."""
    return [
        {
            "name": island.name,
            "moved_bytes": island.moved_bytes,
            "seconds": island.seconds,
            "operators": [vars(item) for item in island.operators],
        }
        for island in program.islands
    ]


def steps_json(program: Program) -> list[dict[str, str]]:
    """Return kind and name of each step in their order."""
    return [{"kind": _kind(step), "name": step.name} for step in program.steps]


def _kind(step: Step) -> str:
    return "island" if isinstance(step, Island) else "section"
