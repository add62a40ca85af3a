"""Reads what a finished simulator left behind, and writes expectations for it."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Fault
from tilewright.sim.cosim import cache
from tilewright.sim.cosim.build import Model
from tilewright.sim.cosim.parameters import (
    DramStatistics,
    Expectation,
    Mismatch,
    Retirement,
    RunResult,
)
from tilewright.support.errors import ExecutionError, InputError

RETIREMENT = np.dtype([("engine", "<u4"), ("count", "<u4"), ("cycle", "<u8")])
LOG_NAME = "simulation.log"
EXPECTATION_HEADER = struct.Struct("<6I")


def encode_expectations(expectations: Sequence[Expectation], srams: Sequence[str]) -> bytes:
    """Return the expectation file (native/probes.h); `srams` in alphabetical order.

    Raises InputError for an SRAM or engine that does not exist.
    """
    engines = {engine.name.lower(): int(engine) for engine in Engine}
    parts = []
    for item in expectations:
        if item.sram not in srams or item.engine not in engines:
            raise InputError(
                f"expectation for engine {item.engine!r}, SRAM {item.sram!r}: the engines are "
                f"{', '.join(engines)}, the SRAMs {', '.join(srams)}"
            )
        parts.append(
            EXPECTATION_HEADER.pack(
                engines[item.engine], item.count, srams.index(item.sram), item.word,
                len(item.data), 0,
            )
        )  # fmt: skip
        parts.append(item.data)
    return b"".join(parts)


def read_result(work: Path, model: Model, *, image_bytes: int, timeout_cycles: int) -> RunResult:
    """Return the result of the run in directory `work`.

    Raises ExecutionError when the test found no accelerator or the program did not end.
    """
    findings_path = work / "findings.json"
    if not findings_path.is_file():
        raise ExecutionError(
            f"the co-simulation's Python part failed (log: {cache.keep_log(work / LOG_NAME)})"
        )
    findings = json.loads(findings_path.read_text(encoding="utf-8"))
    summary = json.loads((work / "summary.json").read_text(encoding="utf-8"))
    if "error" in findings:
        raise ExecutionError(f"{findings['error']} (log: {cache.keep_log(work / LOG_NAME)})")
    values: dict[str, int] = findings["registers"]
    if findings["timed_out"]:
        raise ExecutionError(_describe_timeout(values, timeout_cycles))
    fault = Fault(values["fault_cause"])
    names = {int(engine): engine.name.lower() for engine in Engine}
    start = findings["start_cycle"]
    entries = np.fromfile(work / "retirements.bin", RETIREMENT).tolist()
    return RunResult(
        memory=np.fromfile(work / "memory.bin", np.uint8, count=image_bytes),
        cycles=findings["end_cycle"] - start,
        registers=values,
        fault=fault,
        fault_instruction=values["fault_instruction"] if fault else None,
        dram=_dram_statistics(summary),
        retirements=tuple(
            Retirement(engine=names[engine], count=count, cycle=cycle - start)
            for engine, count, cycle in entries
        ),
        mismatches=tuple(
            _parse_mismatch(line, names, start) for line in summary.get("mismatches", ())
        ),
        num_mismatches=summary.get("num_mismatches", 0),
        num_checked_bytes=summary.get("num_checked_bytes", 0),
        violations=_violations(findings, summary),
        seconds=summary["seconds"],
        cpu_seconds=summary["cpu_seconds"],
        cycles_per_second=summary["timed_cycles"] / max(summary["seconds"], 1e-9),
    )


def _violations(findings: dict[str, Any], summary: dict[str, Any]) -> tuple[str, ...]:
    violations = list(summary["violations"])
    if findings["control_protocol_error"]:
        violations.append("the AXI4-Lite port broke a handshake rule")
    if not summary["dram_idle"]:
        violations.append("bus transactions were still under way when the accelerator was idle")
    if summary.get("num_unchecked"):
        violations.append(f"{summary['num_unchecked']} expectations met no retirement")
    return tuple(violations)


def _describe_timeout(values: dict[str, int], timeout_cycles: int) -> str:
    retired = ", ".join(
        f"{engine.name.lower()} {values[f'{engine.name.lower()}_retired']}" for engine in Engine
    )
    return (
        f"the program did not end within {timeout_cycles} cycles: {values['dispatched']} "
        f"instructions dispatched, retired: {retired}; raise the timeout or look for a wait that "
        "is never met"
    )


def _dram_statistics(summary: dict[str, Any]) -> DramStatistics:
    names = DramStatistics.__dataclass_fields__
    values = {name: summary[name] for name in names if name != "read_beats_by_id"}
    return DramStatistics(**values, read_beats_by_id=tuple(summary["read_beats_by_id"]))


def _parse_mismatch(line: str, names: dict[int, str], start: int) -> Mismatch:
    engine, count, cycle, sram, word, byte, expected, actual = line.split()
    return Mismatch(
        engine=names[int(engine)], count=int(count), cycle=int(cycle) - start, sram=sram,
        word=int(word), byte=int(byte), expected=int(expected), actual=int(actual),
    )  # fmt: skip
