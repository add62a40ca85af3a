"""Sessions are silent, their errors one line of text that names the thing refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tilewright.support.errors import InputError, ModelError
from tilewright.support.ort import first_line, open_session, run_session, write_folded


def model():
    """y = x + (1 + 2)."""
    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy"]
    one, two = (helper.make_tensor(f"c{n}", TensorProto.FLOAT, [1], [n]) for n in (1, 2))
    nodes = [
        helper.make_node("Add", ["c1", "c2"], ["s"]),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", names[:1], names[1:], [one, two])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.mark.parametrize("optimized", [False, True])
def test_a_session_returns_the_outputs_by_name(optimized):
    session = open_session(model(), optimized=optimized)
    found = run_session(session, {"x": np.float32([1, 2, 3])})
    assert {name: array.tolist() for name, array in found.items()} == {"y": [4, 5, 6]}


def test_a_folded_model_has_its_constants_propagated(tmp_path):
    write_folded(model(), tmp_path / "folded.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "folded.onnx").graph.node] == ["Add"]


def test_a_refused_model_and_a_refused_input_are_one_line():
    with pytest.raises(ModelError, match=r"^ONNX Runtime refuses the island: [^\n]+$"):
        open_session(b"no model", what="the island")
    with pytest.raises(InputError, match=r"^ONNX Runtime refuses the inputs: [^\n]+$"):
        run_session(open_session(model()), {"x": np.float32([1])})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got  a\n b", "Got a b"),
        ("shape : 3", "shape : 3"),
        ("", "ValueError"),
    ],
)
def test_first_line_is_the_message_alone(text, line):
    assert first_line(ValueError(text)) == line
