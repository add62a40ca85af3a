"""What the commands print: tables, progress and numbers in one form."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tilewright.flows.report.columns import Column, Kind, fit, total

NAME_WIDTH = 28
PLAIN_WIDTH = 140
"""Columns where the output is no terminal, so that no table is cut in files and pipes."""


def console(*, error: bool = False) -> Console:
    """Return a console for results (stdout) or, with `error`, for progress (stderr)."""
    plain = Console(stderr=error, highlight=False)
    if plain.is_terminal:
        return plain
    return Console(stderr=error, highlight=False, width=PLAIN_WIDTH)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None
) -> Table:
    """Return a table of `width` characters, by default the terminal's.

    Marks in front of a heading: '>' numbers, right-aligned and never broken; '<' names, cut at
    their front where they do not fit; '=' sentences, which keep more width than other texts; and
    before those '?' for columns that may be left out on narrow terminals, which a line below the
    table says. Columns without any content are left out.
    """
    given = [list(row) for row in rows]
    filled = [i for i in range(len(columns)) if not given or any(has_content(r[i]) for r in given)]
    shown = [[show(row[i]) for i in filled] for row in given]
    parsed = [Column.of(columns[i], [row[n] for row in shown]) for n, i in enumerate(filled)]
    limit = width or console().width
    widths = fit(parsed, limit)
    is_too_wide = total(widths.values()) > limit
    left_out = [column.name for place, column in enumerate(parsed) if place not in widths]
    result = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        caption=f"left out at this width: {', '.join(left_out)}" if left_out else None,
        caption_justify="left",
    )
    for place in widths:
        column = parsed[place]
        is_fixed = column.kind is Kind.NUMBER or not is_too_wide
        result.add_column(
            column.name,
            justify="right" if column.kind is Kind.NUMBER else "left",
            overflow="fold",
            width=widths[place] if is_fixed else None,
        )
    for row in shown:
        cells = (parsed[place].cell(row[place], width) for place, width in widths.items())
        result.add_row(*map(escape, cells))
    return result


def has_content(value: Any) -> bool:
    """Whether a cell says anything."""
    return value is not None and value != ""


def show(value: Any) -> str:
    """Return a value as text: thousands separated, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def shorten(name: str) -> str:
    """Return a layer's name, of a long one the end."""
    return name if len(name) <= NAME_WIDTH else f"..{name[2 - NAME_WIDTH :]}"


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


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it and the next smaller one."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
