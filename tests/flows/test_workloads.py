"""The real quantized models: simulator = reference for every sample, RTL = simulator for two.

The RTL runs are a campaign (`pytest -m campaign tests/flows/test_workloads.py`): six configs are
built and 27 combinations of model and config run.
"""

from pathlib import Path

import numpy as np
import pytest

from tilewright.flows.models import CompiledModel, ReferenceTarget, compile_file
from tilewright.flows.runtime.targets import IssTarget
from tilewright.flows.runtime.tensors import Sample
from tilewright.flows.verify import Verification, timed_rtl, verify
from tilewright.hw.spec.config import PRESETS, Config

WORKLOADS = Path(__file__).resolve().parents[3] / "shared" / "workloads"
SMALL = ("mnist_cnn", "ad_autoencoder", "kws_dscnn", "resnet8_cifar10")
LARGE = ("vww_mobilenetv1_025", "mobilenetv2_035_128", "squeezenet_224")
SECTIONED = ("cct2_cifar_randomweights", "silero_vad_step", "stories260k_prefill64")
BASE = PRESETS["base"]
CONFIGS: dict[str, Config] = {
    "nano": PRESETS["nano"],
    "edge": PRESETS["edge"],
    "base": BASE,
    "8x16": BASE.replace(name="r8c16", rows=8, cols=16, lanes=8),
    "16x8": BASE.replace(name="r16c8", rows=16, cols=8, lanes=8),
    "12x20": BASE.replace(name="r12c20", rows=12, cols=20, lanes=4),
}
RTL_SAMPLES = 2

pytestmark = pytest.mark.skipif(not WORKLOADS.is_dir(), reason=f"{WORKLOADS} is missing")


def samples_of(name: str, limit: int | None = None) -> list[Sample]:
    """Return the samples of a workload: input arrays by name."""
    arrays = np.load(WORKLOADS / name / "inputs.npz")
    count = len(next(iter(arrays.values())))
    return [{key: arrays[key][i] for key in arrays} for i in range(count)[:limit]]


def assert_outputs_equal(compiled: CompiledModel, samples: list[Sample], num_iss: int) -> None:
    """Compare the reference on all samples at once with simulator runs, byte for byte."""
    simulator = IssTarget(compiled.program)
    expected = ReferenceTarget(compiled.imported).run_batch(samples)
    for number in range(num_iss):
        given = simulator.run(samples[number]).outputs
        assert set(given) == set(expected[number])
        for name, values in expected[number].items():
            np.testing.assert_array_equal(given[name], values)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", SMALL)
def test_simulator_equals_the_reference(name, config):
    compiled = compile_file(WORKLOADS / name / "model.onnx", CONFIGS[config])
    assert_outputs_equal(compiled, samples_of(name), 1)


@pytest.mark.campaign
@pytest.mark.parametrize("name", SMALL + LARGE + SECTIONED)
def test_simulator_equals_the_reference_for_every_sample(name):
    compiled = compile_file(WORKLOADS / name / "model.onnx", BASE)
    samples = samples_of(name)
    assert_outputs_equal(compiled, samples, len(samples))


CASES = [(name, config) for name in SMALL for config in CONFIGS] + [(n, "base") for n in LARGE]


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "config"), sorted(CASES, key=lambda case: case[1]))
def test_rtl_equals_the_simulator(name, config):
    compiled = compile_file(WORKLOADS / name / "model.onnx", CONFIGS[config])
    target, _ = timed_rtl(compiled.program)
    result = verify(compiled, samples_of(name), target, num_rtl=RTL_SAMPLES)
    cycles, used = result.cycles, result.utilization or 0
    print(f"\n{name} {config}: {cycles:,} cycles, {used:.1%} of the array")
    assert result.is_exact
    assert_published_outputs(name, result)


def assert_published_outputs(name: str, result: Verification) -> None:
    """The top class equals that of the published outputs for every sample."""
    published = np.load(WORKLOADS / name / "outputs.npz")
    for key in published:
        ours = np.stack([outcome.outputs[key] for outcome in result.iss])
        theirs = published[key]
        equal = (ours == theirs).mean()
        print(f"  {key}: {equal:.2%} of {theirs.size} elements equal those of ONNX Runtime")
        if name != "ad_autoencoder":  # a reconstruction, no classes
            flat = (len(theirs), -1)
            assert np.array_equal(
                ours.reshape(flat).argmax(axis=1), theirs.reshape(flat).argmax(axis=1)
            )
