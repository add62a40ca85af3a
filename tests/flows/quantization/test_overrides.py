"""Axes of weights and the choice between symmetric and asymmetric activations."""

import numpy as np
import pytest
from float_graphs import graph, run_model, samples, signal_to_noise, weights
from onnx import numpy_helper

from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.quantizer import Options, quantize
from tilewright.support.errors import InputError


def constants(model):
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def zero_points(model):
    """The zero point of every activation that a QuantizeLinear makes, by its float name."""
    values = constants(model)
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return {node.input[0].split("_Quantize")[0]: int(values[node.input[2]]) for node in nodes}


def outputs(model, inputs):
    return np.stack([sample["y"] for sample in run_model(model, inputs)])


def check_weights(model, shape, axis, size):
    """The weights w have `size` scales along `axis`, of which none loses its weights; the result is
    close to the float one."""
    inputs = samples(shape)
    int8 = quantize(prepare(model), inputs, Options())
    values = constants(int8)
    (node,) = [n for n in int8.graph.node if n.input[0] == "w_quantized"]
    scale = values[node.input[1]]
    assert scale.size == size
    assert size == 1 or [a.i for a in node.attribute if a.name == "axis"] == [axis]
    stored, real = values["w_quantized"], constants(model)["w"]
    along = [-1 if at == axis else 1 for at in range(real.ndim)] if size > 1 else []
    given = np.moveaxis(stored * scale.reshape(along), axis, 0).reshape(real.shape[axis], -1)
    expected = np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)
    error = np.abs(given - expected).max(axis=1) / np.abs(expected).max(axis=1)
    assert error.max() < 1 / 100
    assert signal_to_noise(outputs(int8, inputs), outputs(model, inputs)) > 30


@pytest.mark.parametrize(
    ("groups", "channels", "axis", "size"), [(1, 4, 1, 4), (6, 6, 0, 6), (2, 6, 0, 1)]
)
def test_transposed_convolutions(groups, channels, axis, size):
    w = weights(6, channels // groups, 3, 3)
    if size > 1:  # channels of very different ranges: one scale would lose the small ones
        along = [-1 if at == axis else 1 for at in range(4)]
        w = w * 4.0 ** np.arange(size).reshape(along)
    model = graph(
        f"y = ConvTranspose x w b {{'group': {groups}, 'strides': [2, 2]}}",
        {"x": [1, 6, 5, 5]},
        {"y": [1, channels, 11, 11]},
        w=w,
        b=weights(channels, 1).reshape(channels),
    )
    check_weights(model, (1, 6, 5, 5), axis, size)


def test_matrices_have_their_channels_on_the_last_axis():
    w = weights(2, 8, 4) * 4.0 ** np.arange(4)
    model = graph("y = MatMul x w", {"x": [1, 2, 3, 8]}, {"y": [1, 2, 3, 4]}, w=w)
    check_weights(model, (1, 2, 3, 8), 2, 4)


CHAIN = "c = Conv x w; r = Relu c; p = MaxPool r {'kernel_shape': [1, 1]}; d = Conv p v; y = Tanh d"


def chain():
    shapes = {"x": [1, 3, 4, 4]}, {"y": [1, 4, 4, 4]}
    return prepare(graph(CHAIN, *shapes, w=weights(4, 3, 1, 1), v=weights(4, 4, 1, 1)))


def test_what_an_operator_reads_is_symmetric_with_all_that_shares_its_scale():
    inputs = [{"x": sample["x"] + 1} for sample in samples((1, 3, 4, 4))]
    plain = zero_points(quantize(chain(), inputs, Options()))
    assert all(plain.values())
    options = Options(by_operator=(("Conv", True),))
    int8 = quantize(chain(), inputs, options)
    given = zero_points(int8)
    assert {name for name, zero in given.items() if not zero} == {"x", "r", "p"}
    assert {given[name] for name in ("d", "y")} == {plain["d"], plain["y"]}
    assert signal_to_noise(outputs(int8, inputs), outputs(chain(), inputs)) > 25


def test_exceptions_from_symmetric():
    inputs = [{"x": sample["x"] + 1} for sample in samples((1, 3, 4, 4))]
    options = Options(symmetric=True, by_operator=(("Tanh", False),))
    given = zero_points(quantize(chain(), inputs, options))
    assert {name for name, zero in given.items() if zero} == {"d"}


def test_operators_that_the_model_does_not_have():
    with pytest.raises(InputError, match="--activations Gemm: the prepared model has no such"):
        quantize(chain(), samples((1, 3, 4, 4)), Options(by_operator=(("Gemm", True),)))
