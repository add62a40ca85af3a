"""Parts of a Verilog file, a Liberty file's facts, and figures of a small circuit."""

import importlib.util
import itertools
import re

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
from tilewright.flows.synthesis.timing import LongestPath, longest_path, read_timing
from tilewright.flows.synthesis.tools import LOG, find_sta
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError, ToolError

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
COUNTING_LANE = VERILOG.replace(
    "module lane(clk);\n",
    """module lane(clk, sum);
  input clk;
  wire clk;
  output [7:0] sum;
  reg [7:0] sum;
  always @(posedge clk) sum <= sum + 1;
""",
)
OTHER_LANE = COUNTING_LANE.replace("sum + 1", "sum + 2")
NUMBERED = r"""module top(clk);
  wire [2:0] value;
  driver driver (
    .\port$12$0 (value[1])
  );
  reader reader (
    .\port$12$0 (value[1]),
    .\port$7$1 (4'h3)
  );
endmodule
module driver(\port$12$0 );
  output \port$12$0 ;
  reg \port$12$0  = 1'h0;
endmodule
module reader(\port$12$0 , \port$7$1 );
  input \port$12$0 ;
  input [3:0] \port$7$1 ;
endmodule
"""
OTHER_NUMBERS = NUMBERED.replace("$12$0", "$301$2").replace("$7$1", "$99$0")
BLACK_BOX = """(* blackbox *)
module lane(clk, sum);
  input clk;
  output [7:0] sum;
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
    pin("Y") { direction : "output"; function : "( A )"; } }
  cell (BUFX8) { area : 56; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "A"; } }
  cell (INVX8) { area : 40; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "!A"; } }
  cell (DFFX1) { area : 96; ff (DS, DSN) { }
    pin(CLK) { direction : input; clock : true; }
    pin(D) { direction : input; } pin(Q) { direction : output; function : "DS"; } }
}
"""


def modules_of(verilog):
    """The modules of a Verilog file that are no black boxes."""
    return set(re.findall(r"^module (\w+)", verilog, re.M)) - boxes_of(verilog)


def boxes_of(verilog):
    return set(re.findall(r"^\(\* blackbox \*\)\nmodule (\w+)", verilog, re.M))


def test_what_is_emitted_once_is_a_part_with_its_count():
    parts = {part.name: part for part in Netlist(VERILOG, "top").parts()}
    counts = {name: part.count for name, part in parts.items()}
    assert counts == {"top": 1, "left": 1, "right": 1, "lane": 3}
    modules, boxes = ({name: found(part.verilog) for name, part in parts.items()}
                      for found in (modules_of, boxes_of))  # fmt: skip
    assert modules == {
        "top": {"top"},
        "left": {"left", "tilewright_bank_4x4"},
        "right": {"right", "right_inner"},
        "lane": {"lane", "lane_adder"},
    }
    assert boxes == {"top": {"left", "right"}, "left": {"lane"}, "right": {"lane"}, "lane": set()}


def test_what_a_black_box_holds_is_in_no_other_part():
    first, other = (Netlist(text, "top").parts() for text in (COUNTING_LANE, OTHER_LANE))
    assert [a.name for a, b in zip(first, other, strict=True) if a != b] == ["lane"]
    assert BLACK_BOX in other[1].verilog


def test_the_numbers_of_ports_are_in_no_part():
    first, other = (Netlist(text, "top").parts() for text in (NUMBERED, OTHER_NUMBERS))
    assert first == other
    texts = {part.name: part.verilog for part in first}
    driven, read = (r"\port$output$driver$0", r"\port$input$reader$1")
    assert [text.count(f".{driven} (value[1])") for text in texts.values()] == [2, 0, 0]
    assert f"  output {driven} ;\n  reg {driven}  = 1'h0;\n" in texts["driver"]
    assert f"  input {driven} ;\n  input [3:0] {read} ;\n" in texts["reader"]


