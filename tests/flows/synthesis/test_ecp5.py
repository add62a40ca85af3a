"""What is done to Yosys's netlist of an ECP5, and that a wrong one is refused."""

import pytest

from tilewright.flows.synthesis import tools
from tilewright.flows.synthesis.ecp5 import free_carries
from tilewright.flows.synthesis.processes import Processes
from tilewright.support.errors import ToolError


def carry(given: int, cin: int | str, cout: int) -> dict[str, object]:
    return {
        "type": "CCU2C",
        "port_directions": {"A0": "input", "CIN": "input", "COUT": "output", "S0": "output"},
        "connections": {"A0": [given], "CIN": [cin], "COUT": [cout], "S0": [given + 1]},
    }


def test_only_a_last_carry_that_nobody_reads_is_disconnected():
    tested, ends, chained = carry(20, 3, 4), carry(4, "0", 5), carry(10, "0", 3)
    free_carries({"modules": {"top": {"cells": {"a": chained, "b": tested, "c": ends}}}})
    carries = [cell["connections"]["COUT"] for cell in (chained, tested, ends)]
    assert carries == [[3], [4], ["x"]]


def test_a_netlist_that_abc_finds_unequal_is_refused(tmp_path, monkeypatch):
    told = f"open('{tools.LOG}', 'w').write('ABC: {tools.UNEQUAL}. Output 3')"
    monkeypatch.setattr(tools, "PROGRAM", told)
    with pytest.raises(ToolError, match="differs"):
        tools.run_yosys("", tmp_path, Processes())
