"""Single-layer models: their shapes, and the sizes that are refused."""

import onnx
import pytest

from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.models import compile_file
from tilewright.hw.spec.config import PRESETS
from tilewright.sim.timing import simulate


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("gemm", (3, 5, 7)), ("conv", (3, 5, 3, 4, 6)), ("depthwise", (4, 5, 6, 7))],
)
def test_the_output_has_the_shape_that_the_operator_gives(kind, sizes):
    model = make_kernel(kind, sizes)
    declared = onnx.TensorShapeProto()
    declared.CopyFrom(model.graph.output[0].type.tensor_type.shape)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert inferred.graph.output[0].type.tensor_type.shape == declared


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("gemm", (1, 2), r"gemm does not take the sizes \[1, 2\]"),
        ("gemm", (), "sizes must be at least 1"),
        ("gemm", (1, 0, 2), r"sizes must be at least 1, got \[1, 0, 2\]"),
        ("conv", (1, 1, 2, 4, 4), "the kernel must be odd, got 2"),
        ("depthwise", (4, 4, 4, 4), "the kernel must be odd, got 4"),
    ],
)
def test_rejects(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        make_kernel(kind, sizes)


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ((64, 64, 64), 1_700),
        ((50, 70, 100), 2_600),
        ((8, 768, 768), 42_000),
        ((1, 768, 768), 40_000),
        ((64, 768, 768), 150_000),
    ],
)
def test_cycles_of_small_products_on_the_timing_model(tmp_path, sizes, most):
    path = tmp_path / "kernel.onnx"
    onnx.save(make_kernel("gemm", sizes), path)
    assert simulate(compile_file(path, PRESETS["base"]).program).cycles <= most
