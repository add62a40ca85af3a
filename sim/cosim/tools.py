"""Runs the build's programs and finds the files that ship with this package."""

import logging
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from tilewright.support.log import timed

LOG = logging.getLogger(__name__)


def source_path(name: str) -> Path:
    """Return the path of a Verilog, control or C++ file of this package."""
    package = resources.files("tilewright.sim.cosim")
    in_native = name.endswith((".cpp", ".h"))
    return Path(str(package / "native" / name if in_native else package / name))


def run_tool(command: list[str], work: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Run a program in `work`; its call and output go to the end of `log`.

    Raises subprocess.CalledProcessError when it fails.
    """
    with log.open("ab") as output:
        output.write((" ".join(command) + "\n").encode())
        output.flush()
        with timed(LOG, " ".join(command), level=logging.DEBUG):
            subprocess.run(
                command,
                cwd=work,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
