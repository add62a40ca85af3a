"""Area and clock of a config: of its parts, added up and linked, or of the whole."""

from typing import Any

from tilewright.flows.hardware import SIMULATED_NAME, VERILOG_NAME, hardware_folder
from tilewright.flows.synthesis.devices import devices, is_fpga, sram_bits
from tilewright.flows.synthesis.kept import Kept, PartFigures, cells_of, gates_of
from tilewright.flows.synthesis.liberty import load_liberty
from tilewright.flows.synthesis.parts import Netlist
from tilewright.flows.synthesis.timing import LongestPath, Timing
from tilewright.flows.synthesis.tools import check_yosys, find_sta
from tilewright.hw.spec.config import Config
from tilewright.support.records import record

TOP = "tilewright"


@record(frozen=True, kw_only=True)
class Synthesis:
    """The figures of a config."""

    config: Config
    target: str
    is_flat: bool
    """Synthesized as a whole; else composed: the sum of its parts, each by itself."""
    tools: tuple[str, ...]
    parts: tuple[PartFigures, ...]
    timing: Timing | None
    """Of the whole, the parts linked; None on an FPGA, and without OpenSTA."""

    @property
    def obtained(self) -> str:
        """How the figures were obtained."""
        return "synthesized" if self.is_flat else "composed of synthesized parts"

    @property
    def clock_obtained(self) -> str:
        """How the clock was obtained."""
        return f"{self.obtained}, no wires"

    @property
    def totals(self) -> dict[str, float]:
        """The figures of the whole, and the bits of the SRAM banks."""
        names = self.parts[0].figures if self.parts else ()
        sums = {name: sum(part.count * part.figures[name] for part in self.parts) for name in names}
        return {**sums, "sram_bits": float(sram_bits(self.config))}

    @property
    def area(self) -> float:
        """The first figure, in `unit`: logic without SRAM banks."""
        return self.totals[self.unit.lower()]

    @property
    def unit(self) -> str:
        return "LUT4" if "lut4" in self.totals else "NAND2"

    @property
    def path(self) -> LongestPath | None:
        """The longest path; None where nobody measured it."""
        return None if self.timing is None else self.timing.path

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "config": {"name": self.config.name, "digest": self.config.digest},
            "target": self.target,
            "obtained": self.obtained,
            "tools": list(self.tools),
            "totals": self.totals,
            "clock": _clock(self.path),
            "buffers": None if self.timing is None else self.timing.buffers,
            "parts": [
                {
                    "name": part.name,
                    "count": part.count,
                    **part.figures,
                    "clock": _clock(part.path),
                }
                for part in self.parts
            ],
        }


def _clock(path: LongestPath | None) -> dict[str, Any] | None:
    if path is None:
        return None
    return {"megahertz": round(path.megahertz, 1), "from": path.start, "to": path.end}


def check_target(target: str) -> None:
    """Raise ToolError or InputError unless there is such a target; called before long work."""
    check_yosys()
    if not is_fpga(target):
        load_liberty(target)


def synthesize(config: Config, target: str, *, is_flat: bool = False, jobs: int = 1) -> Synthesis:
    """Return area, and where OpenSTA is installed clock, of a config.

    target: "ecp5", a device's name, "osu018", or the path of a Liberty file.
    jobs: parts at a time.

    Raises ToolError where a tool is missing or fails, InputError for a target that there is not.
    """
    yosys = check_yosys()
    liberty = None if is_fpga(target) else load_liberty(target)
    sta = None if liberty is None else find_sta()
    tools = tuple(filter(None, (yosys, sta)))
    netlist = Netlist(verilog_of(config), TOP)
    parts = [netlist.whole()] if is_flat else netlist.parts()
    kept = Kept(tools=tools, jobs=jobs, has_sta=sta is not None)
    if liberty is None:
        found, timing = cells_of(parts, devices().get(target), kept), None
    else:
        found, timing = gates_of(parts, liberty, kept)
    return Synthesis(
        config=config,
        target=target,
        is_flat=is_flat,
        tools=tools,
        parts=tuple(found),
        timing=timing,
    )


def verilog_of(config: Config) -> str:
    """Return the accelerator's Verilog, from the cache where it is there."""
    folder = hardware_folder(config.replace(name=SIMULATED_NAME))
    return (folder / VERILOG_NAME).read_text(encoding="utf-8")
