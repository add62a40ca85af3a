"""The modules that a sweep's time goes to, compiled to native code by mypyc: a build, and its use.

A build is made once, in the cache, by the sources that it was made of. A process that is to use it
says so before it imports them; what it imports then are the same modules, in C.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from tilewright.sim.cosim.cache import cached, keep_log
from tilewright.support.cache import cache_directory
from tilewright.support.digests import digest, folders_digest
from tilewright.support.errors import ToolError

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]
KIND = "native"
"""Of the cache's entries."""
SOURCES = ("support", "hw/spec", "compiler", "sim")
"""Folders of the compiled modules and of all that they import."""
PREFIX = "tilewright_"
"""Of the names of what a group's modules have in common."""
NO_MYPYC = 'there is no mypyc: pip install "tilewright[sweep]"'
PROGRAM = ROOT / "flows" / "native_build.py"
GROUPS: Mapping[str, Sequence[str]] = {
    "listing": (
        "compiler/emit/*.py",
        "compiler/plan/boxes.py",
        "compiler/plan/conv_shape.py",
        "compiler/plan/conv_work.py",
        "compiler/plan/estimate.py",
        "compiler/plan/layer_view.py",
        "compiler/plan/lone_plan.py",
        "compiler/plan/rings.py",
        "compiler/program/give_way.py",
        "compiler/program/order.py",
        "compiler/program/synchronize.py",
        "compiler/program/uses.py",
        "hw/spec/access.py",
        "hw/spec/intervals.py",
        "hw/spec/ports.py",
    ),
    "timing": ("sim/timing/*.py",),
}
"""Compiled modules; those of a group call each other directly, and groups compile side by side.

None is imported by what hands a job to a process.
"""


def modules() -> list[str]:
    """Return the names of the compiled modules."""
    return [_name(path) for group in GROUPS for path in _files(ROOT, group)]


def _files(root: Path, group: str) -> list[Path]:
    found = [path for pattern in GROUPS[group] for path in sorted(root.glob(pattern))]
    return [path.relative_to(root) for path in found if path.name != "__init__.py"]


def _sources() -> Iterator[Path]:
    return (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(("tilewright", *path.with_suffix("").parts))


def _key(root: Path = ROOT) -> str:
    """Return digits of what a build depends on besides the C compiler. Raises ToolError."""
    files = (str(path) for group in GROUPS for path in _files(root, group))
    return digest((folders_digest(root, SOURCES), PROGRAM.read_bytes(), *files, *_tools()))


def _tools() -> tuple[str, ...]:
    try:
        mypy = importlib.metadata.version("mypy")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(NO_MYPYC) from None
    return mypy, str(sys.implementation.cache_tag), platform.platform()


def find() -> Path | None:
    """Return the folder of the build of the present sources, if there is one."""
    try:
        folder = cache_directory() / KIND / _key()
    except ToolError:
        return None
    return folder if folder.is_dir() else None


def build() -> Path:
    """Return the folder of the build of the present sources, which takes a minute or two, once.

    Raises ToolError where there is no mypyc or no C compiler, or one of them fails.
    """
    key = _key()
    _check_tools()
    return cached(KIND, key, lambda target: _produce(key, target))[0]


def _check_tools() -> None:
    """Raise ToolError unless there is mypyc, and what compiles Python's extensions."""
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        raise ToolError(NO_MYPYC)
    if os.name == "nt":
        raise ToolError("native code is for systems with a C compiler at hand, not for Windows")
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(command.split()[0]) is None:
        raise ToolError(f"there is no C compiler, {command.split()[0]}")


def _produce(key: str, target: Path) -> None:
    """Compile a copy of the sources, which others may change meanwhile, into a folder."""
    with tempfile.TemporaryDirectory(prefix="tilewright-native-") as name:
        work = Path(name)
        package = work / "tilewright"
        for path in (*ROOT.glob("*.py"), *ROOT.glob("hw/*.py"), *_sources()):
            copy = package / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if _key(package) != key:
            raise ToolError("the sources changed just now")
        log = work / "native.log"
        groups = [[[f"tilewright/{path}" for path in _files(package, group)], f"{PREFIX}{group}"]
                  for group in GROUPS]  # fmt: skip
        if _run([sys.executable, "-P", str(PROGRAM), str(target), json.dumps(groups)], log):
            raise ToolError(f"mypyc failed, see {keep_log(log)}")


def _run(command: Sequence[str], log: Path) -> int:
    """Run a program in the folder of its log; it ends, with all that it started, if this does."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MYPYPATH", "PYTHONPATH")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment,
            start_new_session=True,
        )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


class _Finder(MetaPathFinder):
    """Finds compiled modules, and what they have in common, in the folder of a build."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            ".".join(path.relative_to(folder).with_name(path.name.split(".")[0]).parts): path
            for path in folder.rglob("*")
            if path.name.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)


def use(folder: Path) -> bool:
    """Import the modules from a build from now on; tell whether that is so.

    It is not where one of them is imported already: all are compiled, or none.
    """
    if is_in_use():
        return True
    loaded = [name for name in modules() if name in sys.modules]
    if loaded:
        LOG.warning("%s is imported already: no native code in this process", loaded[0])
        return False
    sys.meta_path.insert(0, _Finder(folder))
    return True


def is_in_use() -> bool:
    """Tell whether this process has compiled modules."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)
