"""docs/operators.md names every operator that has a handler, and no other."""

import re
from pathlib import Path

from tilewright.compiler.frontend.interpret import HANDLERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operators.md"


def test_the_operators_page_lists_what_has_a_handler():
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    listed = {name for row in rows[1:] for name in re.findall(r"\w+", row)}
    assert listed == {op_type for _, op_type in HANDLERS}
