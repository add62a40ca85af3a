"""Yosys (the package pyosys) and OpenSTA, each in a process of its own."""

import importlib.util
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tilewright.flows.synthesis.processes import Processes
from tilewright.support.errors import ToolError

PROGRAM = (
    "import sys; from pyosys import libyosys; "
    "libyosys.run_pass('tee -q -o yosys.log script ' + sys.argv[1], libyosys.Design())"
)
SCRIPT, LOG = "script.ys", "yosys.log"
UNEQUAL = "Networks are NOT EQUIVALENT"


def check_yosys() -> str:
    """Return the version of pyosys. Raises ToolError without it."""
    if importlib.util.find_spec("pyosys") is None:
        raise ToolError('synthesis needs pyosys: pip install "tilewright[synth]"')
    return f"pyosys {version('pyosys')}"


def run_yosys(script: str, folder: Path, processes: Processes) -> None:
    """Run a script in a folder. Raises ToolError with the log's first error.

    ABC compares what it made with what it was given, but only says so where they differ.
    """
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    done = processes.run([sys.executable, "-c", PROGRAM, SCRIPT], folder=folder)
    log = (folder / LOG).read_text(errors="replace") if (folder / LOG).is_file() else ""
    if UNEQUAL in log:
        raise ToolError("Yosys failed: ABC made something that differs from what it was given")
    if done.returncode:
        lines = [line for line in (log + done.stderr).splitlines() if "ERROR" in line]
        raise ToolError(f"Yosys failed: {lines[0] if lines else f'status {done.returncode}'}")


def find_sta() -> str | None:
    """Return the version of OpenSTA; None where it is not installed."""
    if shutil.which("sta") is None:
        return None
    done = subprocess.run(["sta", "-version"], capture_output=True, text=True)
    return f"OpenSTA {done.stdout.strip()}"


def run_sta(script: str, folder: Path, processes: Processes) -> str:
    """Run a script of OpenSTA in a folder and return what it prints. Raises ToolError."""
    (folder / "script.tcl").write_text(script, encoding="utf-8")
    done = processes.run(["sta", "-exit", "script.tcl"], folder=folder)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
    if done.returncode or errors:
        raise ToolError(f"OpenSTA failed: {errors[0] if errors else done.returncode}")
    return done.stdout
