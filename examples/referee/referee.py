"""Compare cycles of layers: the bound, Tilewright's RTL and timing model, and three other models.

The peers live in environments of their own: SCALE-Sim needs an older NumPy, AccelForge Python 3.12.

python -m venv peers && peers/bin/pip install scalesim==3.0.0 zigzag-dse==3.9.1 six "numpy<2.2"
python3.12 -m venv forge && forge/bin/pip install accelforge==1.0.467
python examples/referee/referee.py peers/bin/python forge/bin/python -o docs/referee.md

The RTL's cycles are those of `tilewright bench` (docs/bench.json). What the peers say stays in the
.json beside the page and is asked for anew where layers or config are others, of SCALE-Sim for half
an hour.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from tilewright.flows.bench.cases import KERNELS, PEER_SIZED, Kernel
from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.bench.measure import sram_kib
from tilewright.flows.models import compile_file
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.sim.timing import simulate
from tilewright.support.files import replace_file

HERE = Path(__file__).parent
FORGE = "accel_forge"
PEERS = ("zig_zag", "scale_sim", FORGE)
"""The scripts; the last one has an interpreter of its own."""
LAYERS = (
    "GEMM 64^3",
    "GEMM 50x70x100",
    "GEMM 256^3",
    "GEMM 64x768x768",
    "conv 1x1 28x28x512 -> 256",
    "conv 3x3 14x14x256 -> 256",
)
"""Of the benchmark's kernels; the convolutions are ResNet-50's."""
FIELDS = ("rows", "cols", "activation_kib", "activation_banks", "weight_kib", "accumulator_kib",
          "axi_data_bits")  # fmt: skip
"""Of the config, which the peers know something about."""


def sizes_of(kernel: Kernel) -> list[int]:
    """Return [batch, out channels, in channels, height, width, kernel height, kernel width]."""
    if kernel.kind == "gemm":
        rows, inner, columns = kernel.sizes
        return [1, columns, inner, 1, rows, 1, 1]
    channels, filters, window, height, width = kernel.sizes
    return [1, filters, channels, height, width, window, window]


def bound(kernel: Kernel, ideal: int) -> int:
    """Return the cycles below which no array comes, for its multiplications or for its bytes.

    ideal: those of the multiplications.
    """
    _, filters, channels, height, width, window, _ = sizes_of(kernel)
    loaded = filters * channels * window**2 + channels * height * width
    stored = filters * height * width
    return max(ideal, *(-(-count // PEER_SIZED.axi_bytes) for count in (loaded, stored)))


def timed(kernel: Kernel) -> int:
    """Return the cycles of the timing model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(make_kernel(kernel.kind, kernel.sizes), path)
        program = compile_file(path, PEER_SIZED).program
    return simulate(program, latency=kernel.latency).cycles


def run_peer(python: Path, script: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a peer says of config and layers: its version, and cycles by layer."""
    command = [str(python), str(HERE / script), json.dumps(given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"given": given, **found}


PAGE = """# Beside analytical models

Cycles of single layers on a {config.rows}x{config.cols} int8 array with {sram} KiB of SRAM and
{config.axi_bytes} bytes a cycle to DRAM. Of Tilewright the RTL is the truth (`tilewright bench`,
DRAM latency {latency}, from start to idle); the others have no RTL to be measured by. The bound is
that of arithmetic: all multiplications on a full array, or all bytes at the full bandwidth,
whichever takes longer. In parentheses: times the bound.

| layer | bound | RTL | timing model | ZigZag | SCALE-Sim | AccelForge |
|---|---:|---:|---:|---:|---:|---:|
{rows}

- ZigZag {zig_zag}: a weight-stationary array with the memories of the config, loop orders searched
  for latency (`examples/referee/zig_zag.py`).
- SCALE-Sim {scale_sim}: a weight-stationary array, too, with the bandwidth for each operand of its
  own, and without the cycles before the first product (`examples/referee/scale_sim.py`).
- AccelForge {accel_forge}: a weight-stationary array with the memories of the config, mappings
  searched for latency, uneven tiles among them (`examples/referee/accel_forge.py`). A layer takes
  as long as its slowest component, all others beside it, without filling and draining: with the
  best mapping that is the bound. Uneven tiles cost parts of steps.
- All leave out requantization, DRAM latency and the machine's control; their schedules are theirs,
  so a difference is one of schedule as much as of model.

`examples/referee/referee.py` makes this page again; docs/referee.json has what the peers said.
"""


def page(kernels: list[Kernel], peers: dict[str, Any], benchmark: dict[str, dict[str, Any]]) -> str:
    """Return the table with what it means; benchmark: the kernels' rows, by name."""
    rows = []
    for kernel in kernels:
        row = benchmark[kernel.name]
        least = bound(kernel, row["ideal"])
        cells = [row["cycles"], timed(kernel)]
        cells += [peers[peer]["cycles"][kernel.name] for peer in PEERS]
        shown = " | ".join(f"{cell:,} ({cell / least:.2f})" for cell in cells)
        rows.append(f"| {kernel.name} | {least:,} | {shown} |")
    return PAGE.format(
        rows="\n".join(rows),
        config=PEER_SIZED,
        sram=sram_kib(PEER_SIZED),
        latency=MEMORY_LATENCY,
        **{peer: peers[peer]["version"] for peer in PEERS},
    )


def peers_of(python: Path, forge: Path, kept: Path, kernels: list[Kernel]) -> dict[str, Any]:
    """Return what the peers say of the kernels, from the file where it has just that already.

    python, forge: the interpreters, that of AccelForge by itself.
    """
    given = {
        "config": {name: getattr(PEER_SIZED, name) for name in FIELDS},
        "layers": {kernel.name: sizes_of(kernel) for kernel in kernels},
    }
    peers: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for peer in PEERS:
        if peers.get(peer, {}).get("given") != given:
            peers[peer] = run_peer(forge if peer == FORGE else python, f"{peer}.py", given)
            replace_file(kept, (json.dumps(peers, indent=2) + "\n").encode())
    return peers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("python", type=Path, help="interpreter of SCALE-Sim and ZigZag")
    parser.add_argument("forge", type=Path, help="interpreter of AccelForge")
    parser.add_argument("--bench", type=Path, default=Path("docs/bench.json"))
    parser.add_argument("-o", "--output", type=Path, required=True, help="beside it a .json")
    arguments = parser.parse_args()
    for file in (arguments.python, arguments.forge, arguments.bench):
        if not file.is_file():
            parser.error(f"{file}: no such file")
    named = {kernel.name: kernel for kernel in KERNELS}
    kernels = [named[name] for name in LAYERS]
    assert {kernel.latency for kernel in kernels} == {MEMORY_LATENCY}
    results = json.loads(arguments.bench.read_text())["results"]
    benchmark = {row["name"]: row for row in results if row["config"] == PEER_SIZED.name}
    try:
        kept = arguments.output.with_suffix(".json")
        peers = peers_of(arguments.python, arguments.forge, kept, kernels)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[1]} failed: is it installed in the environment of {error.cmd[0]}?")
    replace_file(arguments.output, page(kernels, peers, benchmark).encode())


if __name__ == "__main__":
    main()
