"""What is done to Yosys's netlist of an ECP5, and that a wrong one is refused."""

import importlib.util
from functools import partial

import pytest

from tilewright.flows.synthesis import tools
from tilewright.flows.synthesis.devices import devices
from tilewright.flows.synthesis.ecp5 import ecp5_script, read_ecp5, synthesize_ecp5
from tilewright.flows.synthesis.parts import Part
from tilewright.flows.synthesis.place import placement_script
from tilewright.flows.synthesis.processes import Processes
from tilewright.support.errors import ToolError

PRODUCTS = """module top(
  input [7:0] a, b, e, input [5:0] c, d, output [15:0] p, q, output [11:0] r
);
  assign p = a * b;
  tilewright_depthwise_pipeline inner(.a(a), .b(e), .p(q));
  assign r = c * d;
endmodule
module tilewright_depthwise_pipeline(input [7:0] a, b, output [15:0] p);
  assign p = a * b;
endmodule
"""


@pytest.mark.parametrize("sparing", ["mul2dsp", "-nowidelut"])
def test_cells_are_spared_only_on_a_small_device(sparing):
    part = Part(name="m", count=1, verilog="")
    for script in (placement_script, partial(ecp5_script, part)):
        assert sparing in script(devices()["ecp5-25k"])
        assert sparing not in script(devices()["ecp5-85k"])
    assert sparing not in ecp5_script(part, None)


@pytest.mark.skipif(not importlib.util.find_spec("pyosys"), reason="needs pyosys")
def test_narrow_products_and_the_depthwise_ones_are_logic_on_a_small_device(tmp_path):
    part = Part(name="top", count=1, verilog=PRODUCTS)
    synthesize_ecp5(part, devices()["ecp5-25k"], tmp_path, processes=Processes())
    assert read_ecp5(tmp_path)["mult18"] == 1


def test_a_netlist_that_abc_finds_unequal_is_refused(tmp_path, monkeypatch):
    told = f"open('{tools.LOG}', 'w').write('ABC: {tools.UNEQUAL}. Output 3')"
    monkeypatch.setattr(tools, "PROGRAM", told)
    with pytest.raises(ToolError, match="differs"):
        tools.run_yosys("", tmp_path, Processes())
