"""`tilewright synth`: parts come from the cache, add up, and are close to the whole."""

import importlib.util
import json
from pathlib import Path

import pytest

from tilewright.flows.synthesis.liberty import KNOWN
from tilewright.flows.synthesis.parts import Netlist
from tilewright.flows.synthesis.synthesis import synthesize
from tilewright.hw.spec.config import PRESETS

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("pyosys") or not KNOWN["osu018"].is_file(),
    reason="needs pyosys and OSU018",
)
SMALL = ("tilewright_arbiter", "tilewright_retirements")


@pytest.fixture
def few_parts(monkeypatch, tmp_path):
    """Two small parts stand for the whole."""
    parts = Netlist.parts
    monkeypatch.setattr(Netlist, "parts", lambda n: [p for p in parts(n) if p.name in SMALL])
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("few_parts")
def test_parts_add_up_and_come_from_the_cache(tilewright, monkeypatch):
    result = tilewright("synth", "--preset", "nano", "-o", "found")
    assert result.status == 0, result
    found = json.loads(Path("found/synthesis.json").read_text())
    assert found["obtained"] == "composed of synthesized parts"
    assert {part["name"] for part in found["parts"]} == set(SMALL)
    assert found["totals"]["nand2"] == sum(part["nand2"] for part in found["parts"]) > 100
    assert found["totals"]["sram_bits"] == 8 * 1024 * (32 + 8 + 16 + 4)
    monkeypatch.setattr("tilewright.flows.synthesis.gates.run_yosys", None)
    assert tilewright("synth", "--preset", "nano").status == 0


@pytest.mark.usefixtures("few_parts")
def test_a_sweep_has_area_and_time(tilewright, digits):
    words = ("--preset", "nano", "--set-range", "queue_depth=8", "--synth", "osu018")
    result = tilewright("sweep", digits, *words, "--json")
    for point in json.loads(result.out)["points"]:
        assert point["area"] > 100
        assert point["area_source"] == "composed of synthesized parts"
        if point["clock_mhz"] is not None:
            seconds = point["cycles"] / (1e6 * point["clock_mhz"])
            assert point["seconds"] == pytest.approx(seconds, rel=1e-3)


@pytest.mark.usefixtures("few_parts")
def test_cells_of_an_fpga(tilewright):
    found = json.loads(tilewright("synth", "--preset", "nano", "--target", "ecp5", "--json").out)
    assert found["totals"]["flip_flops"] > 100
    assert found["clock"] is None


def test_what_is_no_target_is_refused(tilewright):
    result = tilewright("synth", "--preset", "nano", "--target", "paper")
    assert result.status == 2
    assert "paper: no such library; a target is ecp5" in result.err


@pytest.mark.campaign
def test_the_sum_of_the_parts_is_close_to_the_whole():
    nano = PRESETS["nano"]
    parts, whole = (
        synthesize(nano, "osu018", is_flat=flat, jobs=2).totals for flat in (False, True)
    )
    assert parts["nand2"] == pytest.approx(whole["nand2"], rel=0.05)
    assert parts["flip_flops"] == pytest.approx(whole["flip_flops"], rel=0.01)
    assert parts["memory_bits"] == whole["memory_bits"]
