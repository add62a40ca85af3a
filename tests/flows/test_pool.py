"""Processes of a pool stay warm, survive a crash, and end together.

The tasks are expressions: a function of a test is none that a new process can import.
"""

import os
import time

import pytest

from tilewright.flows.pool import Pool

NUMBER, CRASH = "__import__('os').getpid()", "__import__('os').abort()"


@pytest.fixture
def run():
    return lambda jobs, tasks: Pool(eval, jobs, lambda task: -1, "json").results(tasks)


def is_gone(process: int) -> bool:
    """Whether a process has ended, at the latest in 10 seconds."""
    for _ in range(1000):
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_process_does_one_task_behind_the_other(run):
    found = list(run(1, [f"{number} or {NUMBER}" for number in (0, 0, 0)] + ["7"]))
    assert [result for _, result in found[3:]] == [7]
    assert len({result for _, result in found[:3]}) == 1
    assert found[0][1] != os.getpid()


def test_a_task_that_ends_its_process_spoils_no_other_one(run):
    found = dict(run(2, ["10", CRASH, "11", "12", "13"]))
    assert found == {"10": 10, CRASH: -1, "11": 11, "12": 12, "13": 13}


def test_closed_early_it_ends_what_runs_with_all_that_it_started(run, tmp_path):
    place = tmp_path / "numbers"
    script = f"echo $$ $PPID > {place}; sleep 60"
    results = run(2, ["1", f"__import__('subprocess').run(['sh', '-c', {script!r}])"])
    assert next(results)[0] == "1"
    while not place.exists() or not place.read_text():
        time.sleep(0.01)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 2
    assert all(is_gone(int(number)) for number in place.read_text().split())


def test_its_processes_use_a_build_where_there_is_one(tmp_path):
    asked = "__import__('tilewright.flows.native', fromlist=['native']).is_in_use()"
    for build in (tmp_path, None):
        found = list(Pool(eval, 1, lambda task: -1, "json", build).results([asked]))
        assert found == [(asked, build is not None)]
