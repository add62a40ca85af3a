"""Adders on the carry chains of an ECP5: proven equal to Yosys's, their ends within."""

import itertools
import json

import pytest

from tilewright.flows.synthesis.ecp5 import CARRY, free_carries, map_ecp5
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_yosys

pytest.importorskip("pyosys")

ALU = r"""
module top(input [{a}:0] a, input [{b}:0] b, input ci, bi, output [{y}:0] x, sum, carries);
\$alu #(
  .A_SIGNED({signed}), .B_SIGNED({signed}),
  .A_WIDTH({a} + 1), .B_WIDTH({b} + 1), .Y_WIDTH({y} + 1)
) alu(.A(a), .B(b), .CI(ci), .BI(bi), .X(x), .Y(sum), .CO(carries));
endmodule
"""
PROOF = f"""read_verilog -icells top.v
hierarchy -top top
techmap -map "{CARRY}"
select -assert-any t:CCU2C
select -assert-none t:$alu
read_verilog -overwrite +/lattice/cells_sim_ecp5.v
hierarchy -top top
proc
flatten
rename top carried
design -stash carried
read_verilog -icells top.v
hierarchy -top top
techmap
rename top plain
design -copy-from carried carried
miter -equiv -flatten -make_assert plain carried both
sat -verify -prove-asserts both
"""
COUNTER = """
module top(input clk, input [8:0] a, b, input [7:0] c, output reg less, output reg [7:0] next);
always @(posedge clk) begin
  less <= a < b;
  next <= c + 8'd1;
end
endmodule
"""


@pytest.mark.parametrize("width", [5, 6])
@pytest.mark.parametrize("signed", [0, 1])
def test_an_adder_on_a_carry_chain_equals_yosys_own(tmp_path, width, signed):
    for a, b in itertools.product((3, width), (width - 1, width)):
        text = ALU.format(a=a - 1, b=b - 1, y=width - 1, signed=signed)
        (tmp_path / "top.v").write_text(text, encoding="utf-8")
        run_yosys(PROOF, tmp_path, Processes())


def test_a_carry_chain_neither_starts_nor_ends_in_the_fabric(tmp_path):
    (tmp_path / "top.v").write_text(COUNTER, encoding="utf-8")
    run_yosys(f"read_verilog top.v\n{map_ecp5('top', netlist='top.json')}", tmp_path, Processes())
    netlist = json.loads((tmp_path / "top.json").read_text(encoding="utf-8"))
    free_carries(netlist)
    cells = netlist["modules"]["top"]["cells"].values()
    chained = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    given = [chain["COUT"][0] for chain in chained]
    taken = [chain["CIN"][0] for chain in chained]
    assert len(chained) == 6 + 5  # (carry, 9 bits, less, left over), (carry, 8 bits, left over)
    assert sorted(given, key=str) == sorted(taken, key=str)
    assert taken.count("x") == 2
    read = {
        bit
        for cell in cells
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input" and port != "CIN"
        for bit in bits
    }
    assert read.isdisjoint(set(given) - {"x"})
