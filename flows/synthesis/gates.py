"""A part in gates of a Liberty library: logic first, then mapped for the time that it may take.

The slowest part sets the pace. The others are mapped for that, as in the whole, where a tool saves
area wherever there is time. SRAM banks are black boxes; other memories (FIFOs, tables) are none of
the area and counted in bits. There are no wires, and ABC makes no fast adders: clocks compare with
others of this flow.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from tilewright.flows.synthesis.fanout import MAX_FANOUT
from tilewright.flows.synthesis.liberty import Liberty
from tilewright.flows.synthesis.parts import BANK, Part, memory_bits
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.timing import measure_timing, netlist_script
from tilewright.flows.synthesis.tools import LOG, run_yosys
from tilewright.support.errors import ToolError

LOGIC, GATES = "logic.il", "gates.il"
NOTHING = "there is nothing to map"
RECODED_BITS = 9
"""Factors of at most so many bits are recoded as Booth does, which is smaller and faster for the
array; a wider product, mostly one that something is added to, is faster as rows of one sum."""
PACE_STEP = 100
"""Picoseconds that a pace is rounded up to, so that configs share what is mapped."""


def abc(liberty: Liberty, pace: int | None) -> str:
    """Return the command that maps logic for a delay, or for the shortest, with buffers behind
    what drives too much. Sizes would be chosen for loads that a part does not know.
    """
    unused = "".join(f" -dont_use {name}" for name in liberty.clock_cells)
    delay = "" if pace is None else f",-D,{pace}"
    steps = f"map{delay};print_stats;buffer,-N,{MAX_FANOUT};topo"
    return (
        f"abc -liberty {liberty.path}{unused} "
        f"-script +strash;&get,-n;&fraig,-x;&put;scorr;dc2;dch,-f;{steps}\n"
    )


def logic_script(part: Part, liberty: Liberty) -> str:
    """Return Yosys's script that makes logic of `part.v`, and asks for the shortest delay."""
    boxes = "".join(f"blackbox {name}\n" for name in sorted(set(BANK.findall(part.verilog))))
    short = f"t:$mul r:A_WIDTH<={RECODED_BITS} %i r:B_WIDTH<={RECODED_BITS} %i"
    return f"""read_verilog -sv -defer -noassert part.v
hierarchy -top {part.name}
{boxes}proc
opt_expr
opt_clean
wreduce
booth {short}
synth -top {part.name} -flatten -run begin:fine
opt -fast -full
tee -q -o memories.il dump t:$mem_v2
opt -full
techmap
opt -fast
abc
opt -fast
dfflibmap -liberty {liberty.path}
opt
write_rtlil {LOGIC}
{abc(liberty, None)}"""


def gates_script(part: Part, liberty: Liberty, logic: Path, pace: int, *, is_timed: bool) -> str:
    """Return Yosys's script that maps a part's logic for a pace, in picoseconds.

    is_timed: the gates are written for OpenSTA, too.
    """
    netlist = netlist_script(liberty) if is_timed else ""
    return f"""read_rtlil {logic / LOGIC}
hierarchy -top {part.name}
{abc(liberty, pace)}opt_clean -purge
write_rtlil {GATES}
tee -q -o area.json stat -json -liberty {liberty.path}
{netlist}"""


def link_script(top: str, gates: Sequence[Path], liberty: Liberty) -> str:
    """Return Yosys's script that puts the mapped parts together."""
    parts = "".join(f"read_rtlil -overwrite {folder / GATES}\n" for folder in gates)
    return f"""{parts}hierarchy -top {top}
flatten
opt_clean -purge
{netlist_script(liberty)}"""


def make_logic(part: Part, liberty: Liberty, folder: Path, processes: Processes) -> None:
    """Make the logic of a part in a folder. Raises ToolError."""
    (folder / "part.v").write_text(part.verilog, encoding="utf-8")
    run_yosys(logic_script(part, liberty), folder, processes)


def shortest_delay(logic: Path) -> int:
    """Return the picoseconds of a part that is mapped for speed, rounded up; 0 without logic.

    Raises ToolError where ABC says neither a delay nor that there is nothing to map.
    """
    _, _, told = (logic / LOG).read_text(encoding="utf-8").rpartition("Executing ABC pass")
    delays = re.findall(r"^ABC: .*delay = *([\d.]+)", told, re.M)
    if not delays and NOTHING not in told:
        raise ToolError(f"Yosys failed: {logic / LOG} has no delay of ABC's")
    return max((PACE_STEP * ceil(float(delay) / PACE_STEP) for delay in delays), default=0)


def map_logic(
    part: Part,
    liberty: Liberty,
    logic: Path,
    pace: int,
    folder: Path,
    processes: Processes,
    *,
    is_timed: bool,
) -> None:
    """Make the gates of a part, whose logic is in another folder. Raises ToolError."""
    run_yosys(gates_script(part, liberty, logic, pace, is_timed=is_timed), folder, processes)
    if is_timed:
        measure_timing(part.name, liberty, folder, processes)


def link(
    top: str, gates: Sequence[Path], liberty: Liberty, folder: Path, processes: Processes
) -> None:
    """Measure the timing of the parts together, whose gates are in other folders."""
    run_yosys(link_script(top, gates, liberty), folder, processes)
    measure_timing(top, liberty, folder, processes)


def read_gates(logic: Path, gates: Path, liberty: Liberty) -> Mapping[str, float]:
    """Return a part's area in NAND2, its flip-flops, and the bits of its memories."""
    found = json.loads((gates / "area.json").read_text(encoding="utf-8"))["design"]
    cells = found["num_cells_by_type"]
    return {
        "nand2": found.get("area", 0.0) / liberty.nand2_area,
        "flip_flops": sum(cells.get(name, 0) for name in liberty.state_cells),
        "memory_bits": memory_bits((logic / "memories.il").read_text(encoding="utf-8")),
    }
