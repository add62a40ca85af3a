"""What the quantizer puts between Q and DQ, with ONNX Runtime as the reference."""

from collections import Counter

import pytest
from float_graphs import (
    ACTIVATIONS,
    activation_model,
    graph,
    run_model,
    samples,
    signal_to_noise,
    weights,
)

from tilewright.compiler.compare import compare_with_onnxruntime
from tilewright.compiler.frontend.importer import import_model
from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.quantizer import Options, quantize


def quantized(model, inputs, **options):
    """The int8 form of a float model."""
    return quantize(prepare(model), inputs, Options(**options))


def check_close(model, int8, inputs, decibels):
    """The int8 model's outputs are those of the float model, on ONNX Runtime."""
    given = [sample["y"] for sample in run_model(int8, inputs)]
    expected = [sample["y"] for sample in run_model(model, inputs)]
    assert signal_to_noise(given, expected) > decibels


def operators(model):
    """The types of the model's operators, weights' DequantizeLinear left out."""
    constants = {item.name for item in model.graph.initializer}
    return [n.op_type for n in model.graph.node if n.input[0] not in constants]


def makers_of_inputs(model, operator):
    """What makes the first input of every node of an operator."""
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    return [makers.get(n.input[0]) for n in model.graph.node if n.op_type == operator]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_keeps_one_pair_around_it_and_compiles_to_a_table(name):
    model, inputs = activation_model(name), samples((1, 3, 8, 8))
    int8 = quantized(model, inputs)
    assert Counter(operators(int8))["QuantizeLinear"] == 6
    check_close(model, int8, inputs, 25)
    imported = import_model(int8)
    (section,) = imported.sections
    nodes = section.graph.nodes
    assert [type(node).__name__ for node in nodes] == ["Conv"] * 3
    assert [node.epilogue.table is not None for node in nodes] == [True, True, False]
    differences = compare_with_onnxruntime(int8, inputs[0], imported)
    assert [item.own.count for item in differences] == [0] * len(differences)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_clamp_and_a_bias_have_no_pair_in_front(symmetric):
    model = graph(
        "m = MatMul x w; n = Add m b; r = Relu n; c = MatMul r v; y = Clip c zero six",
        {"x": [1, 6, 8]},
        {"y": [1, 6, 4]},
        w=weights(8, 8),
        b=weights(8, 1).reshape(8),
        v=weights(8, 4),
    )
    inputs = samples((1, 6, 8))
    int8 = quantized(model, inputs, symmetric=symmetric)
    assert set(makers_of_inputs(int8, "Relu") + makers_of_inputs(int8, "Clip")) <= {
        "Reshape", "Add", "MatMul", "Gemm",
    }  # fmt: skip
    check_close(model, int8, inputs, 30)
    assert [node.epilogue.table for node in import_model(int8).sections[0].graph.nodes] == [
        None
    ] * 2


@pytest.mark.parametrize(
    ("text", "pools"),
    [
        ("p = MaxPool x {'kernel_shape': [2, 2]}; y = Conv p w", ["MaxPool"]),
        ("h = HardSwish x; p = MaxPool h {'kernel_shape': [2, 2]}; y = Conv p w", ["MaxPool"]),
        ("s = Sub x k1; p = AveragePool s {'kernel_shape': [2, 2]}; y = Conv p w", ["AveragePool"]),
        ("n = Sub x k1; y = GlobalMaxPool n", ["GlobalMaxPool"]),
        ("e = Exp x; y = GlobalAveragePool e", ["GlobalAveragePool"]),
        ("e = Sub x k1; y = ReduceMean e {'axes': [2, 3]}", ["ReduceMean"]),
    ],
)
def test_every_pooling_has_a_pair_in_front_and_behind(text, pools):
    pixels = 7 if "Conv" in text else 1
    channels = 4 if "Conv" in text else 3
    k1 = weights(3, 1).reshape(3, 1, 1)
    outputs = {"y": [1, channels, pixels, pixels]}
    model = graph(text, {"x": [1, 3, 8, 8]}, outputs, w=weights(4, 3, 1, 1), k1=k1)
    inputs = samples((1, 3, 8, 8))
    int8 = quantized(model, inputs)
    for pool in pools:
        assert makers_of_inputs(int8, pool) == ["DequantizeLinear"]
        at = operators(int8).index(pool)
        assert operators(int8)[at + 1] == "QuantizeLinear"
    check_close(model, int8, inputs, 30)


