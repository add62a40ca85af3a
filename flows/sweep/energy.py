"""An estimate of a run's energy: counts of operations and accesses, times a table.

There are no clock tree, wires, control, idle cycles or leakage in it. Accesses are those of the
instructions' walks (`hw/spec/loops.py`), steps into padding included.
"""

from collections import Counter
from dataclasses import fields
from math import isfinite, prod
from pathlib import Path

from tilewright.flows.report.report import transfer_bytes
from tilewright.flows.sweep.accelergy import read_ert
from tilewright.flows.tables import read_table
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space, Walk, bank_words, word_bytes
from tilewright.hw.spec.program import Listing
from tilewright.support.errors import InputError
from tilewright.support.records import record

PICO = 1e-12
YAML_SUFFIXES = (".yaml", ".yml")
MEMORIES = {space: f"{space.name.lower()}_bytes" for space in Space if space != Space.DRAM}
"""The counts of the SRAMs."""


@record(frozen=True, kw_only=True)
class Counts:
    """What a run does, whatever it costs."""

    macs: int = 0
    vector_results: int = 0
    """Bytes that the vector unit writes."""
    dram_bytes: int = 0
    activation_bytes: int = 0
    """Read and written, as of the memories below."""
    weight_bytes: int = 0
    accumulator_bytes: int = 0
    parameter_bytes: int = 0


@record(frozen=True, kw_only=True)
class EnergyTable:
    """Picojoules; `sram_byte_pj` is that of a bank of `sram_bank_kib`."""

    source: str
    multiply_accumulate_pj: float
    vector_result_pj: float
    sram_byte_pj: float
    sram_bank_kib: float
    dram_byte_pj: float


def load_table(path: Path | None) -> EnergyTable:
    """Read a table of energies: TOML, or YAML of Accelergy; None: the one that comes along.

    Raises InputError, ToolError.
    """
    if path is not None and path.suffix.lower() in YAML_SUFFIXES:
        return EnergyTable(**read_ert(path))
    given = read_table(path, "energy.toml", [field.name for field in fields(EnergyTable)])
    numbers = {name: value for name, value in given.items() if name != "source"}
    for name, value in numbers.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not isfinite(value) or value < 0:
            raise InputError(f"{path}: {name} must be a number of picojoules, got {value!r}")
    if not given["sram_bank_kib"]:
        raise InputError(f"{path}: sram_bank_kib must be more than 0 KiB, got 0")
    return EnergyTable(**given)


def count(program: Listing, macs: int) -> Counts:
    """Return the counts of a program's run.

    macs: multiplications that the model asks for.
    """
    config = program.config
    words, dram_bytes, results = Counter[Space](), 0, 0
    shapes = [instruction.shape for instruction in program.instructions]
    alike = dict(zip(shapes, program.instructions, strict=True))
    for shape, times in Counter(shapes).items():
        instruction = alike[shape]
        if instruction.is_empty:
            continue
        dram_bytes += times * transfer_bytes(instruction, config)
        walks = instruction.walks(config)
        is_vector = instruction.engine == Engine.VECTOR
        for walk in walks.reads:
            words[walk.space] += times * _words(walk)
        for walk in walks.writes:
            words[walk.space] += times * _words(walk)
            if is_vector and walk.space == Space.ACTIVATION:
                results += times * _words(walk)
    return Counts(
        macs=macs,
        vector_results=results * word_bytes(Space.ACTIVATION, config),
        dram_bytes=dram_bytes,
        **{name: words[space] * word_bytes(space, config) for space, name in MEMORIES.items()},
    )


def _words(walk: Walk) -> int:
    """Return the words of all steps; lane groups that share one take it once."""
    return prod([loop.moves for loop in walk.loops]) * walk.run


def joules(counts: Counts, config: Config, table: EnergyTable) -> float:
    """Return the energy of a run."""
    total = counts.macs * table.multiply_accumulate_pj
    total += counts.vector_results * table.vector_result_pj
    total += counts.dram_bytes * table.dram_byte_pj
    for space, name in MEMORIES.items():
        size = bank_words(space, config) * word_bytes(space, config) / 1024 / table.sram_bank_kib
        total += getattr(counts, name) * table.sram_byte_pj * size**0.5
    return float(total) * PICO
