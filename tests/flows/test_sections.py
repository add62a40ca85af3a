"""Shared models of several sections: shares, and simulator, reference and ONNX Runtime alike.

Skipped where the folder `shared` next to the repository is missing.
"""

from pathlib import Path

import numpy as np
import pytest

from tilewright.flows.execution import load_inputs
from tilewright.flows.models import ReferenceTarget, compile_file
from tilewright.flows.runtime.batches import batch_of
from tilewright.flows.runtime.targets import IssTarget, OnnxRuntimeTarget
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.flows.verify import timed_rtl, verify
from tilewright.hw.spec.config import PRESETS

SHARED = Path(__file__).resolve().parents[3] / "shared"

SHARES = {
    "workloads/cct2_cifar_randomweights": 0.80,
    "workloads/silero_vad_step": 0.60,
    "workloads/stories260k_prefill64": 0.75,
    "cases/mixed_float_middle": 0.80,
    "cases/attention_int8": 0.80,
    "cases/dynamic_batch": 1.0,
    "cases/batch4": 1.0,
}
"""The part of all multiplications that the accelerator must take."""
EXACT = {"workloads/cct2_cifar_randomweights", "workloads/silero_vad_step"}

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is missing")


@pytest.mark.parametrize("name", SHARES)
def test_share_and_results(name):
    folder = SHARED / name
    compiled = compile_file(folder / "model.onnx", PRESETS["base"])
    coverage = compiled.imported.coverage
    assert coverage.macs_accelerator >= SHARES[name] * coverage.macs_total
    assert compiled.program.metadata["coverage"] == coverage.as_dict()
    wanted = WantedInputs(input_file=folder / "inputs.npz", samples=1)
    (sample,) = load_inputs(compiled.program, wanted)
    given = IssTarget(compiled.program).run(sample).outputs
    witness = OnnxRuntimeTarget(compiled.path, batch_of(compiled.program)).run(sample).outputs
    for key, expected in ReferenceTarget(compiled.imported).run(sample).outputs.items():
        np.testing.assert_array_equal(given[key], expected)
        assert np.array_equal(given[key], witness[key]) or name not in EXACT
        assert given[key].reshape(-1).argmax() == witness[key].reshape(-1).argmax()


@pytest.mark.campaign
@pytest.mark.parametrize("config", ["nano", "edge", "base"])
@pytest.mark.parametrize("name", SHARES)
def test_every_section_on_the_rtl_equals_the_simulator(name, config):
    folder = SHARED / name
    compiled = compile_file(folder / "model.onnx", PRESETS[config])
    wanted = WantedInputs(input_file=folder / "inputs.npz", samples=1)
    samples = load_inputs(compiled.program, wanted)
    result = verify(compiled, samples, timed_rtl(compiled.program)[0], num_rtl=1)
    assert result.is_exact
    assert result.estimated_cycles == result.cycles
