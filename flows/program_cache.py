"""Whole programs, and what the timing model says of them, in the compiler's cache on disk."""

import dataclasses
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from tilewright.compiler.plan import schedule_cache
from tilewright.flows.report.report import LayerReport, layer_reports
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.isa import INSTRUCTION_BYTES
from tilewright.hw.spec.program import Program
from tilewright.support.digests import sources_digest
from tilewright.support.errors import ProgramError
from tilewright.support.records import record

PROGRAMS, TIMINGS = "programs", "timings"
PACKAGES = ("tilewright", "numpy", "onnx", "onnxruntime")
"""Constants are folded with them."""
EXTERNAL_DATA = b"\x0a\x08location"
"""In an ONNX file that leaves tensors to other files: the key that names one."""


def tool_digest() -> str:
    """Return 32 hex digits over the project's own sources: what a result depends on."""
    return sources_digest("support", "hw", "compiler", "sim", "flows")


def program_key(model: bytes, name: str, config: Config, *, options: str) -> str | None:
    """Return the key of the program of an ONNX file's bytes; None: it depends on further files."""
    if EXTERNAL_DATA in model:
        return None
    versions = [f"{package} {version(package)}" for package in PACKAGES]
    return schedule_cache.key(model, name, config.to_toml(), options, tool_digest(), *versions)


def load_program(key: str) -> Program | None:
    """Return the program of that key; None if there is none or it is damaged."""
    data = schedule_cache.load(PROGRAMS, key)
    if data is None:
        return None
    try:
        return Program.from_bytes(data)
    except ProgramError:
        return None


def save_program(key: str, program: Program) -> None:
    """Keep a program, if that is possible."""
    schedule_cache.save(PROGRAMS, key, program.to_bytes())


@record(frozen=True, kw_only=True)
class TimedProgram:
    """A program's cycles by the timing model, and its layers' with their work and traffic."""

    cycles: int
    layers: tuple[LayerReport, ...]


def timed(program: Program, latency: int = MEMORY_LATENCY, *, cached: bool = False) -> TimedProgram:
    """Return what the timing model says of a program, from disk where it is there."""
    with schedule_cache.enabled(cached):
        parts = _timing_parts(program, latency) if cached else ()
        found = schedule_cache.memoised(TIMINGS, parts, lambda: _timing(program, latency))
    layers = (LayerReport(**row | {"sources": tuple(row["sources"])}) for row in found["layers"])
    return TimedProgram(cycles=found["cycles"], layers=tuple(layers))


def _timing_parts(program: Program, latency: int) -> Sequence[str | bytes]:
    size = program.num_instructions * INSTRUCTION_BYTES
    words = program.image[program.program_address : program.program_address + size]
    return (
        words,
        program.instruction_layers.tobytes(),
        json.dumps([dataclasses.asdict(layer) for layer in program.layers]),
        program.config.to_toml(),
        str(latency),
        tool_digest(),
    )


def _timing(program: Program, latency: int) -> dict[str, Any]:
    from tilewright.sim.timing import simulate

    timing = simulate(program, latency=latency)
    reports = layer_reports(program, timing.retirements)
    return {"cycles": timing.cycles, "layers": [report.as_dict() for report in reports]}
