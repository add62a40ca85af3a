"""`tilewright synth`: parts come from the cache, add up, and are close to the whole."""

import importlib.util
import json
from pathlib import Path

import pytest

from tilewright.flows.synthesis.liberty import KNOWN
from tilewright.flows.synthesis.synthesis import synthesize
from tilewright.flows.synthesis.tools import find_sta
from tilewright.hw.spec.config import PRESETS

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("pyosys") or not KNOWN["osu018"].is_file(),
    reason="needs pyosys and OSU018",
)
SMALL = """module tilewright(clk, value, total);
  input clk;
  input [7:0] value;
  output [7:0] total;
  wire [7:0] next;
  tilewright_adder adder (
    .clk(clk),
    .value(value),
    .next(next)
  );
  tilewright_sum sum (
    .clk(clk),
    .next(next),
    .total(total)
  );
endmodule
module tilewright_adder(clk, value, next);
  input clk;
  input [7:0] value;
  output [7:0] next;
  reg [7:0] held;
  always @(posedge clk) held <= value;
  assign next = held + (held << 1);
endmodule
module tilewright_sum(clk, next, total);
  input clk;
  input [7:0] next;
  output reg [7:0] total;
  always @(posedge clk) total <= total + next;
endmodule
"""
"""An accelerator of two parts; the longest path goes through both."""


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr("tilewright.flows.synthesis.synthesis.verilog_of", lambda _: SMALL)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("small")
def test_parts_add_up_and_come_from_the_cache(tilewright, monkeypatch):
    result = tilewright("synth", "--preset", "nano", "-o", "found")
    assert result.status == 0, result
    found = json.loads(Path("found/synthesis.json").read_text())
    assert found["obtained"] == "composed of synthesized parts"
    names = ["tilewright", "tilewright_adder", "tilewright_sum"]
    assert [part["name"] for part in found["parts"]] == names
    assert found["totals"]["nand2"] == sum(part["nand2"] for part in found["parts"]) > 100
    assert found["totals"]["flip_flops"] == 16
    assert found["totals"]["sram_bits"] == 8 * 1024 * (32 + 8 + 16 + 4)
    monkeypatch.setattr("tilewright.flows.synthesis.gates.run_yosys", None)
    assert tilewright("synth", "--preset", "nano").status == 0


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(find_sta() is None, reason="needs OpenSTA")
def test_the_clock_is_that_of_the_path_through_several_parts():
    composed, whole = (
        synthesize(PRESETS["nano"], "osu018", is_flat=flat) for flat in (False, True)
    )
    assert (composed.path.start, composed.path.end) == ("adder.held", "total")
    assert composed.path.nanoseconds == pytest.approx(whole.path.nanoseconds, rel=0.25)
    assert composed.area == pytest.approx(whole.area, rel=0.1)


@pytest.mark.usefixtures("small")
def test_without_opensta_there_is_area_and_no_clock(tilewright, monkeypatch):
    monkeypatch.setattr("tilewright.flows.synthesis.synthesis.find_sta", lambda: None)
    monkeypatch.setattr("tilewright.flows.synthesis.gates.measure_timing", None)
    found = json.loads(tilewright("synth", "--preset", "nano", "--json").out)
    assert found["totals"]["nand2"] > 100
    assert {found["clock"], *(part["clock"] for part in found["parts"])} == {None}
    assert not any("OpenSTA" in tool for tool in found["tools"])


@pytest.mark.usefixtures("small")
def test_a_sweep_has_area_and_time(tilewright, digits):
    words = ("--preset", "nano", "--set-range", "queue_depth=8", "--synth", "osu018")
    result = tilewright("sweep", digits, *words, "--json")
    for point in json.loads(result.out)["points"]:
        assert point["area"] > 100
        assert point["area_source"] == "composed of synthesized parts"
        if point["clock_mhz"] is not None:
            seconds = point["cycles"] / (1e6 * point["clock_mhz"])
            assert point["seconds"] == pytest.approx(seconds, rel=1e-3)


@pytest.mark.usefixtures("small")
def test_cells_of_an_fpga(tilewright):
    words = ("synth", "--preset", "nano", "--target", "ecp5-25k", "--json")
    found = json.loads(tilewright(*words).out)
    assert found["totals"]["flip_flops"] == 16
    assert found["clock"] is None


def test_what_is_no_target_is_refused(tilewright):
    result = tilewright("synth", "--preset", "nano", "--target", "paper")
    assert result.status == 2
    assert "paper: no such library; a target is ecp5" in result.err


@pytest.mark.campaign
def test_the_parts_are_close_to_the_whole():
    nano = PRESETS["nano"]
    parts, whole = (synthesize(nano, "osu018", is_flat=flat, jobs=2) for flat in (False, True))
    assert parts.area == pytest.approx(whole.area, rel=0.05)
    assert parts.totals["flip_flops"] == pytest.approx(whole.totals["flip_flops"], rel=0.01)
    assert parts.totals["memory_bits"] == whole.totals["memory_bits"]
    if find_sta() is not None:  # between parts, trees are made without a look at the time
        assert 1 <= parts.path.nanoseconds / whole.path.nanoseconds < 1.15
