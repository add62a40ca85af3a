"""The columns of a table: what they hold, and how wide they are in so many characters."""

from collections.abc import Iterable, Sequence
from enum import Enum

from tilewright.support.records import record

GAP, EDGE = 3, 1
"""Characters between two columns, and at the ends of a line."""
WHOLE_WORD = 18
"""Words up to this length are not broken."""


class Kind(Enum):
    """What a column holds, by the mark in front of its heading."""

    TEXT = ""
    NUMBER = ">"
    """Right-aligned, never broken."""
    NAME = "<"
    """On one line; where it does not fit, its front goes."""
    SENTENCE = "="


NARROWEST = {Kind.TEXT: 13, Kind.NAME: 20, Kind.SENTENCE: 24}
"""Characters that a column keeps beside numbers."""


@record(frozen=True, kw_only=True)
class Column:
    """A column of a table, and the characters that it needs."""

    name: str
    kind: Kind
    is_optional: bool
    longest: int
    """Of its cells."""
    narrowest: int
    """Without a break in a number or a word of the heading."""

    @classmethod
    def of(cls, marked: str, cells: Sequence[str]) -> "Column":
        """Return the column of a heading that begins with its marks."""
        heading = marked.removeprefix("?")
        kind = next((kind for kind in Kind if kind.value and heading.startswith(kind.value)), None)
        name, kind = heading.removeprefix(kind.value if kind else ""), kind or Kind.TEXT
        longest = max(map(len, cells), default=0)
        words = [len(word) for cell in cells for word in cell.split()]
        kept = [min(longest, NARROWEST.get(kind, longest)), *map(len, name.split())]
        if kind is Kind.TEXT:
            kept += [word for word in words if word <= WHOLE_WORD]
        return cls(
            name=name,
            kind=kind,
            is_optional=marked.startswith("?"),
            longest=longest,
            narrowest=max(kept),
        )

    @property
    def widest(self) -> int:
        """With everything on one line."""
        return max(self.longest, len(self.name))

    def cell(self, text: str, width: int) -> str:
        """Return a cell's text for a column of that width."""
        if self.kind is not Kind.NAME or len(text) <= width:
            return text
        return f"..{text[2 - width :]}"


def total(widths: Iterable[int]) -> int:
    """Return the characters of a line of columns."""
    return sum(width + GAP for width in widths) + EDGE


def fit(columns: Sequence[Column], limit: int) -> dict[int, int]:
    """Return the widths of the columns that are kept, by their place.

    Where they are too wide, headings break first; then optional columns go, the last one first.
    What is left then goes to texts, names and sentences, in this order.
    """
    if total(column.widest for column in columns) <= limit:
        return {place: column.widest for place, column in enumerate(columns)}
    widths = {place: column.narrowest for place, column in enumerate(columns)}
    while total(widths.values()) > limit:
        optional = [place for place in widths if columns[place].is_optional]
        if not optional:
            break
        del widths[optional[-1]]
    spare = limit - total(widths.values())
    for kind in (Kind.TEXT, Kind.NAME, Kind.SENTENCE):
        for place in (place for place in widths if columns[place].kind is kind):
            more = max(min(columns[place].longest - widths[place], spare), 0)
            widths[place] += more
            spare -= more
    return widths
