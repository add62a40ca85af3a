"""Processes that several threads wait for and that end together."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

GRACE_SECONDS = 1.0
"""What a process has to remove its temporary files when it is interrupted."""


class Processes:
    """Processes that run at the moment, each with a process group of its own.

    The terminal's Ctrl-C does not reach them: `stop` ends them with all that they started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopped = False

    def run(
        self, command: Sequence[str], given: str = "", folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a folder to its end with `given` as stdin.

        Raises CancelledError after `stop`.
        """
        with self._lock:
            if self._is_stopped:
                raise CancelledError
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            output, errors = process.communicate(given)
        finally:
            with self._lock:
                self._running.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def stop(self) -> None:
        """End what runs, and let nothing start any more."""
        with self._lock:
            self._is_stopped = True
            processes = list(self._running)
        try:
            _signal(processes, signal.SIGINT)
            end = time.monotonic() + GRACE_SECONDS
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(end - time.monotonic(), 0))
        finally:
            _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[subprocess.Popen[str]], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
