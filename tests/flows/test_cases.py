"""Small models as people's files look: shares of the accelerator, and results everywhere alike.

Skipped where the folder `shared/cases` next to the repository is missing. `pytest -m campaign` runs
every section on the RTL.
"""

from pathlib import Path

import numpy as np
import pytest

from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.options import ImportOptions
from tilewright.flows.execution import load_inputs
from tilewright.flows.models import CompiledModel, ReferenceTarget, compile_file
from tilewright.flows.runtime.batches import batch_of
from tilewright.flows.runtime.targets import IssTarget, OnnxRuntimeTarget
from tilewright.flows.runtime.tensors import Sample
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.flows.verify import timed_rtl, verify
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ModelError

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"

SHARES = {
    "asym_uint8_weights": 1.0,
    "attention_int8": 0.88,
    "batch4": 1.0,
    "cast_after_q": 1.0,
    "channel_shuffle": 1.0,
    "conv_leakyrelu_fused": 1.0,
    "convtranspose_axis1": 1.0,
    "depth_to_space": 1.0,
    "dynamic_batch": 1.0,
    "fp16_qdq": 1.0,
    "int4_weights": 1.0,
    "ms_qdq_int8": 1.0,
    "if_captures": 1.0,
    "if_constant": 1.0,
    "mixed_float_middle": 0.8,
    "no_zero_point": 1.0,
    "prelu_channel": 1.0,
    "qcdq_clip4": 1.0,
    "reflect_pad": 1.0,
    "resize_linear_mid": 1.0,
    "resize_nearest_fpn": 1.0,
    "scalar_input": 1.0,
    "se_block": 1.0,
    "sub_max_acts": 1.0,
    "tokens_add_matmul": 1.0,
    "yolo_c2f_split": 1.0,
}
"""The part of all multiplications that the accelerator takes at least."""

REFUSALS = {
    "a16w8_ms": "activations must be int8 or uint8; quantize the float model with `tilewright",
    "dynamic_quant_matmul": "the model is dynamically quantized: .* `tilewright quantize FLOAT",
    "weight_only": "only the weights are quantized, .* with `tilewright quantize FLOAT.onnx",
}
"""What the message says of a model that no accelerator section can come from."""

TIES = {
    "asym_uint8_weights": 0.0021,
    "attention_int8": 0.034,
    "conv_leakyrelu_fused": 0.2,
    "fp16_qdq": 0.0069,
    "no_zero_point": 0.001,
    "qcdq_clip4": 0.018,
    "resize_linear_mid": 0.032,
    "sub_max_acts": 0.141,
}
"""The fraction of values that may differ: scales of two decimals, or a product of two maps, make
ties common, and a float bias (qcdq_clip4) is rounded to steps of the accumulator. What one layer
rounds the other way travels through the next ones. A sixteenth of what linear resizing gives by
the same scale lies half way between two steps."""
LARGEST_STEPS = {"fp16_qdq": 1.2}
"""By how much those may; a float16 output has steps of several sizes."""

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is missing")


def compiled_case(name: str, config: str) -> tuple[CompiledModel, list[Sample]]:
    compiled = compile_file(
        CASES / name / "model.onnx", PRESETS[config], ImportOptions(keep_sections=True)
    )
    wanted = WantedInputs(input_file=CASES / name / "inputs.npz", samples=1)
    return compiled, load_inputs(compiled.program, wanted)


@pytest.mark.parametrize("config", ["nano", "edge"])
@pytest.mark.parametrize("name", SHARES)
def test_share_and_results(name, config):
    compiled, (sample,) = compiled_case(name, config)
    coverage = compiled.imported.coverage
    assert coverage.macs_accelerator >= SHARES[name] * coverage.macs_total
    given = IssTarget(compiled.program).run(sample).outputs
    witness = OnnxRuntimeTarget(compiled.path, batch_of(compiled.program)).run(sample).outputs
    for key, expected in ReferenceTarget(compiled.imported).run(sample).outputs.items():
        np.testing.assert_array_equal(given[key], expected)
        assert_close(given[key], witness[key], TIES.get(name, 0), LARGEST_STEPS.get(name, 1.01))


def assert_close(
    given: np.ndarray, witness: np.ndarray, fraction: float, largest_steps: float
) -> None:
    """All but a `fraction` of the values are equal; those are a rounding tie away.

    A step of a float output is the least difference between two of its values.
    """
    assert (given.dtype, given.shape) == (witness.dtype, witness.shape)
    values = np.unique(witness.astype(np.float64))
    assert len(values) > 1, "a constant witness shows nothing"
    step = 1.0 if given.dtype.kind in "iu" else np.diff(values).min(initial=np.inf)
    steps = np.abs(given.astype(np.float64) - witness) / step
    print(f"{np.count_nonzero(steps)} of {steps.size} differ, by {steps.max():.2f} steps at most")
    assert steps.max() <= largest_steps
    assert np.count_nonzero(steps > 0.01) <= fraction * steps.size


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_what_the_model_is(name):
    with pytest.raises(ModelError, match=REFUSALS[name]):
        import_model(CASES / name / "model.onnx")


@pytest.mark.campaign
@pytest.mark.parametrize("config", ["nano", "edge"])
@pytest.mark.parametrize("name", SHARES)
def test_every_section_on_the_rtl_equals_the_simulator(name, config):
    compiled, samples = compiled_case(name, config)
    result = verify(compiled, samples, timed_rtl(compiled.program)[0], num_rtl=1)
    assert result.is_exact
    assert result.estimated_cycles == result.cycles


def test_every_case_is_listed():
    folders = {path.name for path in CASES.iterdir() if path.is_dir()}
    assert folders == SHARES.keys() | REFUSALS.keys()
