"""Operators that ONNX Runtime has and ONNX has not: types behind them, outputs that are constants.

What the accelerator runs behind such an operator has to know the shapes that it makes.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper

from tilewright.compiler.frontend.importer import import_model
from tilewright.support.errors import ModelError

MICROSOFT = "com.microsoft"


def tokens(builder):
    value = builder.node("MatMul", [builder.activation((1, 8, 6)), builder.weight((6, 6))])
    return builder.requantized(value)


def floats(builder, *arrays):
    return [builder.constant(np.asarray(array, np.float32)) for array in arrays]


def finish(builder, value):
    value = builder.requantized(value, 2.0**-2)
    builder.output(builder.quantize(builder.node("MatMul", [value, builder.weight((6, 5))])))


@pytest.mark.parametrize(
    ("op_type", "domain", "num_values", "num_parameters", "attributes"),
    [
        ("SkipLayerNormalization", MICROSOFT, 2, 2, {}),
        ("MultiHeadAttention", MICROSOFT, 3, 0, {"num_heads": 2}),
        ("SimplifiedLayerNormalization", "", 1, 1, {}),
    ],
)
def test_what_is_behind_them_runs_on_the_accelerator(
    make_builder, agree, op_type, domain, num_values, num_parameters, attributes
):
    builder = make_builder(seed=1)
    inputs = [tokens(builder)] * num_values + floats(builder, *[np.ones(6)] * num_parameters)
    finish(builder, builder.node(op_type, inputs, domain, **attributes))
    imported = agree(builder, fraction=0.02)
    assert [item.op_type for item in imported.host_operators if "Linear" not in item.op_type] == [
        op_type
    ]
    assert imported.coverage.macs_accelerator == imported.coverage.macs_total


@pytest.mark.parametrize("op_type", ["BiasGelu", "FastGelu"])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_function_that_adds_a_bias_first(make_builder, agree, op_type, is_stored):
    builder = make_builder(seed=2, is_exact=False)
    value = builder.node("MatMul", [builder.activation((1, 8, 6)), builder.weight((6, 6))])
    value = builder.requantized(value) if is_stored else value
    (bias,) = floats(builder, np.linspace(-1, 1, 6))
    value = builder.node(op_type, [value, bias], MICROSOFT)
    builder.output(builder.quantize(value, 2.0**-3))
    assert agree(builder, fraction=0.1).host_operators == ()


def test_operators_that_nobody_has_are_refused(make_builder):
    builder = make_builder(seed=3)
    value = tokens(builder)
    finish(builder, value)
    builder.nodes.insert(0, helper.make_node("NoSuchOperator", ["x"], ["y"]))
    builder.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]))
    graph = helper.make_graph(
        builder.nodes, "test", builder.inputs,
        [helper.make_tensor_value_info(builder.outputs[0][0], TensorProto.INT8, [1, 8, 5])],
        builder.constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="malformed ONNX model: No Op registered for NoSuchOp"):
        import_model(model)


@pytest.mark.parametrize("is_read", [False, True])
def test_an_initializer_that_is_an_output(make_builder, agree, is_read):
    builder = make_builder(seed=4)
    (factor,) = floats(builder, 0.5)
    value = tokens(builder)
    finish(builder, builder.node("Mul", [value, factor]) if is_read else value)
    builder.output(factor, "float32")
    assert [item.op_type for item in agree(builder).host_operators] == ["Identity"]


def test_a_function_in_double_precision(make_builder, agree):
    builder = make_builder(seed=5)
    value = builder.node("Cast", [tokens(builder)], to=TensorProto.DOUBLE)
    value = builder.node("Mul", [value, builder.constant(np.float64(0.5))])
    finish(builder, builder.node("Cast", [value], to=TensorProto.FLOAT))
    assert agree(builder).host_operators == ()
