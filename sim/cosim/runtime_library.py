"""The part of a simulator that no design changes, compiled once per tool.

It holds Verilator's run-time library and the C++ of this package (DRAM, probes, settings).
"""

import functools
import importlib.metadata
import json
import os
import sysconfig
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
from tilewright.support.digests import digest

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


def runtime_objects(classes: list[str], log: Path) -> list[Path]:
    """Return the object files of the named Verilator classes and of this package's C++.

    Raises subprocess.CalledProcessError when the compiler fails (see `log`).
    """
    include = find_verilator().root / "include"
    sources = [include / f"{name}.cpp" for name in classes]
    sources += [source_path(name) for name in RUNTIME_SOURCES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda source: _object(source, include, log), sources))


def _object(source: Path, include: Path, log: Path) -> Path:
    """Return the object file of one source, from the cache or compiled."""
    native = [source_path(name) for name in NATIVE_HEADERS]
    contents = [path.read_bytes() for path in (source, *native)]
    key = digest([tool_identity(), source.name, *contents])

    def produce(target: Path) -> None:
        command = [
            *find_compiler().split(), OPTIMIZE_RUNTIME, MAKE_VARIABLES["CFG_CXXFLAGS_STD"],
            DEFINES, "-pthread", f"-I{include}", f"-I{include / 'vltstd'}",
            f"-I{source_path('dram.h').parent}", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0",
            "-DVM_TIMING=0", "-DVM_TRACE=1", "-c", str(source), "-o", "object.o",
        ]  # fmt: skip
        run_tool(command, target, log, find_verilator().environment)

    entry, _ = cache.cached("runtime", key, produce)
    return entry / "object.o"
