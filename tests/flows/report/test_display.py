"""Tables: numbers never break, and what does not fit is left out by name."""

import io

import pytest
from rich.console import Console

from tilewright.flows.report.columns import Column, Kind, fit
from tilewright.flows.report.display import table

COLUMNS = ("layer", "?operator", ">cycles", ">utilization", "?>loaded B", "?>stored B")
ROWS = [
    ("model/block_1/expand/convolution", "Conv + residual", 1_234_567, "99.9%", 8_888_888, 77_777),
    ("last", "Pool", 12, None, 0, 5),
]


def printed(width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    out.print(table("title", COLUMNS, ROWS, width))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_wide_table_has_every_column_and_a_line_a_row():
    lines = printed(120)
    assert len([line for line in lines if line.strip()]) == 5
    assert "8,888,888" in "\n".join(lines)
    assert not any("left out" in line for line in lines)


def test_narrow_table_leaves_columns_out_and_names_them():
    text = "\n".join(printed(60))
    assert "left out at this width: loaded B, stored B" in text
    assert "1,234,567" in text
    assert "99.9%" in text
    assert "77,777" not in text


def test_no_line_is_longer_than_the_width_and_text_keeps_some():
    for width in range(44, 130):
        lines = printed(width)
        assert max(map(len, lines)) <= width
        assert any("model/block_1" in line for line in lines)
        assert any("1,234,567" in line for line in lines)


def test_brackets_in_cells_are_no_markup():
    out = Console(file=io.StringIO(), width=80)
    out.print(table("a [red]", ("?>x",), [("[bold]",)], 80))
    assert isinstance(out.file, io.StringIO)
    assert "[bold]" in out.file.getvalue()
    assert "a [red]" in out.file.getvalue()


def test_columns_without_content_are_left_out():
    out = Console(file=io.StringIO(), width=80)
    out.print(table("t", ("layer", ">cycles", "error"), [("a", None, ""), ("b", None, "")], 80))
    assert isinstance(out.file, io.StringIO)
    assert "cycles" not in out.file.getvalue()
    assert "error" not in out.file.getvalue()
    assert "layer" in out.file.getvalue()


def test_names_lose_their_front_and_never_a_line():
    columns = ("<layer", "?operator", ">cycles", "=limited by")
    names = [f"model/block_{n}/expand/convolution" for n in range(3)]
    rows = [(name, "Conv + residual", 1_234_567, "array busy 96.5%") for name in names]
    out = Console(file=io.StringIO(), width=80)
    out.print(table("t", columns, rows, 80))
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    found = [line.split() for line in lines if "1,234,567" in line]
    assert [words[0] for words in found] == [f"..{name[-25:]}" for name in names]
    assert {" ".join(words[1:]) for words in found} == {
        "Conv + residual 1,234,567 array busy 96.5%"
    }


def test_sentences_keep_more_width_than_texts():
    columns = [Column.of(mark, ["a long text " * 9]) for mark in ("text", "=sentence")]
    assert fit(columns, 20) == {0: 13, 1: 24}
    assert [columns[1].cell("a long text", 5), columns[0].cell("a long text", 5)] == 2 * [
        "a long text"
    ]


def test_marks_stand_in_front_of_headings():
    column = Column.of("?<node", ["first/second"])
    assert (column.name, column.kind, column.is_optional) == ("node", Kind.NAME, True)
    assert column.cell("first/second", 8) == "..second"
    assert Column.of("plain", []).kind is Kind.TEXT


@pytest.mark.parametrize("width", range(60, 130))
def test_lines_of_fitted_columns_are_as_wide_as_the_terminal_at_most(width):
    columns = ("<layer", "?operator", "?>MACs", ">cycles", ">utilization")
    rows = [("a/very/long/name/of/a/layer", "Conv + residual", 12_501_632, 50_509, "100.0%")]
    out = Console(file=io.StringIO(), width=width)
    out.print(table("t", columns, rows, width))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert "utilization" in text
    assert "50,509" in text
    assert max(map(len, text.splitlines())) <= width
