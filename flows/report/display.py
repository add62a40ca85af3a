"""What the commands print: tables, progress and numbers in one form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NAME_WIDTH = 28
GAP = 3
"""Characters between two columns."""
TEXT_WIDTH = 14
"""Characters that a column of text keeps beside numbers."""
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
    """Return a table; columns whose name begins with '>' are right-aligned numbers.

    Columns without any content are left out. Numbers never wrap. Where they leave too little for
    the text beside them in `width` characters (by default the terminal's), their headings do, and
    then the columns whose name begins with '?' are left out, the last one first; a line below the
    table names them.
    """
    given = [list(row) for row in rows]
    filled = [i for i in range(len(columns)) if not given or any(has_content(r[i]) for r in given)]
    columns = [columns[i] for i in filled]
    shown = [[show(row[i]) for i in filled] for row in given]
    parsed = [Column.of(name, [row[i] for row in shown]) for i, name in enumerate(columns)]
    limit = width or console().width
    is_narrow = sum(column.widest + GAP for column in parsed) > limit
    kept = list(range(len(parsed)))
    while is_narrow and sum(parsed[i].narrowest + GAP for i in kept) > limit:
        optional = [i for i in kept if parsed[i].is_optional]
        if not optional:
            break
        kept.remove(optional[-1])
    left_out = [column.name for i, column in enumerate(parsed) if i not in kept]
    result = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        caption=f"left out at this width: {', '.join(left_out)}" if left_out else None,
        caption_justify="left",
    )
    for column in (parsed[i] for i in kept):
        result.add_column(
            column.name,
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=column.is_number and not is_narrow,
            width=column.narrowest if column.is_number and is_narrow else None,
        )
    for row in shown:
        result.add_row(*(escape(row[i]) for i in kept))
    return result


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table, and the characters that it needs."""

    name: str
    is_number: bool
    is_optional: bool
    widest: int
    narrowest: int
    """Without a break in a number or a word of the heading; of text at most TEXT_WIDTH."""

    @classmethod
    def of(cls, marked: str, cells: Sequence[str]) -> "Column":
        """Return the column of a marked name."""
        name = marked.removeprefix("?").removeprefix(">")
        is_number = marked.removeprefix("?").startswith(">")
        longest = max(map(len, cells), default=0)
        words = max(map(len, name.split()), default=0)
        return cls(
            name=name,
            is_number=is_number,
            is_optional=marked.startswith("?"),
            widest=max(longest, len(name)),
            narrowest=max(longest if is_number else min(longest, TEXT_WIDTH), words),
        )


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
