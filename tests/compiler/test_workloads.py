"""The shared workloads: only border operators on the host, results as ONNX Runtime's.

Skipped where the folder `shared/workloads` next to the repository is missing.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from model_runs import run_on_reference

from tilewright.compiler.compare import compare_with_onnxruntime
from tilewright.compiler.frontend.importer import import_model

WORKLOADS = Path(__file__).resolve().parents[3] / "shared" / "workloads"
NAMES = (
    "mnist_cnn",
    "ad_autoencoder",
    "kws_dscnn",
    "resnet8_cifar10",
    "vww_mobilenetv1_025",
    "mobilenetv2_035_128",
    "squeezenet_224",
)
BORDER = {"QuantizeLinear", "DequantizeLinear", "Softmax", "Reshape"}
SAMPLES = 2

pytestmark = pytest.mark.skipif(not WORKLOADS.is_dir(), reason=f"{WORKLOADS} is missing")


def samples(name):
    with np.load(WORKLOADS / name / "inputs.npz") as inputs:
        return [{key: inputs[key][i] for key in inputs.files} for i in range(SAMPLES)]


@pytest.mark.parametrize("name", NAMES)
def test_results_agree_with_the_published_outputs(name):
    imported = import_model(WORKLOADS / name / "model.onnx")
    assert {item.op_type for item in imported.host_operators} <= BORDER
    assert imported.notes == ()
    meta = json.loads((WORKLOADS / name / "meta.json").read_text())
    with np.load(WORKLOADS / name / "outputs.npz") as outputs:
        for position, inputs in enumerate(samples(name)):
            for key, given in run_on_reference(imported, inputs).items():
                expected = outputs[key][position]
                assert given.dtype == expected.dtype
                assert given.shape == expected.shape
                assert given.argmax() == expected.argmax()
                is_float = given.dtype == np.float32
                step = meta["outputs"][key]["quant"]["scale"] if is_float else 1
                steps = np.rint(np.abs(given.astype(np.float64) - expected) / step)
                assert steps.max() <= 4


@pytest.mark.parametrize("name", NAMES)
def test_each_operator_differs_in_isolated_single_steps_only(name):
    path = WORKLOADS / name / "model.onnx"
    for operator in compare_with_onnxruntime(path, samples(name)[0]):
        assert operator.own.largest <= 1, operator
        assert operator.own.count <= max(2, 1e-5 * operator.elements), operator
