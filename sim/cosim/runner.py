"""Runs programs on a built model: `run` with cocotb; `run_bare` and `run_clock` for its own speed.

model = build(Path("tilewright.v"), config=config)
result = run(model, image, program_address=0)
"""

import dataclasses
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cocotb_tools.config
import find_libpython
import numpy as np

from tilewright.hw.spec import registers
from tilewright.sim.cosim import cache
from tilewright.sim.cosim.build import Model, build, trace_format
from tilewright.sim.cosim.parameters import (
    AbortedRun,
    DramParameters,
    Expectation,
    RunResult,
)
from tilewright.sim.cosim.results import LOG_NAME, encode_expectations, read_result
from tilewright.support.errors import ExecutionError, InputError, ToolError
from tilewright.support.log import timed

__all__ = ["Model", "build", "run", "run_bare", "run_clock"]

LOG = logging.getLogger(__name__)
PAGE_BYTES = 4096
TEST_MODULE = "tilewright.sim.cosim.bench"
MARGIN_CYCLES = 10_000_000
"""The simulator itself ends this many cycles after the timeout, whatever Python does."""


def run(
    model: Model,
    image: bytes | np.ndarray[Any, np.dtype[np.uint8]],
    *,
    program_address: int,
    dram_base: int = 0,
    dram: DramParameters | None = None,
    timeout_cycles: int = 1_000_000_000,
    digest_word: int | None = None,
    register_values: Mapping[str, int] | None = None,
    expectations: Sequence[Expectation] = (),
    aborted: Sequence[AbortedRun] = (),
    trace: Path | None = None,
    allow_violations: bool = False,
) -> RunResult:
    """Run the program at `program_address` of the image and return what it did.

    image: DRAM contents, bytes; byte 0 is at bus address `dram_base` (a multiple of 4096).
    digest_word: config digest the accelerator must report (Config.digest_word).
    register_values: further registers to write before the start, by name.
    expectations: SRAM contents to compare at retirements; the model needs `srams_public`.
    aborted: programs to start and abort before; statistics, retirements, speed include them.
    trace: waveform file, .vcd or .fst; uses a model of its own, built when missing.
    allow_violations: return broken AXI rules in the result instead of raising.

    Raises ExecutionError when the program does not end within `timeout_cycles` or the design
    breaks an AXI rule; ToolError when the simulator fails; both name the log. A fault of the
    accelerator is a result, not an error.
    """
    dram = dram or DramParameters()
    if trace is not None:
        model = _traced(model, trace)
    _check(model, dram_base, expectations, aborted)
    work = Path(tempfile.mkdtemp(prefix="tilewright-run-"))
    try:
        settings = _settings(model, work, image, dram, dram_base, timeout_cycles + MARGIN_CYCLES)
        if trace is not None:
            settings.append(("trace", str(Path(trace).absolute())))
        settings += _expectation_settings(model, work, expectations)
        further = register_values or {}
        writes = register_writes(program_address, dram_base, further)
        before = [_aborted_writes(each, further) for each in aborted]
        _write_parameters(work, writes, before, dram, digest_word, timeout_cycles)
        _simulate(model, work, [("mode", "cocotb"), *settings], dram, _environment(work))
        result = read_result(work, model, image_bytes=len(image), timeout_cycles=timeout_cycles)
        if not allow_violations:
            _refuse_violations(result, work)
        return result
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _refuse_violations(result: RunResult, work: Path) -> None:
    if result.violations:
        raise ExecutionError(
            f"the accelerator broke an AXI rule: {result.violations[0]}"
            f"{_more(len(result.violations))} (log: {cache.keep_log(work / LOG_NAME)})"
        )


def _check(
    model: Model,
    dram_base: int,
    expectations: Sequence[Expectation],
    aborted: Sequence[AbortedRun],
) -> None:
    if dram_base % PAGE_BYTES:
        raise InputError(f"dram_base must be a multiple of {PAGE_BYTES}, got {dram_base:#x}")
    if expectations and not (model.srams_public and model.probes.retire):
        raise ToolError("expectations need a model built with probes and srams_public=True")
    if expectations and aborted:
        raise InputError("expectations count the retirements of one program: give no aborted ones")


def _aborted_writes(run: AbortedRun, further: Mapping[str, int]) -> dict[str, Any]:
    return {
        "writes": register_writes(run.program_address, run.dram_base, further),
        "cycles": run.cycles,
        "reset": run.reset,
    }


def run_bare(
    model: Model,
    image: bytes | np.ndarray[Any, np.dtype[np.uint8]],
    *,
    program_address: int,
    dram_base: int = 0,
    dram: DramParameters | None = None,
    timeout_cycles: int = 1_000_000_000,
) -> float:
    """Run the same program without cocotb and return the cycles per second of processor time.

    The yardstick for `run` (cycles / cpu_seconds): same bench, same DRAM, no Python, no callbacks.
    """
    dram = dram or DramParameters()
    settings = [
        ("write", f"{offset} {value}")
        for offset, value in register_writes(program_address, dram_base, {})
    ]
    return _speed(model, "bare", image, dram, dram_base, timeout_cycles, settings)


def run_clock(model: Model, cycles: int) -> float:
    """Toggle the clock of the idle model, nothing else; return cycles per second of processor time.

    No DRAM, no registers, no recording: a loop around the same top's evaluation.
    """
    return _speed(model, "clock", b"", DramParameters(), 0, cycles, [])


