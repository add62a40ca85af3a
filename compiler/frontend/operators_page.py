"""The table of docs/operators.md, written from the entries of the operators' handlers.

`python -m tilewright.compiler.frontend.operators_page docs/operators.md` puts it into the page.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from tilewright.compiler.frontend.handlers import Entry, Handler
from tilewright.compiler.frontend.interpret import HANDLED

BEGIN = "<!-- table: python -m tilewright.compiler.frontend.operators_page docs/operators.md -->"
END = "<!-- end of the table -->"
HEADER = ("ONNX operator", "on the accelerator", "conditions", "cost")


def operators_table(handlers: Iterable[Handler] = HANDLED) -> str:
    """Return the table in Markdown: a row for each way in which operators run."""
    ways: dict[tuple[str, str, str], list[Entry]] = {}
    for handler in handlers:
        for entry in handler.entries:
            ways.setdefault((entry.runs, entry.conditions, entry.cost), []).append(entry)
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [(", ".join(_names(entries)), *way) for way, entries in ways.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def with_table(page: str) -> str:
    """Return the text of the page with the present table."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{operators_table()}\n\n{END}{rest.split(END)[1]}"


def _names(entries: Iterable[Entry]) -> Iterable[str]:
    """The operators of ONNX first, each name once."""
    standard = [name for entry in entries for name in entry.operators]
    return dict.fromkeys([*standard, *(name for entry in entries for name in entry.microsoft)])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text()))
