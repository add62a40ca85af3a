"""A part in the cells of Lattice's ECP5, by Yosys's synth_ecp5; SRAM banks are block RAM there."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tilewright.flows.synthesis.parts import Part
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_yosys
from tilewright.support.digests import file_digest

CELLS = {
    "lut4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
    "flip_flops": {"TRELLIS_FF": 1},
    "mult18": {"MULT18X18D": 1},
    "block_ram": {"DP16KD": 1, "PDPW16KD": 1},
}
"""Figures, and how much of each a cell takes: carries and LUT RAM take LUTs."""
CARRY = Path(str(files("tilewright.flows") / "data" / "ecp5_carry.v"))
"""How adders and comparators take carry chains."""
FIRST_CARRY = f"{0x000A:016b}"
"""INIT0 of the cell that begins a chain."""
PERIOD = 10000
"""Picoseconds, without wires: what ABC makes faster than that it makes smaller instead."""


def map_ecp5(top: str, *, netlist: str | None = None) -> str:
    """Return the part of a Yosys script that maps the design; `netlist`: the JSON it writes.

    Functions of more than four inputs are made of LUT4s: what PERIOD leaves over is spent on fewer
    of them, which a multiplexer of LUTs (PFUMX) hinders.
    """
    written = "" if netlist is None else f" -json {netlist}"
    return f"""# {CARRY.name} is {file_digest(CARRY)}
scratchpad -set abc9.D {PERIOD}
synth_ecp5 -top {top} -nowidelut -run begin:map_gates
techmap -map "{CARRY}"
synth_ecp5 -top {top} -nowidelut -run map_gates:{written}
"""


def free_carries(netlist: dict[str, Any]) -> None:
    """Disconnect the ends of carry chains in Yosys's JSON: nextpnr would add cells for them."""
    for module in netlist["modules"].values():
        cells = module["cells"].values()
        read = {
            bit
            for cell in cells
            for port, bits in cell["connections"].items()
            if cell["port_directions"].get(port) == "input"
            for bit in bits
        }
        for cell in cells:
            ends = cell["connections"]
            if cell["type"] == "CCU2C" and cell["parameters"]["INIT0"] == FIRST_CARRY:
                ends["CIN"] = ["x"]
            if cell["type"] == "CCU2C" and read.isdisjoint(ends["COUT"]):
                ends["COUT"] = ["x"]


def ecp5_script(part: Part) -> str:
    """Return Yosys's script for a part whose Verilog is `part.v`."""
    boxes = "".join(f"blackbox {name}\n" for name in part.cut)
    return f"""read_verilog -sv -defer part.v
hierarchy -top {part.name}
{boxes}{map_ecp5(part.name)}tee -q -o area.json stat -json
"""


def synthesize_ecp5(part: Part, folder: Path, *, processes: Processes) -> None:
    """Make the files of a part's figures in a folder. Raises ToolError."""
    (folder / "part.v").write_text(part.verilog, encoding="utf-8")
    run_yosys(ecp5_script(part), folder, processes)


def read_ecp5(folder: Path) -> Mapping[str, float]:
    """Return a part's figures."""
    found = json.loads((folder / "area.json").read_text(encoding="utf-8"))["design"]
    cells = found["num_cells_by_type"]
    return {
        name: sum(cells.get(cell, 0) * share for cell, share in shares.items())
        for name, shares in CELLS.items()
    }
