"""What is needed of a Liberty file: a NAND2's area, cells with a state, buffers, directions."""

import re
from collections.abc import Mapping
from pathlib import Path

from tilewright.flows.synthesis.devices import ECP5, devices
from tilewright.support.errors import InputError
from tilewright.support.records import record

KNOWN = {"osu018": Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")}
"""Libraries by target name, where Debian's package qflow-tech-osu018 puts them."""


@record(frozen=True, kw_only=True)
class Cell:
    """A cell of a library."""

    name: str
    area: float
    """In the library's unit."""
    inputs: tuple[str, ...]
    """Pins but for clocks."""
    outputs: tuple[str, ...]
    is_buffer: bool
    has_state: bool
    """A flip-flop."""


@record(frozen=True, kw_only=True)
class Liberty:
    """A library of standard cells."""

    path: Path
    nand2_area: float
    """In the library's unit."""
    cells: Mapping[str, Cell]

    @property
    def state_cells(self) -> frozenset[str]:
        """Flip-flops."""
        return frozenset(name for name, cell in self.cells.items() if cell.has_state)

    @property
    def clock_cells(self) -> tuple[str, ...]:
        """Buffers that only clocks use."""
        return tuple(name for name in self.cells if name.upper().startswith("CLKBUF"))

    @property
    def buffer(self) -> Cell | None:
        """The buffer of fan-out trees: the second smallest, as the smallest is a weak one."""
        found = [c for c in self.cells.values() if c.is_buffer and c.name not in self.clock_cells]
        ordered = sorted(found, key=lambda cell: cell.area)[:2]
        return ordered[-1] if ordered else None


def load_liberty(target: str) -> Liberty:
    """Read a library by its target name or its path. Raises InputError."""
    path = KNOWN.get(target, Path(target))
    if not path.is_file():
        fpgas = ", ".join((ECP5, *devices()))
        raise InputError(
            f"{path}: no such library; a target is {fpgas}, the path of a Liberty file, or "
            f"{', '.join(KNOWN)} where its Debian package qflow-tech-osu018 is installed"
        )
    text = path.read_text(encoding="utf-8", errors="replace")
    cells = {
        found[1]: _cell(found[1], found[2])
        for found in re.finditer(r'^\s*cell\s*\(\s*"?(\w+)"?\s*\)(.*?)(?=^\s*cell\s*\(|\Z)', text,
                                 re.S | re.M)
    }  # fmt: skip
    areas = [
        cell.area
        for cell in cells.values()
        if cell.area and re.search("nand2(?!b)", cell.name, re.I)
    ]
    if not areas:
        raise InputError(f"{path}: no Liberty file with a NAND2 cell, whose area is the unit")
    return Liberty(path=path.resolve(), nand2_area=min(areas), cells=cells)


def _cell(name: str, body: str) -> Cell:
    """Return the cell whose group has that body."""
    pins = {
        found[1]: found[2]
        for found in re.finditer(r'\bpin\s*\(\s*"?(\w+)"?\s*\)(.*?)(?=\bpin\s*\(|\Z)', body, re.S)
    }
    inputs, outputs = (
        tuple(pin for pin, text in pins.items() if re.search(rf"direction\s*:\s*\"?{way}", text))
        for way in ("input", "output")
    )
    clocks = {pin for pin in inputs if re.search(r"clock\s*:\s*\"?true", pins[pin])}
    area = re.search(r"area\s*:\s*([\d.]+)", body)
    made = "".join(pins[pin] for pin in outputs)
    functions = [text.strip("() ") for text in re.findall(r'function\s*:\s*"([^"]*)"', made)]
    return Cell(
        name=name,
        area=float(area[1]) if area else 0.0,
        inputs=tuple(pin for pin in inputs if pin not in clocks),
        outputs=outputs,
        is_buffer=len(inputs) == len(outputs) == 1 and functions == [*inputs],
        has_state=bool(re.search(r"\bff\s*\(", body)),
    )
