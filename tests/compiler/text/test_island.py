"""The text of islands: what xDSL reads is the ONNX model that the host runs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from reading import attributes_of, name_of, operations, parse
from test_levels import cut_digits

from tilewright.compiler.compile import run_sections
from tilewright.compiler.text.island import island_text
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.steps import HostOperator, Island


def island_of(nodes, inputs, outputs, constants=()) -> Island:
    graph = helper.make_graph(
        nodes,
        "host",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("a.b", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    return Island(
        name="island3", model=model.SerializeToString(), moved_bytes=12, seconds=1e-6,
        inputs=tuple(item[0] for item in inputs), outputs=tuple(outputs),
        operators=tuple(
            HostOperator(name=n.name, op_type=n.op_type, reason=f"why {n.name}", elements=1)
            for n in nodes
        ),
    )  # fmt: skip


def test_islands_are_observed_once_in_their_place_between_sections():
    model, seen = cut_digits(), []
    run_sections(model, PRESETS["nano"], observe=lambda step, item: seen.append(item.name))
    assert list(dict.fromkeys(seen)) == [step.name for step in model.steps]
    assert all(seen.count(island.name) == 1 for island in model.islands)


def test_xdsl_reads_the_nodes_values_and_reasons_of_an_imported_island():
    model = cut_digits()
    for island in model.islands:
        module = parse(island_text(island))
        graph = onnx.load_from_string(island.model).graph
        found = [item for item in operations(module, "onnx.") if "tw.node" in attributes_of(item)]
        assert [(name_of(item), attributes_of(item)["tw.node"]) for item in found] == [
            (f"onnx.{node.op_type}", node.name) for node in graph.node
        ]
        reasons = {operator.name: operator.reason for operator in island.operators}
        for item in found:
            assert attributes_of(item)["tw.reason"] == reasons[attributes_of(item)["tw.node"]]
        (function,) = operations(module, "func.func")
        given = attributes_of(function)["arg_attrs"]
        assert [item["tw.tensor"] for item in given] == [item.name for item in graph.input]


@pytest.mark.parametrize("with_weights", [False, True])
def test_optional_inputs_graphs_texts_and_open_sizes_have_a_text(with_weights):
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "branch", [], [helper.make_empty_tensor_value_info("y")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Clip", ["x", "", "high"], ["c"], name="clip"),
        helper.make_node("Greater", ["c", "high"], ["g"], name="greater"),
        helper.make_node("If", ["g"], ["i"], name="if", then_branch=branch, else_branch=branch),
        helper.make_node("Pad", ["i", "pads"], ["p"], name="pad", mode="edge"),
        helper.make_node("Constant", [], ["k"], name="k", value_strings=["a", "\u00e9"]),
        helper.make_node("Made", ["p", "k"], ["o"], name="made", domain="a.b", f=[0.5, 2.0], n=3),
    ]
    constants = [
        numpy_helper.from_array(np.float32(6), "high"),
        numpy_helper.from_array(np.array([1, 1], np.int64), "pads"),
        numpy_helper.from_array(np.array([True]), "unused"),
        numpy_helper.from_array(np.array([200], np.uint8), "byte"),
    ]
    island = island_of(nodes, [("x", TensorProto.FLOAT, ["n"])], ["o"], constants)
    text = island_text(island, with_weights=with_weights)
    module = parse(text)
    by_node = {
        attributes_of(item).get("tw.node"): item
        for item in operations(module, "")
        if "tw.node" in attributes_of(item)
    }
    assert list(by_node) == [node.name for node in nodes]
    assert "(%x, %none, %high)" in text
    assert "tensor<?xf32>, none, tensor<f32>" in text
    assert attributes_of(by_node["pad"])["mode"] == "edge"
    assert name_of(by_node["made"]) == "a.b.Made"
    assert attributes_of(by_node["made"])["n"] == 3
    assert attributes_of(by_node["if"])["then_branch"].keys() == {"digest"}
    assert attributes_of(by_node["made"])["tw.reason"] == "why made"