def test_means_that_normalize_stay_in_float():
    model = graph(
        "m = MatMul x w; q = Pow m two; a = ReduceMean q {'axes': [-1]}; e = Add a epsilon;"
        "s = Sqrt e; n = Div m s; y = MatMul n v",
        {"x": [1, 6, 8]},
        {"y": [1, 6, 4]},
        w=weights(8, 8),
        v=weights(8, 4),
    )
    inputs = samples((1, 6, 8))
    int8 = quantized(model, inputs)
    assert makers_of_inputs(int8, "ReduceMean") == ["Pow"]
    assert makers_of_inputs(int8, "Sqrt") == ["Add"]
    check_close(model, int8, inputs, 30)


def test_layout_at_the_input_is_behind_the_pair():
    model = graph(
        "t = Transpose x {'perm': [0, 3, 1, 2]}; y = Conv t w",
        {"x": [1, 8, 8, 3]},
        {"y": [1, 4, 8, 8]},
        w=weights(4, 3, 1, 1),
    )
    inputs = samples((1, 8, 8, 3))
    int8 = quantized(model, inputs)
    assert makers_of_inputs(int8, "Transpose") == ["DequantizeLinear"]
    check_close(model, int8, inputs, 30)


def test_the_host_normalizes_inputs_in_float():
    k1 = weights(3, 1).reshape(3, 1, 1)
    model = graph(
        "s = Mul x k1; t = Add s k1; y = Conv t w",
        {"x": [1, 3, 8, 8]},
        {"y": [1, 4, 8, 8]},
        w=weights(4, 3, 1, 1),
        k1=k1,
    )
    inputs = samples((1, 3, 8, 8))
    int8 = quantized(model, inputs)
    assert operators(int8)[:4] == ["Mul", "Add", "QuantizeLinear", "DequantizeLinear"]
    check_close(model, int8, inputs, 30)


def test_batch_normalization_in_front_of_a_convolution_keeps_float_constants():
    values = {name: weights(8, 1, seed=at).reshape(8) for at, name in enumerate("gbm")}
    model = graph(
        "c = Conv x w; n = BatchNormalization c g b m v; r = Relu n; d = Conv r w2; y = Add c d",
        {"x": [1, 8, 8, 8]},
        {"y": [1, 8, 8, 8]},
        w=weights(8, 8, 1, 1),
        w2=weights(8, 8, 1, 1),
        v=weights(8, 1, seed=5).reshape(8) ** 2 + 1,
        **values,
    )
    inputs = samples((1, 8, 8, 8))
    int8 = quantized(model, inputs)
    assert makers_of_inputs(int8, "BatchNormalization") == ["DequantizeLinear"]
    assert makers_of_inputs(int8, "Relu") == ["BatchNormalization"]
    check_close(model, int8, inputs, 30)
    imported = import_model(int8)
    differences = compare_with_onnxruntime(int8, inputs[0], imported)
    assert max(item.own.largest for item in differences) <= 1
    assert len(imported.sections) == 1


def test_nothing_of_the_quantizer_is_left_in_the_model():
    int8 = quantized(activation_model("gelu_erf"), samples((1, 3, 8, 8)))
    assert not int8.functions
    assert not any(item.domain.startswith("tilewright") for item in int8.opset_import)
    read = {name for node in int8.graph.node for name in node.input}
    assert {item.name for item in int8.graph.initializer} <= read
    assert {node.op_type for node in int8.graph.node} - {"QuantizeLinear", "DequantizeLinear"} == {
        "Conv", "Div", "Erf", "Add", "Mul",
    }  # fmt: skip
