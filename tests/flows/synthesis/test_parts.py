"""Parts of a Verilog file, a Liberty file's facts, and figures of a small circuit."""

import importlib.util
import itertools

import pytest

from tilewright.flows.hardware import VERILOG_NAME, hardware_folder
from tilewright.flows.synthesis.gates import (
    logic_script,
    make_logic,
    map_logic,
    read_gates,
    shortest_delay,
)
from tilewright.flows.synthesis.liberty import KNOWN, load_liberty
from tilewright.flows.synthesis.parts import Netlist, Part, memory_bits
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.timing import read_timing
from tilewright.flows.synthesis.tools import find_sta
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

VERILOG = """module top(clk);
  left \\left (
    .clk(clk)
  );
  right right (
    .clk(clk)
  );
endmodule
module left(clk);
  lane lane0 (
  );
  lane lane1 (
  );
  tilewright_bank_4x4 bank (
  );
endmodule
module right(clk);
  lane lane0 (
  );
  right_inner inner (
  );
endmodule
module right_inner(clk);
endmodule
module lane(clk);
  lane_adder a (
  );
  lane_adder b (
  );
endmodule
module lane_adder(clk);
endmodule
module tilewright_bank_4x4(clk);
endmodule
"""
LIBRARY = """library (x) {
  cell (INVX1) { area : 1.0; }
  cell (NAND2X1) { area : 24.0; pin(A) {} }
  cell (NAND2X2) { area : 32.0; }
  cell (NAND2BX1) { area : 4.0; }
  cell (CLKBUF1) { area : 9; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "A"; } }
  cell (BUFX2) { area : 24; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "A"; } }
  cell (BUFX4) { area : 32; pin("A") { direction : "input"; }
    pin("Y") { direction : "output"; function : "(A)"; } }
  cell (BUFX8) { area : 56; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "A"; } }
  cell (INVX8) { area : 40; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "!A"; } }
  cell (DFFX1) { area : 96; ff (DS, DSN) { }
    pin(CLK) { direction : input; clock : true; }
    pin(D) { direction : input; } pin(Q) { direction : output; function : "DS"; } }
}
"""


def test_what_is_emitted_once_is_a_part_with_its_count():
    parts = {part.name: part for part in Netlist(VERILOG, "top").parts()}
    counts = {name: part.count for name, part in parts.items()}
    assert counts == {"top": 1, "left": 1, "right": 1, "lane": 3}
    assert parts["top"].cut == ("left", "right")
    assert "module right_inner" not in parts["top"].verilog
    assert parts["left"].cut == parts["right"].cut == ("lane",)
    assert "module right_inner" in parts["right"].verilog
    assert "module lane_adder" in parts["lane"].verilog
    assert "module lane_adder" not in parts["left"].verilog


def test_the_whole_cuts_nothing():
    whole = Netlist(VERILOG, "top").whole()
    assert whole.cut == ()
    assert whole.verilog.count("endmodule") == 7


def test_every_module_of_an_accelerator_is_in_one_part():
    folder = hardware_folder(PRESETS["nano"].replace(name="simulated"))
    verilog = (folder / VERILOG_NAME).read_text()
    parts = Netlist(verilog, "tilewright").parts()
    lanes = {part.name: part.count for part in parts if part.count > 1}
    assert lanes["tilewright_requantize_lane"] == PRESETS["nano"].lanes
    modules = {line.split("(")[0] for line in verilog.splitlines() if line.startswith("module ")}
    found = [{line.split("(")[0] for line in part.verilog.splitlines()
              if line.startswith("module ")} for part in parts]  # fmt: skip
    assert modules == set().union(*found)
    shared = set().union(*(a & b for a, b in itertools.combinations(found, 2)))
    cut = {f"module {name}" for part in parts for name in part.cut}
    assert all("_bank_" in name or name.strip() in cut for name in shared), shared


def test_a_library_tells_its_unit_and_its_cells(tmp_path):
    path = tmp_path / "x.lib"
    path.write_text(LIBRARY)
    found = load_liberty(str(path))
    assert found.nand2_area == 24.0
    assert found.state_cells == {"DFFX1"}
    assert found.clock_cells == ("CLKBUF1",)
    assert found.cells["DFFX1"].inputs == ("D",)
    assert found.buffer.name == "BUFX4"  # the second smallest
    path.write_text("nothing")
    with pytest.raises(InputError, match="no Liberty file with a NAND2"):
        load_liberty(str(path))
    with pytest.raises(
        InputError, match=r"a target is ecp5, the path of a Liberty file, or osu018"
    ):
        load_liberty("paper")


def test_bits_of_memories():
    dump = "cell $mem_v2 \\a\n parameter \\SIZE 8\n parameter \\WIDTH 32\n"
    assert memory_bits(dump + dump) == 512
    assert memory_bits("") == 0


@pytest.mark.skipif(
    not importlib.util.find_spec("pyosys") or not KNOWN["osu018"].is_file(),
    reason="needs pyosys and OSU018",
)
def test_an_adder_between_registers_has_area_and_a_path(tmp_path):
    verilog = """module adder(input clk, input [7:0] a, output reg [7:0] sum);
  reg [7:0] held;
  always @(posedge clk) begin held <= a; sum <= sum + held; end
endmodule
"""
    liberty = load_liberty("osu018")
    part = Part(name="adder", count=1, verilog=verilog)
    assert "blackbox" not in logic_script(part, liberty)
    logic, gates = tmp_path / "logic", tmp_path / "gates"
    logic.mkdir()
    gates.mkdir()
    make_logic(part, liberty, logic, Processes())
    pace = shortest_delay(logic)
    assert 500 < pace < 3000
    assert pace % 100 == 0
    map_logic(part, liberty, logic, pace, gates, Processes())
    found = read_gates(logic, gates, liberty)
    assert (found["flip_flops"], found["memory_bits"]) == (16, 0)
    assert 16 * 4 < found["nand2"] < 16 * 4 + 8 * 30  # a flip-flop is 96 / 24
    timing = read_timing(gates)
    if find_sta() is not None:
        assert timing.path.end == "sum"
        assert 1 < timing.path.nanoseconds < 8
