"""Speeds of the tools: RTL builds, the co-simulation beside the bare model, the command line."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tilewright.hw.spec.config import Config
from tilewright.support.records import record

SPEED_KERNEL = ("gemm", (256, 256, 256))
"""What runs on the RTL with and without cocotb."""
SPEED_RUNS = 3
START_RUNS = 3
CLOCK_CYCLES = 50_000
START_COMMANDS = {
    "import tilewright": ("-c", "import tilewright"),
    "tilewright --help": ("-c", "from tilewright.flows.commands.cli import main; main(['--help'])"),
}


@record(frozen=True, kw_only=True)
class RtlSpeed:
    """The RTL of one config: how long it takes to make, and how fast it runs.

    Rates are simulated cycles per second of processor time, each the median of a few runs that
    take turns.
    """

    config: str
    generate_seconds: float
    """Verilog from the config; 0 when cached."""
    build_seconds: float
    """Verilator and the C++ compiler; 0 when cached."""
    cosim_hertz: float
    """Under cocotb, with the DRAM."""
    bare_hertz: float
    """The same program and DRAM without Python and callbacks."""
    clock_hertz: float
    """The idle model, its clock toggled and nothing else."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, and the co-simulation's share of the other two, as values."""
        return dataclasses.asdict(self) | {
            "share_of_bare": self.cosim_hertz / self.bare_hertz,
            "share_of_clock": self.cosim_hertz / self.clock_hertz,
        }


@contextlib.contextmanager
def fresh_cache() -> Iterator[None]:
    """Let every cache start empty in a temporary folder, for the block."""
    from tilewright.support.cache import CACHE_VARIABLE

    before = os.environ.get(CACHE_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="tilewright-bench-") as folder:
        os.environ[CACHE_VARIABLE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[CACHE_VARIABLE]
            else:
                os.environ[CACHE_VARIABLE] = before


def measure_rtl(config: Config) -> RtlSpeed:
    """Generate and build the RTL of a config, and run a kernel on it with and without cocotb.

    Raises ToolError when a tool is missing or the build fails.
    """
    from tilewright.flows.hardware import SIMULATED_NAME, hardware_folder, rtl_model
    from tilewright.sim.cosim import runner

    start = time.monotonic()
    hardware_folder(config.replace(name=SIMULATED_NAME))
    generated = time.monotonic()
    model = rtl_model(config)
    built = time.monotonic()
    image, address = _speed_image(config)
    cosim, bare, clock = [], [], []
    for _ in range(SPEED_RUNS):
        result = runner.run(model, image, program_address=address)
        cosim.append(result.cycles / result.cpu_seconds)
        bare.append(runner.run_bare(model, image, program_address=address))
        clock.append(runner.run_clock(model, CLOCK_CYCLES))
    return RtlSpeed(
        config=config.name,
        generate_seconds=round(generated - start, 1),
        build_seconds=round(built - generated, 1),
        cosim_hertz=round(median(cosim)),
        bare_hertz=round(median(bare)),
        clock_hertz=round(median(clock)),
    )


def _speed_image(config: Config) -> tuple[Any, int]:
    """Return the DRAM of the kernel with zeros as input, and the program's address."""
    import numpy as np
    import onnx

    from tilewright.flows.bench.kernels import make_kernel
    from tilewright.flows.models import compile_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.onnx"
        onnx.save(make_kernel(*SPEED_KERNEL), path)
        program = compile_file(path, config).program
    image = np.zeros(program.memory_bytes, np.uint8)
    image[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    return image, program.program_address


def measure_start() -> dict[str, float]:
    """Return the seconds that importing the package and printing the help take, processes new."""
    found = {}
    for name, words in START_COMMANDS.items():
        seconds = []
        for _ in range(START_RUNS):
            start = time.monotonic()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            seconds.append(time.monotonic() - start)
        found[name] = round(min(seconds), 3)
    return found
