"""Builds a simulator of one accelerator and the test bench; models are cached by what made them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import field
from pathlib import Path
from typing import Protocol

import cocotb_tools.config

from tilewright.sim.cosim import cache
from tilewright.sim.cosim.probes import Probes, control_file
from tilewright.sim.cosim.runtime_library import (
    DEFINES,
    NATIVE_HEADERS,
    OPTIMIZE_RUNTIME,
    RUNTIME_SOURCES,
    TraceFormat,
    runtime_objects,
    tool_identity,
)
from tilewright.sim.cosim.tools import run_tool, source_path
from tilewright.sim.cosim.verilator import (
    find_compiler,
    find_make,
    find_verilator,
    make_variables,
)
from tilewright.support.digests import digest
from tilewright.support.errors import InputError, ToolError
from tilewright.support.records import record

BENCH_SOURCES = ("testbench.sv", "axi_lite_master.sv")

ALL_SOURCES = (*BENCH_SOURCES, *RUNTIME_SOURCES, *NATIVE_HEADERS, "main.cpp")

VERILATOR_FLAGS = (
    "--cc", "--exe", "--vpi", "--top-module", "testbench", "--prefix", "Vtestbench",
    "-O3", "--no-timing", "--no-assert", "--x-assign", "fast", "--x-initial", "unique",
    "--output-split", "20000", "-Wno-fatal", "-Wno-lint", "-Wno-style",
)  # fmt: skip
OPTIMIZE_MODEL = "-O2"
"""-O3 and -march=native were measured to give nothing."""
ONE_FILE_BYTES = 500_000
"""Models up to this size compile faster as one file, larger ones in parallel."""


class BusWidths(Protocol):
    """What the bench needs to know of a config."""

    @property
    def axi_address_bits(self) -> int: ...
    @property
    def axi_data_bits(self) -> int: ...


@record(frozen=True, kw_only=True)
class Model:
    """A built simulator.

    executable: the program; takes a settings file (see native/settings.h).
    verilog_path, no_inline_modules, probes, srams_public, trace: what it was built with.
    build_seconds: what the build took, 0 when it came from the cache.
    """

    executable: Path
    verilog_path: Path
    axi_address_bits: int
    axi_data_bits: int
    no_inline_modules: tuple[str, ...] = ()
    probes: Probes = field(default_factory=Probes)
    srams_public: bool = False
    trace: TraceFormat | None = None
    build_seconds: float = 0.0


def trace_format(path: Path) -> TraceFormat:
    """Return the format of a waveform file. Raises InputError for another suffix."""
    formats: dict[str, TraceFormat] = {".vcd": "vcd", ".fst": "fst"}
    if path.suffix not in formats:
        raise InputError(f"a waveform file ends in .vcd or .fst, got {path.name!r}")
    return formats[path.suffix]


def build(
    verilog_path: Path,
    *,
    config: BusWidths,
    no_inline_modules: tuple[str, ...] = (),
    probes: Probes | None = None,
    srams_public: bool = False,
    trace: TraceFormat | None = None,
) -> Model:
    """Return the model of the Verilog file's module `tilewright`, built if it is not cached.

    no_inline_modules: modules that Verilator keeps as one function for all instances.
    probes: retire pulses and SRAM arrays that the model observes.
    srams_public: make the SRAM arrays readable (for expectations; slower).
    trace: build with waveforms of that format.

    Raises ToolError when a tool is missing or the build fails, naming the log.
    """
    verilog_path = Path(verilog_path)
    if not verilog_path.is_file():
        raise ToolError(f"{verilog_path} does not exist; `tilewright generate` writes the Verilog")
    job = _Job(
        verilog_path=verilog_path,
        address_bits=config.axi_address_bits,
        data_bits=config.axi_data_bits,
        probes=probes or Probes(),
        no_inline=tuple(no_inline_modules),
        srams_public=srams_public,
        trace=trace,
    )
    start = time.monotonic()
    entry, was_cached = cache.cached("models", job.key(), job.produce)
    return Model(
        executable=entry / "simulator",
        verilog_path=verilog_path,
        axi_address_bits=job.address_bits,
        axi_data_bits=job.data_bits,
        no_inline_modules=job.no_inline,
        probes=job.probes,
        srams_public=srams_public,
        trace=trace,
        build_seconds=0.0 if was_cached else time.monotonic() - start,
    )


@record(frozen=True, kw_only=True)
class _Job:
    """One build: what goes in, and the steps."""

    verilog_path: Path
    address_bits: int
    data_bits: int
    probes: Probes
    no_inline: tuple[str, ...]
    srams_public: bool
    trace: TraceFormat | None

    def key(self) -> str:
        sources = [name.encode() + source_path(name).read_bytes() for name in ALL_SOURCES]
        return digest(
            [
                self.verilog_path.read_bytes(),
                self._control_file(),
                self.probes.header(),
                json.dumps(self._flags()),
                tool_identity(),
                OPTIMIZE_MODEL,
                *sources,
            ]
        )

    def produce(self, target: Path) -> None:
        """Build in a temporary directory and leave `simulator` in `target`."""
        with tempfile.TemporaryDirectory(prefix="tilewright-build-") as name:
            log = Path(name) / "build.log"
            try:
                self._build(Path(name), log)
            except subprocess.CalledProcessError:
                raise ToolError(self._explain(log)) from None
            shutil.copy2(Path(name) / "simulator", target / "simulator")

    def _build(self, work: Path, log: Path) -> None:
        verilator = find_verilator()
        for source in (*BENCH_SOURCES, *NATIVE_HEADERS, "main.cpp"):
            shutil.copy(source_path(source), work / source)
        shutil.copy(self.verilog_path, work / "design.v")
        (work / "probes.svh").write_text(self.probes.header(), encoding="utf-8")
        (work / "model.vlt").write_text(self._control_file(), encoding="utf-8")
        inputs = ["model.vlt", *BENCH_SOURCES, "design.v", "main.cpp"]
        command = [str(verilator.executable), *self._flags(), "-Mdir", ".", "-o", "simulator"]
        run_tool([*command, *inputs], work, log, verilator.environment)

        classes = (work / "Vtestbench_classes.mk").read_text(encoding="utf-8")
        objects: list[str] = []
        for path in runtime_objects(global_classes(classes), log):
            objects.append(f"runtime_{len(objects)}.o")
            shutil.copy(path, work / objects[-1])
        libraries = cocotb_tools.config.libs_dir
        variables = {
            **make_variables(find_compiler()),
            "VM_PARALLEL_BUILDS": str(int(_generated_bytes(work) > ONE_FILE_BYTES)),
            "VM_GLOBAL_FAST": "",
            "VM_GLOBAL_SLOW": "",
            "OPT_FAST": OPTIMIZE_MODEL,
            "OPT_SLOW": "-O0",
            "OPT_GLOBAL": OPTIMIZE_RUNTIME,
            "USER_CPPFLAGS": DEFINES,
            "USER_LDLIBS": " ".join(
                [*objects, f"-L{libraries}", "-lcocotbvpi_verilator", f"-Wl,-rpath,{libraries}"]
            ),
        }
        assignments = [f"{name}={value}" for name, value in variables.items()]
        jobs = f"-j{os.cpu_count() or 1}"
        run_tool(
            [find_make(), jobs, "-f", "Vtestbench.mk", *assignments],
            work,
            log,
            verilator.environment,
        )

    def _flags(self) -> list[str]:
        trace = {None: [], "vcd": ["--trace-vcd"], "fst": ["--trace-fst"]}[self.trace]
        widths = [f"-GAXI_ADDRESS_BITS={self.address_bits}", f"-GAXI_DATA_BITS={self.data_bits}"]
        return [*VERILATOR_FLAGS, *widths, *trace]

    def _control_file(self) -> str:
        base = source_path("testbench.vlt")
        return control_file(base, self.probes, self.no_inline, self.srams_public)

    def _explain(self, log: Path) -> str:
        kept = cache.keep_log(log)
        text = log.read_text(encoding="utf-8", errors="replace")
        if self.trace == "fst" and re.search(r"(lz4|zlib)\.h", text):
            return (
                "FST traces need the headers of lz4 and zlib (Debian: `apt install liblz4-dev "
                "zlib1g-dev`); or give the trace file the suffix .vcd"
            )
        lines = [line for line in text.splitlines() if re.search(r"%?[Ee]rror", line)]
        reason = lines[0].strip() if lines else "see the log"
        return f"building the simulator of {self.verilog_path} failed: {reason} (log: {kept})"


def _generated_bytes(work: Path) -> int:
    return sum(path.stat().st_size for path in work.glob("Vtestbench*.cpp"))


def global_classes(makefile: str) -> list[str]:
    """Return the parts of Verilator's run-time library that a model needs."""
    match = re.search(r"VM_GLOBAL_FAST \+= \\\n((?:  \w+ \\\n)*)", makefile)
    assert match is not None, "Verilator's makefile has changed its form"
    return [line.strip(" \\") for line in match[1].splitlines()]
