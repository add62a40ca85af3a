"""Area and clock of a config: every part synthesized once, kept by its content, and added up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tilewright.flows.hardware import SIMULATED_NAME, VERILOG_NAME, hardware_folder
from tilewright.flows.report.progress import counted
from tilewright.flows.synthesis import ecp5, gates
from tilewright.flows.synthesis.liberty import Liberty, load_liberty
from tilewright.flows.synthesis.parts import Netlist, Part
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.tools import check_yosys, find_sta
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import Space, num_words, word_bytes
from tilewright.sim.cosim.cache import cached
from tilewright.support.digests import digest
from tilewright.support.records import record

ECP5 = "ecp5"
TOP = "tilewright"
LINE_SECONDS = 5.0
"""Off a terminal, progress has at most one line in this time."""


@record(frozen=True, kw_only=True)
class PartFigures:
    """A part's figures, of one of it, and its longest path where the target has a clock."""

    name: str
    count: int
    figures: Mapping[str, float]
    path: gates.LongestPath | None


@record(frozen=True, kw_only=True)
class Synthesis:
    """The figures of a config."""

    config: Config
    target: str
    is_flat: bool
    """Synthesized as a whole; else composed: the sum of its parts, each by itself."""
    tools: tuple[str, ...]
    parts: tuple[PartFigures, ...]

    @property
    def obtained(self) -> str:
        """How the figures were obtained."""
        return "synthesized" if self.is_flat else "composed of synthesized parts"

    @property
    def clock_obtained(self) -> str:
        """How the clock was obtained; parts by themselves leave out paths through several."""
        if self.is_flat:
            return "synthesized, no wires"
        return "composed: an upper bound, the slowest part by itself, no wires"

    @property
    def totals(self) -> dict[str, float]:
        """The figures of the whole, and the bits of the SRAM banks."""
        names = self.parts[0].figures if self.parts else ()
        sums = {name: sum(part.count * part.figures[name] for part in self.parts) for name in names}
        return {**sums, "sram_bits": float(sram_bits(self.config))}

    @property
    def area(self) -> float:
        """The first figure, in `unit`: logic without SRAM banks."""
        return self.totals["lut4" if self.target == ECP5 else "nand2"]

    @property
    def unit(self) -> str:
        return "LUT4" if self.target == ECP5 else "NAND2"

    @property
    def slowest(self) -> PartFigures | None:
        """The part with the longest path; None where nobody measured paths."""
        timed = [part for part in self.parts if part.path is not None]
        return max(timed, key=lambda p: p.path.nanoseconds if p.path else 0.0, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        slowest = self.slowest
        return {
            "config": {"name": self.config.name, "digest": self.config.digest},
            "target": self.target,
            "obtained": self.obtained,
            "tools": list(self.tools),
            "totals": self.totals,
            "clock": None if slowest is None else _path(slowest),
            "parts": [
                {"name": part.name, "count": part.count, **part.figures, "clock": _path(part)}
                for part in self.parts
            ],
        }


def _path(part: PartFigures) -> dict[str, Any] | None:
    if part.path is None:
        return None
    return {
        "megahertz": round(part.path.megahertz, 1),
        "part": part.name,
        "from": part.path.start,
        "to": part.path.end,
    }


def sram_bits(config: Config) -> int:
    """Return the bits of all SRAM banks."""
    spaces = (space for space in Space if space != Space.DRAM)
    return sum(8 * word_bytes(space, config) * num_words(space, config) for space in spaces)


def check_target(target: str) -> None:
    """Raise ToolError or InputError unless there is such a target; called before long work."""
    check_yosys()
    if target != ECP5:
        load_liberty(target)


def synthesize(config: Config, target: str, *, is_flat: bool = False, jobs: int = 1) -> Synthesis:
    """Return area, and where OpenSTA is installed clock, of a config.

    target: "ecp5", "osu018", or the path of a Liberty file.
    jobs: parts at a time.

    Raises ToolError where a tool is missing or fails, InputError for a target that there is not.
    """
    yosys = check_yosys()
    liberty = None if target == ECP5 else load_liberty(target)
    sta = None if liberty is None else find_sta()
    tools = tuple(filter(None, (yosys, sta)))
    folder = hardware_folder(config.replace(name=SIMULATED_NAME))
    netlist = Netlist((folder / VERILOG_NAME).read_text(encoding="utf-8"), TOP)
    parts = [netlist.whole()] if is_flat else netlist.parts()
    run = partial(_figures, liberty=liberty, tools=tools)
    found = []
    with counted("part", len(parts), every_seconds=LINE_SECONDS) as advance:
        for figures in _in_threads(run, parts, jobs):
            found.append(figures)
            advance(figures.name)
    return Synthesis(config=config, target=target, is_flat=is_flat, tools=tools, parts=tuple(found))


def _in_threads(
    run: Callable[[Part, Processes], PartFigures], parts: Sequence[Part], jobs: int
) -> Iterator[PartFigures]:
    """Yield the parts' figures; closed early or interrupted, it ends the processes that run."""
    processes, pool = Processes(), ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(run, part, processes) for part in parts]:
            yield future.result()
    finally:
        processes.stop()
        pool.shutdown(cancel_futures=True)


def _figures(
    part: Part, processes: Processes, liberty: Liberty | None, tools: tuple[str, ...]
) -> PartFigures:
    """Return a part's figures, from the cache where they are there."""
    if liberty is None:
        key = digest([*tools, part.verilog, ecp5.ecp5_script(part)])
        produce = partial(ecp5.synthesize_ecp5, part, processes=processes)
        place, _ = cached("synthesis", key, produce)
        return PartFigures(
            name=part.name, count=part.count, figures=ecp5.read_ecp5(place), path=None
        )
    texts = (part.verilog, gates.gates_script(part, liberty), gates.timing_script(part, liberty))
    key = digest([*tools, *texts, liberty.path.read_bytes()])
    produce = partial(
        gates.synthesize_gates, part, liberty, with_clock=len(tools) > 1, processes=processes
    )
    place, _ = cached("synthesis", key, produce)
    return PartFigures(
        name=part.name,
        count=part.count,
        figures=gates.read_gates(place, liberty),
        path=gates.read_path(place),
    )
