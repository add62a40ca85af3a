"""The longest path through gates, by OpenSTA: buffer trees, no wires.

Outputs of memories and of whatever else is not in the netlist arrive `ARRIVAL_NS` after the edge.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path

from tilewright.flows.synthesis.fanout import with_trees
from tilewright.flows.synthesis.liberty import Liberty
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_sta
from tilewright.support.errors import ToolError
from tilewright.support.records import record

ARRIVAL_NS = 1.0
PERIOD_NS = 20.0
"""Of the clock that paths are measured against."""
FILE = "timing.json"
NO_PATHS = "No paths found"


@record(frozen=True, kw_only=True)
class LongestPath:
    """Between two registers, ports or memories."""

    nanoseconds: float
    start: str
    end: str

    @property
    def megahertz(self) -> float:
        return 1000 / self.nanoseconds


@record(frozen=True, kw_only=True)
class Timing:
    """What the gates of a module say of its clock."""

    path: LongestPath | None
    """None where there is none."""
    buffers: int
    """In the trees, which are in no area."""


def netlist_script(liberty: Liberty) -> str:
    """Return Yosys's commands that write the gates, memories and banks around them left out."""
    return f"""expose -evert t:$mem_v2 t:tilewright_*
setundef -zero
opt_clean -purge
read_liberty -lib -ignore_miss_func -overwrite {liberty.path}
rename -wire
write_verilog -noattr -noexpr -simple-lhs gates.v
"""


def timing_script(top: str, liberty: Liberty) -> str:
    """Return OpenSTA's script for the gates."""
    return f"""read_liberty {liberty.path}
read_verilog gates.v
link_design {top}
create_clock -name clk -period {PERIOD_NS} [get_ports -quiet clk]
set_input_delay {ARRIVAL_NS} -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_false_path -to [get_ports -quiet {{*clk *CLK}}]
report_checks -path_delay max -digits 3 -format full
"""


def measure_timing(top: str, liberty: Liberty, folder: Path, processes: Processes) -> None:
    """Make the file of a module's timing from its gates in a folder. Raises ToolError."""
    gates = folder / "gates.v"
    netlist, buffers = with_trees(gates.read_text(encoding="utf-8"), liberty)
    gates.write_text(netlist, encoding="utf-8")
    path = longest_path(run_sta(timing_script(top, liberty), folder, processes))
    gates.unlink()
    found = {"buffers": buffers, "path": None if path is None else asdict(path)}
    (folder / FILE).write_text(json.dumps(found), encoding="utf-8")


def read_timing(folder: Path) -> Timing:
    """Return a module's timing."""
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    path = found["path"]
    return Timing(path=None if path is None else LongestPath(**path), buffers=found["buffers"])


def longest_path(report: str) -> LongestPath | None:
    """Return what OpenSTA reports; None where there is no path. Raises ToolError."""
    if NO_PATHS in report:
        return None
    asked = (r"Startpoint: (\S+)", r"Endpoint: (\S+)", r"(-?[\d.]+)\s+slack")
    found = [re.search(each, report) for each in asked]
    if None in found:
        raise ToolError("OpenSTA failed: it reports neither a path nor that there is none")
    start, end, slack = (each[1] for each in found if each is not None)
    nanoseconds = PERIOD_NS - float(slack)
    return LongestPath(nanoseconds=nanoseconds, start=_signal(start), end=_signal(end))


def _signal(name: str) -> str:
    """A register by the signal that it drives, without the cell's type."""
    return re.sub(r"(\[\d+\])?(\\+\w+)?$", "", name.lstrip("\\"))