def test_the_whole_cuts_nothing():
    whole = Netlist(VERILOG, "top").whole()
    assert boxes_of(whole.verilog) == set()
    assert len(modules_of(whole.verilog)) == 7


def test_every_module_of_an_accelerator_is_in_one_part():
    folder = hardware_folder(PRESETS["nano"].replace(name="simulated"))
    verilog = (folder / VERILOG_NAME).read_text()
    parts = Netlist(verilog, "tilewright").parts()
    lanes = {part.name: part.count for part in parts if part.count > 1}
    assert lanes["tilewright_requantize_lane"] == PRESETS["nano"].lanes
    found = [modules_of(part.verilog) for part in parts]
    assert modules_of(verilog) == set().union(*found)
    shared = set().union(*(a & b for a, b in itertools.combinations(found, 2)))
    assert all("_bank_" in name for name in shared), shared


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
        InputError, match=r"a target is ecp5, ecp5-25k, .*, the path of a Liberty file, or osu018"
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
@pytest.mark.parametrize(("bits", "is_recoded"), [(8, True), (9, True), (10, False), (24, False)])
def test_products_of_short_factors_only_are_recoded(tmp_path, bits, is_recoded):
    verilog = f"""module product(input [{bits - 1}:0] a, input [7:0] b, output [31:0] product);
  assign product = a * b;
endmodule
"""
    part = Part(name="product", count=1, verilog=verilog)
    make_logic(part, load_liberty("osu018"), tmp_path, Processes())
    assert ("to unsigned Booth multiplier" in (tmp_path / LOG).read_text()) is is_recoded


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
    is_timed = find_sta() is not None
    map_logic(part, liberty, logic, pace, gates, Processes(), is_timed=is_timed)
    found = read_gates(logic, gates, liberty)
    assert (found["flip_flops"], found["memory_bits"]) == (16, 0)
    assert 16 * 4 < found["nand2"] < 16 * 4 + 8 * 30  # a flip-flop is 96 / 24
    if is_timed:
        path = read_timing(gates).path
        assert path.end == "sum"
        assert 1 < path.nanoseconds < 8


REPORT = """Startpoint: \\held[3]\\_DFF (rising edge-triggered flip-flop clocked by clk)
Endpoint: \\sum[7]\\_DFF (rising edge-triggered flip-flop clocked by clk)
           18.750   data required time
           12.500   slack (MET)
"""


def test_the_longest_path_is_what_opensta_reports():
    assert longest_path(REPORT) == LongestPath(nanoseconds=7.5, start="held", end="sum")
    assert longest_path(REPORT.replace("12.5", "-2.5")).nanoseconds == 22.5
    assert longest_path("Warning: x\nNo paths found.\n") is None
    with pytest.raises(ToolError, match="neither a path nor that there is none"):
        longest_path(REPORT.replace("slack", "margin"))


TOLD = "ABC: netlist : i/o = 4/ 3 lat = 0 nd = 9 edge = 20 area =90.00  delay ={}  lev = 8\n"
GENERIC = f"3. Executing ABC pass.\n{TOLD.format('9000.0')}4. Executing ABC pass.\n"


@pytest.mark.parametrize(
    ("log", "delay"),
    [
        (GENERIC + TOLD.format("849.39"), 900),
        (GENERIC + TOLD.format("800.00") + TOLD.format("1200.1"), 1300),
        (GENERIC + "Don't call ABC as there is nothing to map.\n", 0),
    ],
)
def test_the_shortest_delay_is_the_last_pass_of_abc(tmp_path, log, delay):
    (tmp_path / LOG).write_text(log)
    assert shortest_delay(tmp_path) == delay


def test_a_log_without_a_delay_is_refused(tmp_path):
    (tmp_path / LOG).write_text(GENERIC)
    with pytest.raises(ToolError, match=r"yosys\.log has no delay"):
        shortest_delay(tmp_path)
