"""The part of a simulator that no design changes, compiled once per tool and trace format.

It holds Verilator's run-time library and the C++ of this package (DRAM, probes, settings).
"""

import functools
import importlib.metadata
import json
import os
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cocotb_tools.config

from tilewright.sim.cosim import cache
from tilewright.sim.cosim.tools import run_tool, source_path
from tilewright.sim.cosim.verilator import (
    MAKE_VARIABLES,
    compiler_identity,
    find_compiler,
    find_verilator,
)

TraceFormat = Literal["vcd", "fst"]

RUNTIME_SOURCES = ("dram.cpp", "probes.cpp", "settings.cpp")
NATIVE_HEADERS = ("callbacks.h", "dram.h", "probes.h", "settings.h")
OPTIMIZE_RUNTIME = "-O2"
DEFINES = "-DVL_TIME_CONTEXT"


@functools.cache
def tool_identity() -> str:
    """Return everything about the tools that a compiled file depends on."""
    return json.dumps(
        [
            find_verilator().identity,
            compiler_identity(find_compiler()),
            str(cocotb_tools.config.libs_dir),
            importlib.metadata.version("cocotb"),
            sysconfig.get_platform(),
            [MAKE_VARIABLES, OPTIMIZE_RUNTIME, DEFINES],
        ]
    )


def runtime_library(classes: list[str], trace: TraceFormat | None, log: Path) -> Path:
    """Return the archive with the named Verilator classes and this package's C++.

    Raises subprocess.CalledProcessError when the compiler fails (see `log`).
    """
    sources = [f"{name}.cpp" for name in classes]
    native = [source_path(name) for name in (*RUNTIME_SOURCES, *NATIVE_HEADERS)]
    key = cache.digest(
        [tool_identity(), str(trace), *sources, *(path.read_bytes() for path in native)]
    )

    def produce(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="tilewright-runtime-") as name:
            _compile(Path(name), sources, trace, target / "runtime.a", log)

    entry, _ = cache.cached("runtime", key, produce)
    return entry / "runtime.a"


def _compile(
    work: Path, sources: list[str], trace: TraceFormat | None, library: Path, log: Path
) -> None:
    verilator, compiler = find_verilator(), find_compiler()
    include = verilator.root / "include"
    flags = [
        OPTIMIZE_RUNTIME, MAKE_VARIABLES["CFG_CXXFLAGS_STD"], DEFINES, "-pthread",
        f"-I{include}", f"-I{include / 'vltstd'}", f"-I{source_path('dram.h').parent}",
        "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0",
        f"-DVM_TRACE={int(trace is not None)}", f"-DVM_TRACE_VCD={int(trace == 'vcd')}",
        f"-DVM_TRACE_FST={int(trace == 'fst')}", "-DVM_TRACE_SAIF=0",
    ]  # fmt: skip
    paths = [include / name for name in sources] + [source_path(name) for name in RUNTIME_SOURCES]

    def compile_one(path: Path) -> str:
        target = path.stem + ".o"
        command = [*compiler.split(), *flags, "-c", str(path), "-o", target]
        run_tool(command, work, log, verilator.environment)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, paths))
    archive = [os.environ.get("AR", "ar"), "rcs", str(library), *objects]
    run_tool(archive, work, log, verilator.environment)
