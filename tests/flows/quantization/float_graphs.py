"""Float graphs, each written as one line an operator: `y = Conv x w {"strides": [2, 2]}`."""

import ast

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from tilewright.support.ort import open_session, run_session

ACTIVATIONS = {
    "silu": "s = Sigmoid c; a = Mul c s",
    "hard_swish": "a = HardSwish c",
    "hard_swish_parts": "p = Add c three; q = Clip p zero six; r = Mul c q; a = Div r six",
    "hard_swish_sigmoid": "s = HardSigmoid c; a = Mul s c",
    "gelu_erf": "d = Div c root; e = Erf d; f = Add e one; g = Mul c f; a = Mul g half",
    "gelu_tanh": "p = Pow c three; q = Mul p k; r = Add c q; s = Mul r gain; u = Tanh s; "
    "v = Add u one; h = Mul c half; a = Mul h v",
    "mish": "s = Softplus c; t = Tanh s; a = Mul c t",
    "leaky": "a = LeakyRelu c",
}
SCALARS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "six": 6, "half": 0.5, "root": 2**0.5, "k": 0.044715,
    "gain": 0.7978845, "epsilon": 1e-5,
}  # fmt: skip


def graph(text, inputs, outputs, opset=17, **constants):
    """The model of `text`: statements `result = Operator inputs`, with `;` between them.

    inputs, outputs: shapes by name. Attributes follow as {name: value} in Python's form.
    """
    named = {**SCALARS, **constants}
    nodes = []
    for statement in filter(None, map(str.strip, text.replace("\n", ";").split(";"))):
        words, brace, attributes = statement.partition("{")
        result, operator, *read = words.replace("=", " ").split()
        given = ast.literal_eval(brace + attributes) if brace else {}
        nodes.append(
            helper.make_node(operator, read, [result], name=f"{operator}_{result}", **given)
        )
    read = {name for node in nodes for name in node.input}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
            [_constant(name, value) for name, value in named.items() if name in read],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    checker.check_model(model)
    return model


def _constant(name, value):
    array = np.asarray(value)
    kept = array if np.ndim(value) and array.dtype == np.int64 else array.astype(np.float32)
    return numpy_helper.from_array(kept, name)


def weights(*shape, seed=0):
    """Normal weights whose products keep the spread of their inputs."""
    random = np.random.default_rng(seed)
    return random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)


def activation_model(name):
    """Conv, an activation, Conv, the same activation; x [1, 3, 8, 8] to y [1, 5, 8, 8]."""
    first = ACTIVATIONS[name]
    second = "; ".join(
        " ".join(_second(word) for word in statement.split()) for statement in first.split(";")
    )
    return graph(
        f"c = Conv x w b; {first}; c2 = Conv a w2; {second}; y = Conv a2 w3",
        {"x": [1, 3, 8, 8]},
        {"y": [1, 5, 8, 8]},
        w=weights(8, 3, 1, 1),
        b=weights(8, 1).reshape(8),
        w2=weights(8, 8, 1, 1),
        w3=weights(5, 8, 1, 1),
    )


def _second(word):
    is_tensor = word.islower() and word not in SCALARS
    return f"{word}2" if is_tensor else word


def samples(shape, count=4, seed=7):
    """Normal samples of the input x."""
    random = np.random.default_rng(seed)
    return [{"x": random.normal(0, 1, shape).astype(np.float32)} for _ in range(count)]


def run_model(model, inputs):
    """The model's outputs on ONNX Runtime, graph optimizations off, one dict a sample."""
    session = open_session(model.SerializeToString())
    return [run_session(session, sample) for sample in inputs]


def signal_to_noise(given, expected):
    """In dB."""
    first, second = np.stack(given).astype(np.float64), np.stack(expected).astype(np.float64)
    return 10 * np.log10((second**2).sum() / ((first - second) ** 2).sum())
