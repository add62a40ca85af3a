"""Coverage: multiplications and operators on the accelerator, counted by hand."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.frontend.source import load_source
from tilewright.compiler.frontend.work import macs_of

LATE_FLOAT = {"macs_accelerator": 4 * 16 * 27, "macs_total": 4 * 16 * 27 + 4 * 16 * 36}


def test_float_convolution_behind_the_accelerator_counts_as_the_hosts(make_builder):
    builder = make_builder(seed=1)
    value = builder.activation((1, 3, 6, 6))
    weight = builder.weight((4, 3, 3, 3))
    value = builder.requantized(builder.node("Conv", [value, weight]))
    raw = builder.constant(np.ones((4, 4, 3, 3), np.float32))
    value = builder.node("Conv", [value, raw], pads=[1, 1, 1, 1])
    builder.output(value, "float32")
    found = import_model(builder.model()).coverage
    # DequantizeLinear, Conv, QuantizeLinear here; DequantizeLinear, Conv on the host. The weights'
    # DequantizeLinear is a constant.
    assert found.as_dict() == LATE_FLOAT | {"operators_accelerator": 3, "operators_total": 5}
    assert found.macs_share == pytest.approx(27 / 63)


def test_whole_model_on_the_accelerator_is_covered(make_builder):
    builder = make_builder(seed=2)
    value = builder.activation((5, 8))
    builder.output(builder.quantize(builder.node("MatMul", [value, builder.weight((8, 7))])))
    found = import_model(builder.model()).coverage
    assert found.as_dict() == {
        "macs_accelerator": 5 * 8 * 7,
        "macs_total": 5 * 8 * 7,
        "operators_accelerator": 3,
        "operators_total": 3,
    }


FLOAT, INT8, INT32 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT32


@pytest.mark.parametrize(
    ("operator", "inputs", "result", "attributes", "macs"),
    [
        ("Conv", {"x": (1, 4, 5, 5), "w": (6, 2, 3, 3)}, FLOAT, {"group": 2}, 6 * 9 * 2 * 9),
        ("ConvTranspose", {"x": (1, 4, 5, 5), "w": (4, 6, 2, 2)}, FLOAT, {}, 4 * 25 * 6 * 4),
        ("Gemm", {"x": (8, 5), "w": (3, 8)}, FLOAT, {"transA": 1, "transB": 1}, 5 * 8 * 3),
        ("MatMul", {"x": (2, 3, 5, 8), "w": (2, 3, 8, 7)}, FLOAT, {}, 2 * 3 * 5 * 8 * 7),
        ("MatMul", {"x": (8,), "w": (8,)}, FLOAT, {}, 8),
        ("MatMulInteger", {"x": (5, 8), "w": (8, 7)}, INT32, {}, 5 * 8 * 7),
        ("ConvInteger", {"x": (1, 3, 4, 4), "w": (2, 3, 1, 1)}, INT32, {}, 2 * 16 * 3),
        ("Mul", {"x": (5, 8), "w": (5, 8)}, FLOAT, {}, 0),
    ],
)
def test_macs_of_an_operator(operator, inputs, result, attributes, macs):
    kind = INT8 if result == INT32 else FLOAT
    node = helper.make_node(operator, list(inputs), ["y"], **attributes)
    axes = [f"axis{number}" for number in range(len(inputs["x"]))] if len(inputs["w"]) > 1 else []
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", kind, inputs["x"])],
        [helper.make_tensor_value_info("y", result, axes)],
        [numpy_helper.from_array(np.ones(inputs["w"], "int8" if kind == INT8 else "float32"), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    source = load_source(model)
    assert macs_of(source, source.operators[0]) == macs
