"""Processes that several threads wait for end together."""

import os
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from tilewright.flows.synthesis.processes import Processes


def is_gone(process: int) -> bool:
    """Whether a process has ended, at the latest in 10 seconds."""
    for _ in range(1000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_a_process_gives_its_output_and_status():
    code = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    done = Processes().run([sys.executable, "-c", code], "text")
    assert (done.returncode, done.stdout) == (3, "TEXT\n")


def test_stop_ends_what_runs_with_all_that_it_started(tmp_path):
    place = tmp_path / "grandchild"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(place)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    processes = Processes()
    thread = threading.Thread(target=processes.run, args=([sys.executable, "-c", code], ""))
    thread.start()
    while not place.exists() or not place.read_text():
        time.sleep(0.01)
    start = time.monotonic()
    processes.stop()
    thread.join()
    assert time.monotonic() - start < 10
    assert is_gone(int(place.read_text()))


def test_nothing_starts_after_stop():
    processes = Processes()
    processes.stop()
    with pytest.raises(CancelledError):
        processes.run([sys.executable, "-c", ""], "")
