"""What is done to Yosys's netlists of an ECP5, proven by Yosys where it is more than a wire."""

import importlib.util
import json

import pytest

from tilewright.flows.synthesis.ecp5_netlist import free_carries, pack_products
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_yosys

PRODUCTS = """module top(
  input clk, enable, other, reset, input signed [4:0] a, b,
  output reg signed [9:0] always_on, enabled, stopped, cleared, read_twice, mixed,
  output [9:0] twice
);
  wire signed [9:0] unregistered = a * $signed(b + 5'd3), product = a * $signed(b + 5'd4);
  assign twice = read_twice + unregistered;
  always @(posedge clk) begin
    always_on <= a * b;
    if (enable) enabled <= a * $signed(b + 5'd1);
    if (!other) stopped <= a * $signed(b + 5'd5);
    cleared <= reset ? 10'd0 : a * $signed(b + 5'd2);
    read_twice <= unregistered;
    if (enable) mixed[4:0] <= product[4:0];
    if (other) mixed[9:5] <= product[9:5];
  end
endmodule
"""
PACKED = {"always_on", "enabled", "stopped"}

MULTIPLIER = f"""module MULT18X18D({
    ", ".join(
        ["input CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB"]
        + [f"input {port}{number}" for port in "ABC" for number in range(18)]
        + [f"output P{number}" for number in range(36)]
    )
});
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  wire [17:0] a = {{{", ".join(f"A{number}" for number in reversed(range(18)))}}};
  wire [17:0] b = {{{", ".join(f"B{number}" for number in reversed(range(18)))}}};
  wire [35:0] product = $signed({{SIGNEDA & a[17], a}}) * $signed({{SIGNEDB & b[17], b}});
  wire [35:0] p;
  assign {{{", ".join(f"P{number}" for number in reversed(range(36)))}}} = p;
  generate
    if (REG_OUTPUT_CLK == "CLK0") begin
      reg [35:0] held = 0;
      always @(posedge CLK0) if (RST0) held <= 0; else if (CE0) held <= product;
      assign p = held;
    end else assign p = product;
  endgenerate
endmodule
"""
"""What a MULT18X18D does, of what is used here: the register behind the product or none."""


def carry(given: int, cin: int | str, cout: int) -> dict[str, object]:
    return {
        "type": "CCU2C",
        "port_directions": {"A0": "input", "CIN": "input", "COUT": "output", "S0": "output"},
        "connections": {"A0": [given], "CIN": [cin], "COUT": [cout], "S0": [given + 1]},
    }


def test_only_a_last_carry_that_nobody_reads_is_disconnected():
    tested, ends, chained = carry(20, 3, 4), carry(4, "0", 5), carry(10, "0", 3)
    leaves = carry(30, "0", 6)
    module = {
        "cells": {"a": chained, "b": tested, "c": ends, "d": leaves},
        "ports": {"given": {"direction": "input", "bits": [5]},
                  "carry": {"direction": "output", "bits": [6]}},
    }  # fmt: skip
    free_carries({"modules": {"top": module}})
    carries = [cell["connections"]["COUT"] for cell in (chained, tested, ends, leaves)]
    assert carries == [[3], [4], ["x"], [6]]


@pytest.fixture(name="netlists")
def fixture_netlists(tmp_path):
    """The products' netlist as Yosys writes it, but for its models of cells, and packed."""
    (tmp_path / "top.v").write_text(PRODUCTS, encoding="utf-8")
    run_yosys("read_verilog top.v\nsynth_ecp5 -top top -json made.json", tmp_path, Processes())
    made = json.loads((tmp_path / "made.json").read_text(encoding="utf-8"))
    netlist = {"modules": {"top": made["modules"]["top"]}}
    (tmp_path / "plain.json").write_text(json.dumps(netlist), encoding="utf-8")
    pack_products(netlist)
    (tmp_path / "packed.json").write_text(json.dumps(netlist), encoding="utf-8")
    (tmp_path / "multiplier.v").write_text(MULTIPLIER, encoding="utf-8")
    return tmp_path


needs_yosys = pytest.mark.skipif(not importlib.util.find_spec("pyosys"), reason="needs pyosys")


@needs_yosys
def test_registers_that_alone_read_a_product_move_into_its_multiplier(netlists):
    module = json.loads((netlists / "packed.json").read_text(encoding="utf-8"))["modules"]["top"]
    cells, nets = module["cells"].values(), module["netnames"]
    multipliers = [cell for cell in cells if cell["type"] == "MULT18X18D"]
    packed = {
        name
        for cell in multipliers
        for name in PACKED | {"cleared", "mixed"}
        if cell["connections"]["P0"] == nets[name]["bits"][:1]
    }
    assert packed == PACKED
    assert len(multipliers) > len(PACKED)
    assert sum("REG_OUTPUT_CLK" in cell["parameters"] for cell in multipliers) == len(PACKED)


@needs_yosys
def test_the_packed_netlist_is_proven_equal(netlists):
    read = [
        f"""read_json {name}.json
read_verilog multiplier.v
read_verilog -overwrite +/lattice/cells_sim_ecp5.v
hierarchy -top top
proc
flatten
rename -hide w:*.* w:*_TRELLIS_FF_Q*_DI*
opt_clean
rename top {name}
design -stash {name}
"""
        for name in ("plain", "packed")
    ]
    prove = """design -copy-from plain plain
design -copy-from packed packed
equiv_make plain packed both
hierarchy -top both
opt_clean
equiv_struct
equiv_simple -undef
equiv_induct
equiv_status -assert
"""
    run_yosys("".join([*read, prove]), netlists, Processes())
