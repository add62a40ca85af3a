"""Area of the SRAM banks of a config, from a table of macros: an estimate."""

import itertools
from pathlib import Path

from tilewright.flows.tables import read_table
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import Space, bank_words, num_words, word_bytes
from tilewright.support.errors import InputError
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class SramTable:
    """Areas of banks, in NAND2, by their bits; both lists rise."""

    source: str
    bits: tuple[int, ...]
    nand2: tuple[float, ...]


def load_sram_table(path: Path | None) -> SramTable:
    """Read a table of SRAM areas; None: the one that comes along. Raises InputError."""
    given = read_table(path, "sram.toml", ("source", "bits", "nand2"))
    for name in ("bits", "nand2"):
        values = given[name]
        is_list = isinstance(values, list) and len(values) == len(given["bits"]) >= 2
        if not is_list or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        ) or not all(0 < low < high for low, high in itertools.pairwise(values)):  # fmt: skip
            raise InputError(
                f"{path}: {name} must be a list of two or more rising numbers above 0, as many "
                f"as the other list has; got {values!r}"
            )
    return SramTable(source=given["source"], bits=tuple(given["bits"]), nand2=tuple(given["nand2"]))


def sram_area(config: Config, table: SramTable) -> float:
    """Return the area of all banks of all SRAMs, in NAND2."""
    total = 0.0
    for space in Space:
        if space != Space.DRAM:
            words = bank_words(space, config)
            banks = num_words(space, config) // words
            total += banks * bank_area(8 * words * word_bytes(space, config), table)
    return total


def bank_area(bits: int, table: SramTable) -> float:
    """Return a bank's area: on the line through its neighbours in the table, or as many of the
    largest macro as it takes, in parts of one."""
    if bits >= table.bits[-1]:
        return table.nand2[-1] * bits / table.bits[-1]
    upper = next(number for number, size in enumerate(table.bits) if bits < size) or 1
    (low, high), (small, large) = (
        values[upper - 1 : upper + 1] for values in (table.bits, table.nand2)
    )
    return max(small + (large - small) * (bits - low) / (high - low), 0.0)
