"""What the commands print: tables, progress and numbers in one form."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PLAIN_WIDTH = 140
"""Columns where the output is no terminal, so that no table is cut in files and pipes."""


def console(*, error: bool = False) -> Console:
    """Return a console for results (stdout) or, with `error`, for progress (stderr)."""
    plain = Console(stderr=error, highlight=False)
    if plain.is_terminal:
        return plain
    return Console(stderr=error, highlight=False, width=PLAIN_WIDTH)


def status(text: str) -> contextlib.AbstractContextManager[object]:
    """Return a context that shows what is being done, on a terminal."""
    shown = console(error=True)
    return shown.status(escape(text)) if shown.is_terminal else contextlib.nullcontext()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; columns whose name begins with '>' are right-aligned numbers."""
    result = Table(title=escape(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        number = column.startswith(">")
        result.add_column(
            column.removeprefix(">"),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=number,
        )
    for row in rows:
        result.add_row(*(escape(show(value)) for value in row))
    return result


def show(value: Any) -> str:
    """Return a value as text: thousands separated, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def percent(value: float | None) -> str | None:
    """Return a fraction as a percentage with one decimal."""
    return None if value is None else f"{value:.1%}"


def signed_percent(value: float | None) -> str | None:
    """Return a relative difference as a percentage with its sign and one decimal."""
    return None if value is None else f"{value:+.1%}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, regular in the plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(num_bytes: int) -> str:
    """Return a number of bytes in B, KiB or MiB."""
    if num_bytes < 1024:
        return f"{num_bytes} B"
    if num_bytes < 1 << 20:
        return f"{num_bytes / 1024:.1f} KiB"
    return f"{num_bytes / (1 << 20):.1f} MiB"
