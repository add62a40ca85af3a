"""Place and route: the harness around the top, what is read of nextpnr's report."""

import dataclasses
import itertools
import json
import re
import subprocess

import pytest

from tilewright.flows.hardware import VERILOG_NAME, hardware_folder
from tilewright.flows.synthesis.devices import devices
from tilewright.flows.synthesis.place import (
    Placement,
    Run,
    harness,
    nextpnr_version,
    place,
    read_cells,
    read_run,
)
from tilewright.flows.synthesis.synthesis import TOP
from tilewright.hw.rtl.accelerator import port_members
from tilewright.hw.spec.config import PRESETS
from tilewright.support.cache import CACHE_VARIABLE
from tilewright.support.errors import ToolError

NANO = PRESETS["nano"]
SMALL = "module tilewright(clk, a, b);\n  input clk;\n  input a;\n  output b;\nendmodule\n"
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
Info: \t              DP16KD:      44/     56    78%
Info: \t          TRELLIS_FF:   12982/  24288    53%
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


def test_a_report_gives_the_clock_and_the_signals_of_its_path():
    run = read_run(json.dumps(REPORT), seed=2)
    assert run == Run(seed=2, megahertz=61.3, start="vector.step", end="vector.walker.row")


def test_cells_are_read_by_their_kinds():
    cells = {"TRELLIS_COMB": (25895, 24288), "TRELLIS_FF": (12982, 24288),
             "MULT18X18D": (25, 28), "DP16KD": (44, 56)}  # fmt: skip
    assert read_cells(LOG) == cells


def test_a_log_that_lacks_a_kind_of_cell_is_refused():
    with pytest.raises(ToolError, match="nextpnr failed: it counts no TRELLIS_FF, DP16KD"):
        read_cells("\n".join(line for line in LOG.splitlines() if "FF:" not in line
                             and "DP16KD" not in line))  # fmt: skip


def test_what_does_not_fit_is_packed_only_and_says_what_is_missing(tilewright, monkeypatch):
    found = Placement(config=NANO, device="25k", tools=("nextpnr 1",), cells=read_cells(LOG))
    monkeypatch.setattr("tilewright.flows.synthesis.place.place", lambda *_, seeds: found)
    words = ("synth", "--preset", "nano", "--target", "ecp5", "--place", "25k")
    told = json.loads(tilewright(*words, "--json").out)
    assert told["obtained"] == "packed only"
    assert told["missing"] == ["TRELLIS_COMB"]
    assert (told["megahertz"], told["seeds"]) == (None, [])
    shown = tilewright(*words).out
    assert "nano on ECP5 25k, packed only" in shown
    assert shown.endswith("it does not fit: too many TRELLIS_COMB\nby nextpnr 1\n")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What nextpnr was asked for, which has places for everything, and the pins that it was given.

    A file that is not in its folder it does not find.
    """
    commands = []
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def run(self, command, given="", folder=None):
        files = dict(itertools.pairwise(command))
        assert json.loads((folder / files["--json"]).read_text()) == {"modules": {}}
        commands.append([*command, (folder / files["--lpf"]).read_text()])
        assert not any("/" in word for word in command)
        (folder / "report.json").write_text(json.dumps(REPORT))
        log = LOG.replace("25895", "95")
        return subprocess.CompletedProcess(command, 0, log, "")

    for name, value in {
        "verilog_of": lambda config: SMALL,
        "check_yosys": lambda: "yosys",
        "find_nextpnr": lambda: "echo",
        "run_yosys": lambda script, folder, _: (folder / "netlist.json").write_text(
            '{"modules": {}}'),
        "Processes.run": run,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"tilewright.flows.synthesis.place.{name}", value)
    return commands


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [("device", "package", "CABGA256"), ("place", "SPEED_GRADE", 8), ("place", "ASKED_MHZ", 50)],
)
def test_places_that_are_asked_differently_share_no_result(asked, monkeypatch, of, name, value):
    device = devices()["ecp5-45k"]
    assert place(NANO, device, seeds=2).megahertz == 61.3
    place(NANO, device, seeds=2)
    assert len(asked) == 3
    assert all("CABGA381" in command for command in asked)
    if of == "device":
        device = dataclasses.replace(device, **{name: value})
    else:
        monkeypatch.setattr(f"tilewright.flows.synthesis.place.{name}", value)
    place(NANO, device, seeds=2)
    assert len(asked) == 6
    assert all(str(value) in command for command in asked[3:])


def test_a_device_with_pins_is_asked_to_spread_the_cells(asked):
    place(NANO, devices()["ecp5-85k"], seeds=1)
    place(NANO, devices()["ecp5-45k"], seeds=1)
    spread, crowded = asked[1], asked[3]
    assert spread[spread.index("--placer") + 1] == "static"
    assert crowded[crowded.index("--placer") + 1] == "heap"
    assert [command[-1] for command in asked[1::2]] == [
        'LOCATE COMP "clk" SITE "C5";\nLOCATE COMP "si" SITE "D5";\n',
        "",
    ]


def test_the_clock_is_the_median_of_the_seeds():
    runs = tuple(Run(seed=s, megahertz=m, start="", end="") for s, m in ((1, 50), (2, 70), (3, 60)))
    placement = Placement(config=NANO, device="85k", tools=(), cells={}, runs=runs)
    assert placement.as_dict()["megahertz"] == 60
    assert placement.as_dict()["obtained"] == "placed and routed"


def test_a_device_is_one_of_the_fpga(tilewright):
    result = tilewright("synth", "--preset", "nano", "--place", "25k")
    assert result.status == 2
    assert "--place needs --target ecp5" in result.err
    result = tilewright("synth", "--preset", "nano", "--target", "ecp5", "--place", "7k")
    assert result.status == 2
    assert "no FPGA '7k' to place on; there are 25k, 45k, 85k" in result.err


VERSIONS = {
    "Place and Route (Version nextpnr-0.11.1)\n": "nextpnr 0.11.1",
    "Place and Route (Version nextpnr-0.4-1+b1)": "nextpnr 0.4-1+b1",
    "Place and Route (Version 0.11.1+dfsg-5+b1)": "nextpnr 0.11.1+dfsg-5+b1",
    "": "nextpnr",
}


@pytest.mark.parametrize(("told", "version"), VERSIONS.items())
def test_the_version_is_read_from_what_it_says(told, version):
    assert nextpnr_version(told) == version
