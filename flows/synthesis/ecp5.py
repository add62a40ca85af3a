"""A part in the cells of Lattice's ECP5, by Yosys's synth_ecp5; SRAM banks are block RAM there."""

import json
from collections.abc import Mapping
from pathlib import Path

from tilewright.flows.synthesis.devices import Device
from tilewright.flows.synthesis.parts import Part
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import run_yosys

CELLS = {
    "lut4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
    "flip_flops": {"TRELLIS_FF": 1},
    "mult18": {"MULT18X18D": 1},
    "block_ram": {"DP16KD": 1, "PDPW16KD": 1},
}
"""Figures, and how much of each a cell takes: carries and LUT RAM take LUTs."""
LOGIC_PRODUCTS = "tilewright_depthwise_pipeline*"
"""Modules whose products are made of logic where multipliers are few."""
LOGIC_BITS = 6
"""Products of factors as narrow as that are, too."""
WIRE_PICOSECONDS = 1000
"""What a wire takes, for the mapping: about as long as those on a full device do."""


def map_ecp5(top: str, device: Device | None = None, *, netlist: str | None = None) -> str:
    """Return the part of a Yosys script that maps the design.

    device: on a small one some products are logic, and functions of more than four inputs are made
    of LUT4s, not of pairs and more with multiplexers (PFUMX, L6MUX21), which are faster, but take
    more of them.
    netlist: the JSON file that it writes.
    """
    is_small = device is not None and device.is_small
    sparing, single = (_logic_products(), " -nowidelut") if is_small else ("", "")
    written = "" if netlist is None else f" -json {netlist}"
    return f"{sparing}{_mapping()}synth_ecp5 -top {top}{single}{written}\n"


def _mapping() -> str:
    """Return the command that says how ABC makes LUTs of logic: in several ways, the best so far.

    Its own way, in which wires are short, leaves paths a seventh longer.
    """
    luts = f"&if -W {WIRE_PICOSECONDS}"
    again = "&save; &load; &st; &if -g -K 6"
    steps = (
        "&scorr; &sweep; &dc2", luts, "&save; &st; &syn3", luts, "&save; &load; &st; &syn4", luts,
        again, "&dch -f", luts, again, "&synch2", luts, "&save; &load; &mfs",
    )  # fmt: skip
    return f'scratchpad -set abc9.script "+{"; ".join(steps)}"\n'


def _logic_products() -> str:
    """Return the commands that make logic of products that no multiplier is left for."""
    widths = " ".join(
        f"-D DSP_{limit}" for limit in (
            "A_MAXWIDTH=18", "B_MAXWIDTH=18", f"A_MINWIDTH={LOGIC_BITS + 1}",
            f"B_MINWIDTH={LOGIC_BITS + 1}", "Y_MINWIDTH=9", "NAME=$__MUL18X18",
        )
    )  # fmt: skip
    return f"""proc
opt_expr
opt_clean
wreduce
alumacc {LOGIC_PRODUCTS}/t:$mul
techmap -map +/mul2dsp.v -map +/lattice/dsp_map_18x18.v {widths}
chtype -set $mul t:$__soft_mul
alumacc t:$mul
"""


def ecp5_script(part: Part, device: Device | None) -> str:
    """Return Yosys's script for a part whose Verilog is `part.v`."""
    return f"""read_verilog -sv -defer -noassert part.v
hierarchy -top {part.name}
{map_ecp5(part.name, device)}tee -q -o area.json stat -json
"""


def synthesize_ecp5(
    part: Part, device: Device | None, folder: Path, *, processes: Processes
) -> None:
    """Make the files of a part's figures in a folder. Raises ToolError."""
    (folder / "part.v").write_text(part.verilog, encoding="utf-8")
    run_yosys(ecp5_script(part, device), folder, processes)


def read_ecp5(folder: Path) -> Mapping[str, float]:
    """Return a part's figures."""
    found = json.loads((folder / "area.json").read_text(encoding="utf-8"))["design"]
    cells = found["num_cells_by_type"]
    return {
        name: sum(cells.get(cell, 0) * share for cell, share in shares.items())
        for name, shares in CELLS.items()
    }
