"""Runs AccelForge's mapper and model on layers; in an environment that has `accelforge`.

python accel_forge.py '{"config": {...}, "layers": {"name": [...]}}'

Of a layer: batch, out channels, in channels, height, width, kernel height, kernel width.
The array, its memories and the bandwidth are the config's (fields as `tilewright` names them).
Prints {"version": ..., "cycles": {name: cycles}} as JSON; mappings are searched for latency.
"""

import contextlib
import io
import json
import logging
import sys
import tempfile
import warnings
from importlib.metadata import version
from math import inf
from typing import Any

import accelforge
from accelforge.frontend.arch import Arch, Compute, Container, Memory
from accelforge.frontend.spec import Spec
from accelforge.frontend.workload import Workload
from accelforge.mapper import Metrics

KIB_BITS = 8 * 1024
SUM_BITS = 32
OWN_PORTS = "max(action.n_calls / action.throughput for action in actions)"
"""Of a memory that reads and writes at a time; throughput: bits a cycle."""


def memory(name: str, tensors: str, bits: float, bandwidth: float, **more: Any) -> Memory:
    """Return a memory that keeps the tensors; bandwidth: bits a cycle, read and written each."""
    actions = [
        {"name": kind, "energy": 0, "throughput": bandwidth, "bits_per_action": 1}
        for kind in ("read", "write")
    ]
    return Memory(
        name=name,
        size=bits,
        actions=actions,
        tensors={"keep": tensors},
        total_latency=OWN_PORTS,
        leak_power=0,
        area=0,
        **more,
    )


def architecture(config: dict[str, Any]) -> Arch:
    """Return a weight-stationary array with the config's SRAMs and DRAM bandwidth."""
    rows, cols = config["rows"], config["cols"]
    read = config["activation_banks"] * rows * 8
    activations, weights, sums = (
        config[f"{name}_kib"] * KIB_BITS for name in ("activation", "weight", "accumulator")
    )
    wires = [
        {"name": "columns", "fanout": cols, "may_reuse": "input", "reuse": "input"},
        {"name": "rows", "fanout": rows, "may_reuse": "output", "reuse": "output"},
    ]
    compute = [{"name": "compute", "energy": 0, "throughput": 1}]
    return Arch(
        nodes=[
            memory("Dram", "All", inf, config["axi_data_bits"]),
            memory("ActivationSram", "input | output", activations, read),
            memory("WeightSram", "weight", weights, rows * 8),
            memory(
                "Accumulators", "output", sums, cols * SUM_BITS, bits_per_value={"output": SUM_BITS}
            ),
            Container(name="Array", spatial=wires),
            memory("Register", "weight", 8, inf),
            Compute(name="Multiplier", actions=compute, leak_power=0, area=0),
        ]
    )


def workload(sizes: list[int]) -> Workload:
    """Return a layer of stride 1; one of a 1x1 kernel is a product of matrices."""
    batch, filters, channels, height, width, kernel_height, kernel_width = sizes
    shape = {"b": batch, "k": filters, "c": channels}
    if kernel_height == kernel_width == 1:
        shape |= {"p": height * width}
        places, window = {"P": "p"}, []
        read = places
    else:
        shape |= {"p": height, "q": width, "r": kernel_height, "s": kernel_width}
        places, window = {"P": "p", "Q": "q"}, ["r", "s"]
        read = {"Y": "p+r", "X": "q+s"}
    tensors = [
        {"name": "I", "projection": {"B": "b", "C": "c", **read}},
        {"name": "W", "projection": ["k", "c", *window]},
        {"name": "O", "projection": {"B": "b", "K": "k", **places}, "output": True},
    ]
    layer = {
        "name": "Layer",
        "tensor_accesses": tensors,
        "renames": {"input": "I", "weight": "W", "output": "O"},
    }
    return Workload(
        iteration_space_shape={name: f"0 <= {name} < {size}" for name, size in shape.items()},
        bits_per_value={"All": 8},
        einsums=[layer],
    )


def cycles(sizes: list[int], config: dict[str, Any]) -> int:
    """Return the cycles of a layer. AccelForge draws its mapping into the working directory."""
    spec = Spec(arch=architecture(config), workload=workload(sizes))
    spec.mapper.metrics = Metrics.LATENCY
    spec.mapper.explore_imperfect_spatial_loops = True
    spec.mapper.explore_imperfect_temporal_loops = True
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        found = spec.map_workload_to_arch(print_progress=False)
    return round(float(found[0].latency()))


def main() -> None:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    accelforge.set_n_parallel_jobs(1)
    given = json.loads(sys.argv[1])
    found = {name: cycles(sizes, given["config"]) for name, sizes in given["layers"].items()}
    print(json.dumps({"version": version("accelforge"), "cycles": found}))


if __name__ == "__main__":
    main()
