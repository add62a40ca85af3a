"""One point of a sweep in a process of its own: `python -m tilewright.flows.sweep.point`.

Reads a JSON request from stdin and writes a JSON result to stdout, so that a point that fails,
even by a crash, stops no other one.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tilewright.flows.sweep.processes import Processes
from tilewright.hw.spec.config import Config
from tilewright.support.errors import TilewrightError

CODE = "from tilewright.flows.sweep.point import main; main()"


def run_point(
    model: Path,
    config: Config,
    source: str,
    latency: int,
    seed: int,
    options: dict[str, bool],
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Run a point in a process of its own and return the result's fields; `error` if it failed.

    options: `strict` and `keep_sections` of the compiler.
    processes: those that its process is stopped with.
    """
    request = {
        "model": str(model),
        "config": config.to_toml(),
        "source": source,
        "latency": latency,
        "seed": seed,
        "options": options,
    }
    command = [sys.executable, "-c", CODE]
    done = (processes or Processes()).run(command, json.dumps(request))
    try:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": lines[-1]}
    return result


def measure(
    model: Path, config: Config, source: str, latency: int, seed: int, options: dict[str, bool]
) -> dict[str, Any]:
    """Compile the model for the config, run it, and return the fields of a `Point`.

    On the RTL, the memory must equal the simulator's and the outputs the reference's.
    """
    from tilewright.flows.models import compile_file
    from tilewright.flows.report.coverage import coverage_json
    from tilewright.flows.report.report import layer_reports, utilization
    from tilewright.sim.timing import simulate

    compiled = compile_file(
        model, config, strict=options["strict"], keep_sections=options["keep_sections"]
    )
    program = compiled.program
    start = time.monotonic()
    estimated = simulate(program, latency=latency).cycles
    cycles = _cycles_on_rtl(compiled, latency, seed) if source == "rtl" else estimated
    layers = layer_reports(program)
    macs = sum(layer.macs for layer in layers)
    return {
        "cycles": cycles,
        "estimated_cycles": estimated,
        "utilization": utilization(macs, cycles, config),
        "macs": macs,
        **(coverage_json(program) or {}),
        "bytes_loaded": sum(layer.load_bytes for layer in layers),
        "bytes_stored": sum(layer.store_bytes for layer in layers),
        "instructions": program.num_instructions,
        "compile_seconds": round(compiled.seconds, 3),
        "run_seconds": round(time.monotonic() - start, 3),
    }


def _cycles_on_rtl(compiled: Any, latency: int, seed: int) -> int:
    from tilewright.flows.execution import load_inputs
    from tilewright.flows.verify import timed_rtl, verify
    from tilewright.support.errors import ExecutionError

    samples = load_inputs(compiled.program, None, 1, seed)
    target, _ = timed_rtl(compiled.program, latency)
    result = verify(compiled, samples, target, num_rtl=1)
    if result.memory_differences:
        raise ExecutionError(f"RTL and simulator differ: {result.memory_differences[0]}")
    if not result.reference.is_exact:
        raise ExecutionError(f"simulator and reference differ: {result.reference.sentence()}")
    return result.cycles


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    try:
        result = measure(
            Path(request["model"]),
            Config.from_toml(request["config"]),
            request["source"],
            request["latency"],
            request["seed"],
            request["options"],
        )
    except TilewrightError as error:
        result = {"error": " ".join(str(error).split())}
    print(json.dumps(result))
