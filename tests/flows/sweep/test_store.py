"""What is kept of a sweep comes back as it was."""

import dataclasses

import pytest

from tilewright.compiler.options import ImportOptions
from tilewright.flows.sweep.job import Job, LayerCycles, Model, Result, Setup
from tilewright.flows.sweep.store import opened
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.coverage import Coverage
from tilewright.support.errors import InputError

RESULT = Result(
    cycles=10,
    estimated_cycles=9,
    utilization=0.5,
    coverage=Coverage(macs_accelerator=1, macs_total=2, operators_accelerator=3, operators_total=4),
    layers=(LayerCycles(name="conv", cycles=None, macs=7),),
    buckets={"matrix": {"busy": 8}},
)


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    return Job(model=Model(path=path, name="m"), config=PRESETS["nano"], setup=Setup(), latency=64)


def test_a_result_is_known_by_its_key(tmp_path, job):
    with opened(tmp_path / "s.sqlite") as store:
        store.keep(job, Result(error="old"))
        store.keep(job, RESULT)
    with opened(tmp_path / "s.sqlite") as store:
        assert store.find(job.key) == RESULT
        assert store.find(dataclasses.replace(job.key, code="other")) is None


def test_the_key_tells_what_a_result_depends_on(job):
    others = [
        Job(model=job.model, config=PRESETS["edge"], setup=job.setup, latency=64),
        Job(model=job.model, config=job.config, setup=job.setup, latency=32),
        Job(
            model=job.model,
            config=job.config,
            setup=Setup(options=ImportOptions(strict=True)),
            latency=64,
        ),
        Job(model=job.model, config=job.config, setup=Setup(fidelity="rtl"), latency=64),
    ]
    assert len({job.key, *(other.key for other in others)}) == 5
    renamed = job.config.replace(name="other")
    assert Job(model=job.model, config=renamed, setup=job.setup, latency=64).key == job.key


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "s.sqlite"
    path.write_text("no database, and long enough to be seen as one: " * 10)
    with pytest.raises(InputError, match="no store of sweeps"), opened(path):
        pass
