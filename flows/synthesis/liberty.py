"""What is needed of a Liberty file: a NAND2's area, cells with a state, buffers of clocks."""

import re
from pathlib import Path

from tilewright.support.errors import InputError
from tilewright.support.records import record

KNOWN = {"osu018": Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")}
"""Libraries by target name, where Debian's package qflow-tech-osu018 puts them."""


@record(frozen=True, kw_only=True)
class Liberty:
    """A library of standard cells."""

    path: Path
    nand2_area: float
    """In the library's unit."""
    state_cells: frozenset[str]
    """Flip-flops."""
    clock_cells: tuple[str, ...]
    """Buffers that only clocks use."""


def load_liberty(target: str) -> Liberty:
    """Read a library by its target name or its path. Raises InputError."""
    path = KNOWN.get(target, Path(target))
    if not path.is_file():
        raise InputError(
            f"{path}: no such library; a target is ecp5, the path of a Liberty file, or "
            f"{', '.join(KNOWN)} where its Debian package qflow-tech-osu018 is installed"
        )
    text = path.read_text(encoding="utf-8", errors="replace")
    cells = {
        found[1]: found[2]
        for found in re.finditer(r'^\s*cell\s*\(\s*"?(\w+)"?\s*\)(.*?)(?=^\s*cell\s*\(|\Z)', text,
                                 re.S | re.M)
    }  # fmt: skip
    areas = [
        float(found[1])
        for name, body in cells.items()
        if re.search("nand2(?!b)", name, re.I)
        and (found := re.search(r"area\s*:\s*([\d.]+)", body))
    ]
    if not areas:
        raise InputError(f"{path}: no Liberty file with a NAND2 cell, whose area is the unit")
    return Liberty(
        path=path.resolve(),
        nand2_area=min(areas),
        state_cells=frozenset(
            name for name, body in cells.items() if re.search(r"\bff\s*\(", body)
        ),
        clock_cells=tuple(name for name in cells if name.upper().startswith("CLKBUF")),
    )
