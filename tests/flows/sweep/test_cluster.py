"""Jobs on workers of Dask: each once, also where a worker is lost; what differs is refused."""

import contextlib
import dataclasses
import functools
import os
import signal

import pytest

from tilewright.flows.sweep.cluster import LOCAL, DaskWorkers, run_job
from tilewright.flows.sweep.flow import Wishes, carry_out
from tilewright.flows.sweep.job import Model
from tilewright.flows.sweep.measure import measure
from tilewright.flows.sweep.running import crashed
from tilewright.flows.sweep.space import Space
from tilewright.flows.sweep.store import opened
from tilewright.flows.sweep.sweep import Sweep
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ToolError


@pytest.fixture
def sweep(digits):
    space = Space(bases=(PRESETS["nano"],), ranges={"rows": (4, 8), "cols": (4, 8, 12)})
    return Sweep(models=(Model(path=digits, name="digits"),), space=space)


def test_a_worker_that_is_killed_loses_no_job_and_doubles_none(sweep):
    jobs = [point.job for point in sweep.points()]
    done = []
    with DaskWorkers(LOCAL, 2, crashed) as workers:
        for job, result in workers.results(jobs):
            if not done:
                running = workers._client.run(os.getpid)
                os.kill(next(iter(running.values())), signal.SIGKILL)
            done.append((job.config.name, result.error, result.cycles))
    alone = {job.config.name: measure(job, None).cycles for job in jobs}
    assert sorted(done) == sorted((name, "", cycles) for name, cycles in alone.items())


def test_a_sweep_takes_the_workers_that_it_is_told_to(sweep, monkeypatch):
    class Here(contextlib.nullcontext):
        def __init__(self, address, num_local, crashed):
            assert (address, num_local) == ("tcp://somewhere", 3)
            super().__init__(self)

        def results(self, jobs):
            return ((job, run_job(job, job.key)) for job in jobs)

    monkeypatch.setattr("tilewright.flows.sweep.flow.DaskWorkers", Here)
    with opened(None) as store:
        outcome = carry_out(sweep, Wishes(dask="tcp://somewhere", jobs=3), store)
        assert all(store.find(point.job.key) == point.result for point in outcome.points)
    assert len(outcome.points) == 6


def test_a_worker_with_other_sources_or_another_model_is_refused(sweep):
    job = sweep.points()[0].job
    run = functools.partial(dataclasses.replace, job.key)
    with pytest.raises(ToolError, match="another version of Tilewright"):
        run_job(job, run(code="other"))
    with pytest.raises(ToolError, match=r"digits.onnx: a worker of Dask has no such file"):
        run_job(job, run(model="other"))


def test_an_address_at_which_nothing_answers_is_refused(monkeypatch):
    monkeypatch.setattr("tilewright.flows.sweep.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(ToolError, match="no scheduler answers there"):
        DaskWorkers("tcp://127.0.0.1:9", 1, crashed)
