"""Modules as native code: the same results, never of other sources, and no trace of a failure."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tilewright.flows import native
from tilewright.support.errors import ToolError

SMALL = {"listing": ("hw/spec/intervals.py", "compiler/program/order.py"),
         "timing": ("sim/timing/cursor.py", "sim/timing/ports.py")}  # fmt: skip

MEASURE = """
import sys
from pathlib import Path
from tilewright.flows import native

assert native.use(Path(sys.argv[1])) if sys.argv[1:] else True
from tilewright.flows.sweep.job import Job, Model, Setup
from tilewright.flows.sweep.measure import measure
from tilewright.flows.sweep.space import Space
from tilewright.hw.spec.config import PRESETS

config = Space().candidate(PRESETS["base"], {"rows": 6, "cols": 12}).config
model = Model(path=Path(sys.stdin.read()), name="digits")
found = measure(Job(model=model, config=config, setup=Setup(), latency=32), None).as_dict()
del found["compile_seconds"], found["run_seconds"]
print(found)
compiled = [name for name in native.modules() if not sys.modules[name].__file__.endswith(".py")]
print(len(compiled), file=sys.stderr)
"""
"""Prints a job's result and, to stderr, how many modules are compiled."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def result(digits, *build):
    program = f"from tilewright.flows import native\nnative.GROUPS = {native.GROUPS}\n{MEASURE}"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, build)],
        input=str(digits), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout, int(done.stderr.split()[-1])


def equal_results(digits):
    """Whether a job has the same result with a build as without; it has all modules compiled."""
    pytest.importorskip("mypyc")
    assert native.find() is None
    build = native.build()
    assert native.find() == build
    compiled, interpreted = result(digits, build), result(digits)
    assert (compiled[1], interpreted[1]) == (len(native.modules()), 0)
    return compiled[0] == interpreted[0] and "'error': ''" in compiled[0]


def test_compiled_modules_give_the_same_result(digits, monkeypatch):
    monkeypatch.setattr(native, "GROUPS", SMALL)
    assert equal_results(digits)


@pytest.mark.campaign
def test_all_compiled_modules_give_the_same_result(digits):
    assert equal_results(digits)


def test_nothing_that_hands_a_job_to_a_process_imports_a_compiled_module():
    program = "import sys, tilewright.flows.sweep.running, tilewright.flows.commands.cli as main\n"
    program += "import tilewright.flows.commands.sweep, tilewright.flows.sweep.flow\n"
    found = subprocess.run(
        [sys.executable, "-c", program + "print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert native.modules()
    assert not set(found.stdout.split()) & set(native.modules())


def test_a_process_that_has_a_module_already_stays_without(tmp_path, caplog):
    import tilewright.sim.timing.cursor  # noqa: F401

    with caplog.at_level(logging.WARNING):
        assert not native.use(tmp_path)
    assert "is imported already" in caplog.text
    assert not native.is_in_use()


def test_a_build_is_of_the_present_sources_and_modules(tmp_path, monkeypatch):
    root = tmp_path / "copy"
    for folder in ("sim/timing", "compiler/program"):
        (root / folder).mkdir(parents=True)
    (root / "sim/timing/bus.py").write_text("A = 1\n")
    keys = [native._key(root)]
    (root / "sim/timing/bus.py").write_text("A = 2\n")
    keys.append(native._key(root))
    (root / "sim/timing/bus.py").rename(root / "sim/timing/car.py")
    keys.append(native._key(root))
    monkeypatch.setattr(native, "GROUPS", SMALL)
    keys.append(native._key(root))
    assert len(set(keys)) == 4


def test_without_a_compiler_there_is_no_build(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(ToolError, match="there is no C compiler, no-such-compiler"):
        native.build()


def test_without_mypyc_there_is_no_build(monkeypatch):
    def missing(name):
        raise native.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(native.importlib.metadata, "version", missing)
    assert native.find() is None
    with pytest.raises(ToolError, match=r'pip install "tilewright\[sweep\]"'):
        native.build()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Replaces the program that builds by another one; mypyc need not be there."""
    path = tmp_path / "program.py"
    monkeypatch.setattr(native, "PROGRAM", path)
    monkeypatch.setattr(native, "_check_tools", lambda: None)
    return path.write_text


def test_a_build_that_fails_says_where_its_log_is_and_leaves_no_entry(program, cache):
    program("print('no such type'); raise SystemExit(1)")
    with pytest.raises(ToolError, match=r"mypyc failed, see .*\.log") as caught:
        native.build()
    assert "no such type" in Path(str(caught.value).split()[-1]).read_text()
    assert native.find() is None
    assert [path for path in (cache / "native").iterdir() if path.is_dir()] == []


def is_over(process):
    """Whether a process has ended, at the latest in a second."""
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux what runs")
def test_ctrl_c_ends_a_build_at_once_with_all_that_it_started(program, tmp_path):
    place = tmp_path / "numbers"
    program(
        "import os, subprocess\n"
        "started = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(place)!r}, 'w').write(f'{{os.getpid()}} {{started.pid}} all')\n"
        "started.wait()\n"
    )
    interrupted = []

    def interrupt():
        while not place.exists() or not place.read_text().endswith("all"):
            time.sleep(0.01)
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job may ignore it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            native.build()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - interrupted[0] < 2
    assert all(is_over(process) for process in place.read_text().split()[:2])
    assert native.find() is None
