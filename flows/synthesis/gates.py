"""A part in gates of a Liberty library: its area, and the longest path of the part by itself.

SRAM banks are black boxes; other memories (FIFOs, tables) are none of the area and counted in bits.
ABC puts buffers behind what drives more than 10 inputs. There are no wires, and ABC makes no fast
adders: clocks compare with others of this flow. Outputs of memories and of other parts arrive
`ARRIVAL_NS` after the edge.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from tilewright.flows.synthesis.liberty import Liberty
from tilewright.flows.synthesis.parts import BANK, Part, memory_bits
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_sta, run_yosys
from tilewright.support.records import record

MAX_FANOUT = 10
ARRIVAL_NS = 1.0
PATHS = "paths.txt"
PERIOD_NS = 20.0
"""Of the clock that paths are measured against."""
ABC = f"+strash;&get,-n;&fraig,-x;&put;scorr;dc2;dch,-f;map;buffer,-p,-N,{MAX_FANOUT};topo"
"""Yosys's own script for a library, and buffers."""


@record(frozen=True, kw_only=True)
class LongestPath:
    """Between two registers, ports or memories of a part."""

    nanoseconds: float
    start: str
    end: str

    @property
    def megahertz(self) -> float:
        return 1000 / self.nanoseconds


def gates_script(part: Part, liberty: Liberty) -> str:
    """Return Yosys's script for a part whose Verilog is `part.v`."""
    unused = "".join(f" -dont_use {name}" for name in liberty.clock_cells)
    banks = sorted(set(BANK.findall(part.verilog)))
    boxes = "".join(f"blackbox {name}\n" for name in (*part.cut, *banks))
    return f"""read_verilog -sv -defer part.v
hierarchy -top {part.name}
{boxes}synth -top {part.name} -flatten -booth -run begin:fine
opt -fast -full
tee -q -o memories.il dump t:$mem_v2
opt -full
techmap
opt -fast
abc
opt -fast
dfflibmap -liberty {liberty.path}
opt
abc -liberty {liberty.path}{unused} -script {ABC}
opt_clean -purge
tee -q -o area.json stat -json -liberty {liberty.path}
expose -evert t:$mem_v2 t:tilewright_*
setundef -zero
opt_clean -purge
read_liberty -lib -ignore_miss_func {liberty.path}
rename -wire
write_verilog -noattr -noexpr -simple-lhs gates.v
"""


def synthesize_gates(
    part: Part, liberty: Liberty, folder: Path, *, with_clock: bool, processes: Processes
) -> None:
    """Make the files of a part's figures in a folder. Raises ToolError."""
    (folder / "part.v").write_text(part.verilog, encoding="utf-8")
    run_yosys(gates_script(part, liberty), folder, processes)
    if with_clock:
        (folder / PATHS).write_text(run_sta(timing_script(part, liberty), folder, processes))
    (folder / "gates.v").unlink()


def timing_script(part: Part, liberty: Liberty) -> str:
    """Return OpenSTA's script for the gates."""
    return f"""read_liberty {liberty.path}
read_verilog gates.v
link_design {part.name}
create_clock -name clk -period {PERIOD_NS} [get_ports -quiet clk]
set_input_delay {ARRIVAL_NS} -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_false_path -to [get_ports -quiet {{*clk *CLK}}]
report_checks -path_delay max -digits 3 -format full
"""


def read_gates(folder: Path, liberty: Liberty) -> Mapping[str, float]:
    """Return a part's area in NAND2, its flip-flops, and the bits of its memories."""
    found = json.loads((folder / "area.json").read_text(encoding="utf-8"))["design"]
    cells = found["num_cells_by_type"]
    return {
        "nand2": found.get("area", 0.0) / liberty.nand2_area,
        "flip_flops": sum(cells.get(name, 0) for name in liberty.state_cells),
        "memory_bits": memory_bits((folder / "memories.il").read_text(encoding="utf-8")),
    }


def read_path(folder: Path) -> LongestPath | None:
    """Return a part's longest path; None where it was not asked for, or there is none."""
    file = folder / PATHS
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    slack = re.search(r"(-?[\d.]+)\s+slack", text)
    ends = [re.search(rf"{name}: (\S+)", text) for name in ("Startpoint", "Endpoint")]
    if slack is None or ends[0] is None or ends[1] is None:
        return None
    start, end = (_signal(found[1]) for found in ends if found is not None)
    return LongestPath(nanoseconds=PERIOD_NS - float(slack[1]), start=start, end=end)


def _signal(name: str) -> str:
    """A register by the signal that it drives, without the cell's type."""
    return re.sub(r"(\[\d+\])?(\\+\w+)?$", "", name.lstrip("\\"))
