"""Tables in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.flows.report.columns import Column, Kind
from tilewright.flows.report.display import show


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table of columns with the marks of `report.display.table`."""
    marked = [Column.of(column, ()) for column in columns]
    names = [column.name for column in marked]
    rules = ["---:" if column.kind is Kind.NUMBER else "---" for column in marked]
    lines = [names, rules, *([show(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
