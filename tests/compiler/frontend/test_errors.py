"""Bounds of values and errors, against values that are wrong by so much."""

import numpy as np
import pytest
from onnx import helper

from tilewright.compiler.frontend.errors import KEEPS, SLOPES, Bound, bound_of
from tilewright.compiler.frontend.evaluate import run_nodes
from tilewright.compiler.frontend.source import Operator

SHAPE = (1, 4, 6, 6)
OPSETS = [helper.make_opsetid("", 18)]
WINDOW = {"kernel_shape": [2, 2], "strides": [2, 2]}
ATTRIBUTES = {
    "AveragePool": WINDOW,
    "Clip": {},
    "Concat": {"axis": 1},
    "DepthToSpace": {"blocksize": 2},
    "Elu": {"alpha": 0.7},
    "HardSigmoid": {"alpha": 0.4},
    "LeakyRelu": {"alpha": -0.5},
    "MaxPool": WINDOW,
    "Resize": {"mode": "linear"},
    "Softmax": {"axis": 1},
    "SpaceToDepth": {"blocksize": 2},
    "Split": {"num_outputs": 1},
}
CONSTANTS = {
    "Add": [np.float32(3)],
    "Div": [np.array([0.5, -4, 2, 8], np.float32).reshape(4, 1, 1)],
    "Expand": [np.array([2, 4, 6, 6])],
    "Gather": [np.array([0, 0])],
    "Mul": [np.array([0.5, -4, 2, 8], np.float32).reshape(4, 1, 1)],
    "Pad": [np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(40)],
    "Reshape": [np.array([4, 36])],
    "Resize": ["", np.array([1, 1, 2, 2], np.float32)],
    "Slice": [np.array([1]), np.array([3]), np.array([2])],
    "Tile": [np.array([1, 2, 1, 1])],
    "Unsqueeze": [np.array([0])],
}
TWO = ("Add", "Concat", "Max", "Min", "Mul", "Sub", "Sum")
NOT_IN_THIS_OPSET = ("Upsample",)
ONE = [
    name
    for name in (*KEEPS, *SLOPES, "HardSigmoid", "Add", "Div", "Mul")
    if name not in NOT_IN_THIS_OPSET
]


def operator(op_type, inputs):
    proto = helper.make_node(op_type, inputs, ["result"], **ATTRIBUTES.get(op_type, {}))
    attributes = {item.name: helper.get_attribute_value(item) for item in proto.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    return Operator(
        name=op_type, op_type=op_type, domain="", inputs=tuple(inputs), outputs=("result",),
        attributes=attributes, proto=proto,
    )  # fmt: skip


def check(op_type, values, constants):
    """Values moved by at most their error move the result by at most that of its bound."""
    random = np.random.default_rng(5)
    names = [f"x{number}" for number in range(len(values))]
    feeds = dict(zip(names, values, strict=True))
    given = []
    for number, item in enumerate(constants):
        name = "" if isinstance(item, str) else f"c{number}"
        feeds |= {} if isinstance(item, str) else {name: np.asarray(item)}
        given.append(name)
    node = operator(op_type, [*names, *given])
    errors = [0.01 * (number + 1) for number in range(len(values))]
    operands = [
        Bound(largest=float(np.abs(value).max()) + error, error=error)
        for value, error in zip(values, errors, strict=True)
    ]
    bound = bound_of(
        node, [*operands, *(np.asarray(c) for c in constants if not isinstance(c, str))]
    )
    assert np.isfinite(bound.error)
    (expected,) = run_nodes([node.proto], feeds, ["result"], OPSETS)
    for _ in range(50):
        moved = {
            name: (feeds[name] + error * random.choice([-1, 1], SHAPE)).astype(np.float32)
            for name, error in zip(names, errors, strict=True)
        }
        (result,) = run_nodes([node.proto], feeds | moved, ["result"], OPSETS)
        assert np.abs(result - expected).max() <= bound.error * (1 + 1e-4) + 1e-5
        assert np.abs(result).max() <= bound.largest + 1e-4


@pytest.mark.parametrize("op_type", ONE)
def test_one_value(op_type):
    values = [np.random.default_rng(1).normal(0, 3, SHAPE).astype(np.float32)]
    check(op_type, values, CONSTANTS.get(op_type, []))


@pytest.mark.parametrize("op_type", TWO)
def test_two_values(op_type):
    random = np.random.default_rng(2)
    check(op_type, [random.normal(0, 3, SHAPE).astype(np.float32) for _ in range(2)], [])


@pytest.mark.parametrize("op_type", ["Exp", "Pow", "LayerNormalization", "ReduceSum", "Mean"])
def test_of_others_nothing_is_known(op_type):
    assert bound_of(operator(op_type, ["x"]), [Bound(largest=1.0, error=0.1)]).error == np.inf


def test_a_quotient_by_a_value_is_not_known():
    operands = [np.float32(1), Bound(largest=1.0, error=0.1)]
    assert bound_of(operator("Div", ["c", "x"]), operands).error == np.inf