def _speed(
    model: Model,
    mode: str,
    image: bytes | np.ndarray[Any, np.dtype[np.uint8]],
    dram: DramParameters,
    dram_base: int,
    max_cycles: int,
    settings: list[tuple[str, str]],
) -> float:
    """Run without cocotb and return the cycles per second of processor time."""
    work = Path(tempfile.mkdtemp(prefix="tilewright-run-"))
    try:
        settings = [*_settings(model, work, image, dram, dram_base, max_cycles), *settings]
        _simulate(model, work, [("mode", mode), *settings], dram, dict(os.environ))
        summary = json.loads((work / "summary.json").read_text(encoding="utf-8"))
        return float(summary["timed_cycles"] / max(summary["cpu_seconds"], 1e-9))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def register_writes(
    program_address: int, dram_base: int, further: Mapping[str, int]
) -> list[tuple[int, int]]:
    """Return the (offset, value) writes that configure and, last, start the accelerator."""
    values = {
        "interrupt_enable": 1,
        "dram_base_low": dram_base & 0xFFFFFFFF,
        "dram_base_high": dram_base >> 32,
        "program_address": program_address,
        **further,
    }
    writes = [(registers.BY_NAME[name].offset, value) for name, value in values.items()]
    return [*writes, (registers.BY_NAME["control"].offset, registers.CONTROL_START)]


def _write_parameters(
    work: Path,
    writes: list[tuple[int, int]],
    aborted: list[dict[str, Any]],
    dram: DramParameters,
    digest_word: int | None,
    timeout_cycles: int,
) -> None:
    parameters = {
        "findings": str(work / "findings.json"),
        "digest_word": digest_word,
        "writes": writes,
        "aborted": aborted,
        "timeout_cycles": timeout_cycles,
        "control_seed": dram.seed if dram.stall_probability else None,
    }
    (work / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")


def _traced(model: Model, trace: Path) -> Model:
    wanted = trace_format(trace)
    if model.trace == wanted:
        return model
    return build(
        model.verilog_path,
        config=model,
        no_inline_modules=model.no_inline_modules,
        probes=model.probes,
        srams_public=model.srams_public,
        trace=wanted,
    )


def _settings(
    model: Model,
    work: Path,
    image: bytes | np.ndarray[Any, np.dtype[np.uint8]],
    dram: DramParameters,
    dram_base: int,
    max_cycles: int,
) -> list[tuple[str, str]]:
    data = np.frombuffer(image, np.uint8) if isinstance(image, bytes) else image
    padded = np.zeros(-(-max(len(data), 1) // PAGE_BYTES) * PAGE_BYTES, np.uint8)
    padded[: len(data)] = data
    padded.tofile(work / "image.bin")
    fields = dataclasses.asdict(dram)
    errors = [
        f"{e.first} {e.last} {int(e.reads)} {int(e.writes)} {e.response}" for e in dram.errors
    ]
    values = {
        "image": work / "image.bin",
        "memory": work / "memory.bin",
        "retirements": work / "retirements.bin",
        "summary": work / "summary.json",
        "base": dram_base,
        "bus_bytes": model.axi_data_bits // 8,
        "max_cycles": max_cycles,
        **{name: fields[name] for name in fields if name not in ("errors", "allow_out_of_range")},
        "allow_out_of_range": int(dram.allow_out_of_range),
    }
    return [(k, str(v)) for k, v in values.items()] + [("error", line) for line in errors]


def _expectation_settings(
    model: Model, work: Path, expectations: Sequence[Expectation]
) -> list[tuple[str, str]]:
    if not expectations:
        return []
    path = work / "expectations.bin"
    path.write_bytes(encode_expectations(expectations, sorted(model.probes.srams)))
    srams = [
        ("sram", " ".join([name, str(s.word_bytes), *(f"testbench.dut.{p}" for p in s.banks)]))
        for name, s in model.probes.srams.items()
    ]
    return [("expectations", str(path)), *srams]


def _environment(work: Path) -> dict[str, str]:
    """Return the simulator's environment: what cocotb's loader needs, nothing of an outer run."""
    library = find_libpython.find_libpython()
    if library is None:
        raise ToolError(
            f"cocotb needs Python's shared library, and {sys.executable} has none; use a Python "
            "built with --enable-shared (the ones of Linux distributions, conda and uv are)"
        )
    keep = {name: value for name, value in os.environ.items() if not name.startswith("COCOTB_")}
    return keep | {
        "LIBPYTHON_LOC": library,
        "GPI_USERS": f"{library};{cocotb_tools.config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_TOPLEVEL": "testbench",
        "COCOTB_TEST_MODULES": TEST_MODULE,
        "COCOTB_RESULTS_FILE": str(work / "results.xml"),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "TILEWRIGHT_COSIM": str(work / "parameters.json"),
    }


def _simulate(
    model: Model,
    work: Path,
    settings: list[tuple[str, str]],
    dram: DramParameters,
    environment: dict[str, str],
) -> None:
    text = "".join(f"{key} {value}\n" for key, value in settings)
    (work / "settings.txt").write_text(text, encoding="utf-8")
    command = [str(model.executable), str(work / "settings.txt")]
    if dram.stall_probability:  # uninitialized registers and memories start at random, too
        command += ["+verilator+rand+reset+2", f"+verilator+seed+{dram.seed + 1}"]
    with (
        (work / LOG_NAME).open("wb") as log,
        timed(LOG, f"simulating, {' '.join(command)}", level=logging.DEBUG),
    ):
        done = subprocess.run(
            command, cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode != 0 or not (work / "summary.json").is_file():
        log_text = (work / LOG_NAME).read_text(encoding="utf-8", errors="replace")
        pattern = r"^tilewright: .*|^%Error.*|^\w*Error: .*|.*undefined symbol.*"
        reasons = re.findall(pattern, log_text, re.M)
        reason = reasons[-1] if reasons else f"exit status {done.returncode}"
        raise ToolError(f"the simulator failed: {reason} (log: {cache.keep_log(work / LOG_NAME)})")


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""
