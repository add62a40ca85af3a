"""The table of docs/operators.md is what the handlers state; every handler of an operator does."""

import importlib
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

from tilewright.compiler import frontend
from tilewright.compiler.frontend import interpret
from tilewright.compiler.frontend.handlers import Entry, Handler
from tilewright.compiler.frontend.operators_page import operators_table, with_table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operators.md"
MODULES = [
    importlib.import_module(f"{frontend.__name__}.{found.name}")
    for found in pkgutil.iter_modules(frontend.__path__)
]


def test_the_page_is_what_the_handlers_state():
    """If not: `python -m tilewright.compiler.frontend.operators_page docs/operators.md`."""
    assert with_table(PAGE.read_text()) == PAGE.read_text()


def test_the_table_names_every_operator():
    cells = [row.split(" | ")[0].strip("| ") for row in operators_table().splitlines()[2:]]
    assert {name for cell in cells for name in cell.split(", ")} == {
        name for _, name in interpret.HANDLERS
    }


@pytest.mark.parametrize("handler", interpret.HANDLED, ids=lambda item: item.function.__name__)
def test_every_way_states_operators_conditions_and_cost(handler):
    assert handler.entries
    for entry in handler.entries:
        assert list(entry.keys)
        assert all((entry.runs, entry.conditions, entry.cost))
        assert "|" not in entry.runs + entry.conditions + entry.cost


def test_every_handler_is_listed_and_no_operator_has_two():
    made = {item for module in MODULES for item in vars(module).values()
            if isinstance(item, Handler)}  # fmt: skip
    assert made == set(interpret.HANDLED)
    owners = Counter(
        key
        for item in interpret.HANDLED
        for key in {k for entry in item.entries for k in entry.keys}
    )
    assert set(owners.values()) == {1}


def test_ways_that_are_alike_share_a_row():
    def handler(name):
        entry = Entry(operators=(name,), runs="so", conditions="always", cost="none")
        return Handler(function=lambda context, node, values: [], entries=(entry,))

    rows = operators_table([handler("First"), handler("Second")]).splitlines()
    assert rows[2:] == ["| First, Second | so | always | none |"]
