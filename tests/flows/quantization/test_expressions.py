"""Where Q/DQ may not stand: tables, what joins an operator, and where tables end."""

import pytest
from float_graphs import ACTIVATIONS, activation_model, graph, weights

from tilewright.flows.quantization.expressions import find_expressions
from tilewright.flows.quantization.graph_view import GraphView

IMAGE, RESULT = {"x": [1, 3, 8, 8]}, {"y": [1, 4, 8, 8]}
W = weights(4, 3, 1, 1)


def found(text, inputs=IMAGE, outputs=RESULT, **constants):
    """(source, result, operators, joins) of every expression."""
    view = GraphView(graph(text, inputs, outputs, **constants))
    return [
        (item.source, item.result, [node.op_type for node in item.nodes], item.joins)
        for item in find_expressions(view)
    ]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_form_of_an_activation_is_one_table(name):
    view = GraphView(activation_model(name))
    tables = find_expressions(view)
    assert [(item.source, item.result, item.joins) for item in tables] == [
        ("c", "a", False),
        ("c2", "a2", False),
    ]
    assert sum(len(item.nodes) for item in tables) == len(view.nodes) - 3


def test_a_clamp_joins_the_operator_whose_result_it_alone_reads():
    assert found("c = Conv x w; y = Relu c", w=W) == [("c", "y", ["Relu"], True)]
    text = "c = Conv x w; d = Conv x w; s = Add c d; y = Clip s zero six"
    assert found(text, w=W) == [("s", "y", ["Clip"], True)]


def test_a_clamp_of_an_input_or_of_a_shared_tensor_is_a_table():
    assert found("r = Relu x; y = Conv r w", w=W) == [("x", "r", ["Relu"], False)]
    text = "c = Conv x w; r = Relu c; d = Conv r v; y = Add c d"
    assert found(text, w=W, v=weights(4, 4, 1, 1)) == [("c", "r", ["Relu"], False)]


def test_a_table_begins_behind_a_clamp_that_joins():
    assert found("c = Conv x w; r = Relu c; y = Tanh r", w=W) == [
        ("c", "r", ["Relu"], True),
        ("r", "y", ["Tanh"], False),
    ]


def test_a_tensor_that_others_read_ends_a_table():
    text = "c = Conv x w; h = Tanh c; d = Conv h v; e = Exp h; y = Add d e"
    assert found(text, w=W, v=weights(4, 4, 1, 1)) == [
        ("c", "h", ["Tanh"], False),
        ("h", "e", ["Exp"], False),
    ]


def test_a_gate_of_another_tensor_is_no_table():
    text = "c = Conv x w; g = Conv x w; s = Sigmoid g; y = Mul c s"
    assert found(text, w=W) == [("g", "s", ["Sigmoid"], False)]


def test_a_constant_per_channel_joins_weights_and_is_no_table():
    channels = weights(4, 1).reshape(1, 4, 1, 1)
    text = "c = Conv x w; m = Mul c k1; n = Add m k1; y = Relu n"
    assert found(text, w=W, k1=channels) == [
        ("c", "m", ["Mul"], True),
        ("m", "n", ["Add"], True),
        ("n", "y", ["Relu"], True),
    ]
    pixels = weights(8, 8).reshape(8, 8)
    assert found("c = Conv x w; y = Add c k1", w=W, k1=pixels) == []


def test_a_constant_per_channel_of_another_image_begins_a_product():
    channels, pool = weights(3, 1).reshape(3, 1, 1), "p = MaxPool x {'kernel_shape': [1, 1]}"
    outputs = {"y": [1, 3, 8, 8]}
    text = f"{pool}; m = Mul p k1; n = Sub m k1; y = Relu n"
    assert found(text, IMAGE, outputs, k1=channels) == [
        ("p", "m", ["Mul"], False),
        ("m", "n", ["Sub"], True),
        ("n", "y", ["Relu"], True),
    ]
    normalization = "y = BatchNormalization x k1 k1 k1 k1"
    (item,) = found(normalization, IMAGE, outputs, k1=channels.reshape(3))
    assert item == ("x", "y", ["BatchNormalization"], False)
    tokens = {"x": [1, 6, 3]}, {"y": [1, 6, 3]}
    assert found("y = Add x k1", *tokens, k1=channels.reshape(3)) == []


@pytest.mark.parametrize(
    ("statement", "joins"),
    [("y = Sub m b", True), ("y = Div m b", True), ("y = Sub b m", False), ("y = Mul m z", False)],
)
def test_the_bias_of_a_matrix_product_of_tokens(statement, joins):
    tokens = {"x": [1, 6, 8]}, {"y": [1, 6, 4]}
    b, z = weights(4, 1).reshape(4), [1.0, 0.0, 1.0, 1.0]
    result = found(f"m = MatMul x w; {statement}", *tokens, w=weights(8, 4), b=b, z=z)
    assert [item[3] for item in result] == [True] * joins
