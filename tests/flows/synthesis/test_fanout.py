"""Buffer trees: no output drives more than ten inputs, and every input still has its value."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tilewright.flows.synthesis.fanout import MAX_FANOUT, with_trees
from tilewright.flows.synthesis.liberty import Cell, Liberty


def cell(name, inputs, **kinds):
    flags = {"is_buffer": False, "has_state": False} | kinds
    return Cell(name=name, area=1.0, inputs=inputs, outputs=("Y",), **flags)


CELLS = (cell("BUF", ("A",), is_buffer=True), cell("AND", ("A", "B")), cell("DFF", ("D",)))
LIBRARY = Liberty(path=Path("x"), nand2_area=1.0, cells={each.name: each for each in CELLS})


def netlist(sinks):
    """A register that drives so many gates, with the clock at as many registers."""
    gates = "".join(
        f"  AND g{n}_ (\n    .A(\\held.q [3]),\n    .B(in[{n}]),\n    .Y(w{n})\n  );\n"
        f"  DFF \\r[{n}] (\n    .CLK(clk),\n    .D(w{n}),\n    .Y(out[{n}])\n  );\n"
        for n in range(sinks)
    )
    source = "  DFF held_ (\n    .CLK(clk),\n    .D(1'h0),\n    .Y(\\held.q [3])\n  );\n"
    return f"module m(clk, in, out);\n{source}{gates}endmodule\n"


def drivers_and_loads(text):
    """What each buffer's output follows, and how many inputs each net drives."""
    buffers = re.findall(r"BUF \w+ \(\.A\((.*?)\), \.Y\((\w+)\)\)", text)
    loads = Counter(re.findall(r"\.[ABD]\((.*?)\)", text))
    return {output: net for net, output in buffers}, loads


@pytest.mark.parametrize("sinks", [0, 1, 10, 11, 100, 101, 1234])
def test_every_net_drives_ten_inputs_at_most(sinks):
    text, buffers = with_trees(netlist(sinks), LIBRARY)
    follows, loads = drivers_and_loads(text)
    loads.pop("1'h0")
    assert max(loads.values(), default=0) <= MAX_FANOUT
    assert len(follows) == buffers
    for net in re.findall(r"AND g\d+_ \(\n    \.A\((.*?)\)", text):
        while net in follows:
            net = follows[net]
        assert net == "\\held.q [3]"
    assert text.count(".CLK(clk)") == sinks + 1


def test_what_drives_few_is_left_alone():
    assert with_trees(netlist(10), LIBRARY) == (netlist(10), 0)


def test_constants_clocks_and_inputs_of_unknown_cells_get_no_tree():
    cells = "".join(
        f"  DFF \\r[{n}] (\n    .CLK(clk),\n    .D(1'h{n % 2}),\n    .Y(out[{n}])\n  );\n"
        f"  RAM ram{n}_ (\n    .A(address)\n  );\n"
        for n in range(50)
    )
    text = f"module m(clk, address, out);\n{cells}endmodule\n"
    assert with_trees(text, LIBRARY) == (text, 0)


def test_a_library_without_a_buffer_changes_nothing():
    cells = {name: each for name, each in LIBRARY.cells.items() if name != "BUF"}
    bare = Liberty(path=Path("x"), nand2_area=1.0, cells=cells)
    assert with_trees(netlist(50), bare) == (netlist(50), 0)
