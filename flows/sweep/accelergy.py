"""Energies that Accelergy wrote: its energy reference table, ERT, of version 0.3 and later.

The form is that of the reference outputs in Accelergy's repository (examples/*/output/reference):
`ERT: {version, tables: [{name, actions: [{name, arguments, energy}]}]}`, energies in picojoules. A
table states no size, so the names of the memories do.
"""

import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from tilewright.support.errors import InputError, ToolError

BITS_OF_BYTE = 8
INDEX = re.compile(r"\[[^]]*\]")
"""How many of them there are, behind the name of a component: `mac[0..255]`."""
COMPONENTS = {
    "multiply_accumulate": re.compile(r"multiply_accumulate"),
    "vector_result": re.compile(r"vector_result"),
    "sram_<bits>b_<KiB>kib": re.compile(r"sram_([1-9]\d*)b_([1-9]\d*)kib"),
    "dram_<bits>b": re.compile(r"dram_([1-9]\d*)b"),
}
"""The last part of a component's name; bits: of an access; KiB: of a bank."""
OPERATIONS = ("compute", "mac_random")
"""The action of arithmetic: of classes today, and of `mac` in Accelergy's own library."""

Energies = dict[str, float]
"""Of a component's actions; where one depends on arguments, as what moves, the largest."""


def read_ert(path: Path) -> dict[str, Any]:
    """Return an ERT's energies, by the names of `EnergyTable`. Raises InputError, ToolError."""
    ert = _load(path)
    (_, multiply), (_, vector), (sram, sram_energies), (dram, dram_energies) = _chosen(path, ert)
    sram_bits, sram_kib = (int(size) for size in sram.groups())
    dram_bytes = int(dram[1]) / BITS_OF_BYTE
    return {
        "source": f"{path.name}, ERT {ert.get('version', 'without a version')} of Accelergy",
        "multiply_accumulate_pj": _operation(path, "multiply_accumulate", multiply),
        "vector_result_pj": _operation(path, "vector_result", vector),
        "sram_byte_pj": _access(path, sram[0], sram_energies) / (sram_bits / BITS_OF_BYTE),
        "sram_bank_kib": sram_kib,
        "dram_byte_pj": _access(path, dram[0], dram_energies) / dram_bytes,
    }


def _load(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ToolError(
            f"{path}: Accelergy's format needs PyYAML: pip install 'tilewright[sweep]'"
        ) from None
    try:
        given = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the ERT.yaml of Accelergy") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    ert = given.get("ERT") if isinstance(given, dict) else None
    if not isinstance(ert, dict) or not isinstance(ert.get("tables"), list):
        raise InputError(
            f"{path}: an ERT of Accelergy has ERT.tables, a list (version 0.3 and later); "
            "give its ERT.yaml, not the summary"
        )
    return ert


def _chosen(path: Path, ert: dict[str, Any]) -> Iterator[tuple[re.Match[str], Energies]]:
    """Return the components of `COMPONENTS`, in that order."""
    tables = [
        _component(f"{path}: ERT.tables[{place}]", table)
        for place, table in enumerate(ert["tables"])
    ]
    matches = {
        wanted: [(match, energies) for name, energies in tables if (match := form.fullmatch(name))]
        for wanted, form in COMPONENTS.items()
    }
    wrong = [wanted for wanted, found in matches.items() if len(found) != 1]
    if wrong:
        raise InputError(
            f"{path}: ERT must have one component of each name {', '.join(COMPONENTS)}; missing or "
            f"more than one: {', '.join(wrong)}; it has {', '.join(name for name, _ in tables)}"
        )
    return (found for (found,) in matches.values())


def _component(place: str, table: Any) -> tuple[str, Energies]:
    """Return the last part of a component's name, and its energies."""
    energies = Energies()
    try:
        name = INDEX.sub("", table["name"]).split(".")[-1]
        actions = [(str(action["name"]), action["energy"]) for action in table["actions"]]
    except (KeyError, TypeError):
        raise InputError(
            f"{place} must have a name and actions of name and energy, got {table!r:.80}"
        ) from None
    for action, given in actions:
        energy = _number(given)
        if energy is None:
            raise InputError(
                f"{place} ({name}): energy of {action} must be a number of picojoules, "
                f"got {given!r}"
            )
        energies[action] = max(energy, energies.get(action, 0))
    return name, energies


def _number(given: Any) -> float | None:
    """Return a finite number of at least 0; None: it is none. YAML 1.1 takes 1e-05 for text."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        return None
    return number if not isinstance(given, bool) and isfinite(number) and number >= 0 else None


def _operation(path: Path, name: str, energies: Energies) -> float:
    found = [energies[action] for action in OPERATIONS if action in energies]
    if not found:
        raise _lacking(path, name, " or ".join(OPERATIONS), energies)
    return found[0]


def _access(path: Path, name: str, energies: Energies) -> float:
    """Return the mean of reading and writing: what is counted is both."""
    if not {"read", "write"} <= energies.keys():
        raise _lacking(path, name, "read and write", energies)
    return (energies["read"] + energies["write"]) / 2


def _lacking(path: Path, name: str, wanted: str, energies: Energies) -> InputError:
    given = ", ".join(energies) or "none"
    return InputError(f"{path}: ERT: {name} must have the actions {wanted}; it has {given}")
