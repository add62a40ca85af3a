"""Models that onnx's checker lets pass and that are wrong all the same; types at the border."""

import numpy as np
import pytest
from model_runs import run_on_reference
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.frontend.importer import import_model
from tilewright.support.errors import ModelError


def quantized(name, nodes):
    """Append QuantizeLinear and DequantizeLinear of `name`; return the real value."""
    nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", "s", "z"], [f"{name}_r"]))
    return f"{name}_r"


def model_of(operator, *inputs, dtype="float32", cast=False, shape=(None,) * 4, **constants):
    """x [1, 4, 5, 5] -> operator on int8 -> y; `cast` from and to `dtype` at the border."""
    values = {"s": np.float32(0.5), "z": np.int8(0), "f": np.ones(1, np.float32)} | constants
    nodes = (
        [
            helper.make_node(
                "Cast",
                [
                    "x",
                ],
                ["x_f"],
                to=TensorProto.FLOAT,
            )
        ]
        if cast
        else []
    )
    source = quantized("x_f" if cast else "x", nodes)
    if "w" in constants:
        nodes.append(helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["w_r"], axis=0))
    nodes.append(helper.make_node(operator, [source, *inputs], ["o"], operator.lower()))
    result = quantized("o", nodes)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes.append(helper.make_node("Cast", [result], ["y"], to=kind))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [1, 4, 5, 5])],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


WEIGHT = {
    "w": np.ones((6, 4, 1, 1), np.int8),
    "ws": np.full(6, 0.5, np.float32),
    "wz": np.zeros(6, np.int8),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ws": np.ones(5, np.float32)}, "its scale must have 1 element, or 6 along axis 0, got 5"),
        ({"wz": np.zeros(4, np.int8)}, "its zero point must have 1 element, or 6 along axis 0"),
        ({"wz": np.zeros((0,), np.int8)}, "its zero point must have 1 element"),
    ],
)
def test_quantization_that_does_not_fit_the_weights(changes, message):
    with pytest.raises(ModelError) as error:
        import_model(model_of("Conv", "w_r", **(WEIGHT | changes)))
    assert message in str(error.value)


def test_weights_without_elements():
    empty = {"w": np.ones((0, 4, 1, 1), np.int8), "ws": np.float32(1), "wz": np.int8(0)}
    with pytest.raises(ModelError, match="its weights have no elements"):
        import_model(model_of("Conv", "w_r", **empty))


@pytest.mark.parametrize("pads", [1, [1, 1, 1], [0] * 6, [0] * 10])
def test_pads_of_another_rank(pads):
    with pytest.raises(ModelError, match=f"its pads must be 8 numbers, got {np.size(pads)}"):
        import_model(model_of("Pad", "p", shape=(1, 4, 5, 5), p=np.array(pads, np.int64)))


def transposed_weights(model, order):
    """The model with its weights transposed behind DequantizeLinear."""
    (place,) = (n for n, node in enumerate(model.graph.node) if "w_r" in node.output)
    model.graph.node[place].output[0] = "w_s"
    model.graph.node.insert(
        place + 1, helper.make_node("Transpose", ["w_s"], ["w_r"], "turned", perm=order)
    )
    return model


def test_an_order_of_another_rank():
    model = transposed_weights(model_of("Conv", "w_r", shape=(1, 6, 5, 5), **WEIGHT), [1, 0, 2])
    with pytest.raises(ModelError, match="'turned': its shapes do not fit: axes don't match"):
        import_model(model)


def test_a_shape_that_is_a_scalar():
    with pytest.raises(ModelError, match="'reshape': its shapes do not fit"):
        import_model(model_of("Reshape", "n", shape=(1, 4, 5, 5), n=np.float32(99)))


def test_a_constant_of_an_unknown_type():
    model = model_of("Relu")
    model.graph.initializer[2].data_type = 99
    with pytest.raises(ModelError):
        import_model(model)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_the_host_casts_other_types(dtype):
    imported = import_model(model_of("Relu", dtype=dtype, cast=True))
    assert {item.op_type for item in imported.host_operators} >= {"Cast"}
    values = np.random.default_rng(0).integers(0, 2, (1, 4, 5, 5)).astype(dtype)
    (result,) = run_on_reference(imported, {"x": values}).values()
    assert result.dtype == np.dtype(dtype)
    assert np.array_equal(result, values)
