"""Place and route: the harness around the top, what is read of nextpnr's report."""

import json
import re

import pytest

from tilewright.flows.hardware import VERILOG_NAME, hardware_folder
from tilewright.flows.synthesis.devices import devices
from tilewright.flows.synthesis.place import (
    Placement,
    Run,
    harness,
    nextpnr_version,
    placement_script,
    read_cells,
    read_run,
)
from tilewright.flows.synthesis.synthesis import TOP
from tilewright.hw.rtl.accelerator import port_members
from tilewright.hw.spec.config import PRESETS

NANO = PRESETS["nano"]
REPORT = {
    "fmax": {"clk": {"achieved": 61.26, "constraint": 100.0}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge clk", "path": []},
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                {"from": {"cell": "dut.vector.step_TRELLIS_FF_Q"}, "to": {"cell": "x"}},
                {"from": {"cell": "x"}, "to": {"cell": "dut.vector.walker.row_TRELLIS_FF_Q_DI_3"}},
            ],
        },
    ],
}
LOG = """Info: Device utilisation:
Info: \t          TRELLIS_IO:       3/    197     1%
Info: \t          MULT18X18D:      25/     28    89%
Info: \t        TRELLIS_COMB:   25895/  24288   106%
"""


def test_the_harness_connects_every_port_once():
    verilog = (hardware_folder(NANO) / VERILOG_NAME).read_text(encoding="utf-8")
    text = harness(verilog, TOP)
    connected = re.findall(r"\.(\w+)\(", text)
    assert sorted(connected) == sorted([*port_members(NANO), "clk", "rst"])
    inputs, outputs = (
        [(int(high), int(low)) for high, low in re.findall(rf"\({bus}\[(\d+):(\d+)\]\)", text)]
        for bus in ("given", "results")
    )
    for ports in (inputs, outputs):
        assert [low for _, low in ports] == [0, *(high + 1 for high, _ in ports[:-1])]


@pytest.mark.parametrize("sparing", ["mul2dsp", "-nowidelut"])
def test_cells_are_spared_only_on_a_small_device(sparing):
    assert sparing in placement_script(devices()["ecp5-25k"])
    assert sparing not in placement_script(devices()["ecp5-85k"])


def test_a_report_gives_the_clock_and_the_signals_of_its_path():
    run = read_run(json.dumps(REPORT), seed=2)
    assert run == Run(seed=2, megahertz=61.3, start="vector.step", end="vector.walker.row")


def test_cells_that_are_missing_are_named_and_there_is_no_clock():
    cells = read_cells(LOG)
    assert cells == {"MULT18X18D": (25, 28), "TRELLIS_COMB": (25895, 24288)}
    placement = Placement(config=NANO, device="25k", tools=(), cells=cells, runs=())
    assert placement.missing == ("TRELLIS_COMB",)
    assert placement.as_dict()["megahertz"] is None


def test_the_clock_is_the_median_of_the_seeds():
    runs = tuple(Run(seed=s, megahertz=m, start="", end="") for s, m in ((1, 50), (2, 70), (3, 60)))
    placement = Placement(config=NANO, device="85k", tools=(), cells={}, runs=runs)
    assert placement.as_dict()["megahertz"] == 60


def test_a_device_is_one_of_the_fpga(tilewright):
    result = tilewright("synth", "--preset", "nano", "--place", "25k")
    assert result.status == 2
    assert "--place needs --target ecp5" in result.err


VERSIONS = {
    "Place and Route (Version nextpnr-0.11.1)\n": "nextpnr 0.11.1",
    "Place and Route (Version nextpnr-0.4-1+b1)": "nextpnr 0.4-1+b1",
    "": "nextpnr",
}


@pytest.mark.parametrize(("told", "version"), VERSIONS.items())
def test_the_version_is_read_from_what_it_says(told, version):
    assert nextpnr_version(told) == version
