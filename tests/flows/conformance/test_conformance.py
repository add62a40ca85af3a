"""The onnx package's backend suite: cases, constants, Q/DQ, verdicts, outcomes, command."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.conformance import running
from tilewright.flows.conformance.cases import Case, collect
from tilewright.flows.conformance.freezing import frozen_inputs
from tilewright.flows.conformance.preparing import prepare
from tilewright.flows.conformance.report import general, markdown
from tilewright.flows.conformance.results import Outcome, Result
from tilewright.flows.conformance.running import run_case
from tilewright.flows.conformance.scales import Scale
from tilewright.flows.conformance.witness import judge, judge_each, with_every_value
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.support.errors import InputError

NANO = PRESETS["nano"]
FLOATS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE,
          np.dtype(np.int64): TensorProto.INT64}  # fmt: skip


def case_of(nodes, inputs, outputs, opset=17) -> Case:
    """Return a case of these nodes; inputs and outputs are arrays by name, in their order."""
    infos = [
        [helper.make_tensor_value_info(n, FLOATS[a.dtype], a.shape) for n, a in values.items()]
        for values in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "case", *infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Case(
        name="test_case",
        kind="node",
        operator=nodes[0].op_type,
        model=model.SerializeToString(),
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs.values()),
    )


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@pytest.fixture
def convolution() -> Case:
    x, w, b = random(1, 2, 5, 5), random(3, 2, 3, 3), random(3)
    inputs = {"x": x, "w": w, "b": b}
    return case_of(
        [helper.make_node("Conv", [*inputs], ["y"])], inputs, {"y": np.ones((1, 3, 3, 3), "f")}
    )


def test_weights_become_constant_and_data_stays(convolution):
    model = onnx.load_from_string(convolution.model)
    assert frozen_inputs(model) == {"w", "b"}
    added = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ab"
    ], [])  # fmt: skip
    assert frozen_inputs(helper.make_model(added)) == set()


def test_scale_has_the_range_of_the_data_and_zero_is_exact():
    values = np.array([0.5, 2.0, 3.0], np.float32)
    scale = Scale.of(values)
    assert float(scale.scale) == pytest.approx(3.0 / 255)
    assert scale.zero_point == -128
    assert scale.stored(np.array([0.0, 3.0], np.float32)).tolist() == [-128, 127]
    assert Scale.of(np.zeros(3, np.float32)).scale == 1.0


def test_a_wrapped_case_has_int8_inputs_weights_and_outputs(convolution):
    prepared = prepare(convolution)
    graph = prepared.model.graph
    kinds = [item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)]
    assert kinds == [TensorProto.INT8, TensorProto.INT8]
    assert [node.op_type for node in graph.node].count("QuantizeLinear") == 1
    weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}["w/int8"]
    assert weights.dtype == np.int8
    assert np.abs(weights).max() == 127
    assert list(prepared.feeds) == ["x/int8"]


def test_values_that_are_not_finite_stay_float_where_a_result_is_not():
    x = np.array([[1.0, np.inf, np.nan]], np.float32)
    found = {}
    for operator, result in (("IsInf", np.isinf(x).astype(np.int64)), ("Relu", x)):
        node = helper.make_node(operator, ["x"], ["y"])
        found[operator] = prepare(case_of([node], {"x": x}, {"y": result}))
    assert [item.name for item in found["IsInf"].model.graph.input] == ["x"]
    assert found["Relu"].feeds["x/int8"].tolist() == [[99, 127, -128]]


def test_old_operator_sets_are_converted():
    x = random(1, 4)
    prepared = prepare(case_of([helper.make_node("Relu", ["x"], ["y"])], {"x": x}, {"y": x}, 6))
    assert prepared.model.opset_import[0].version == 13


def test_double_values_are_cast_around_their_operator():
    x = random(1, 4).astype(np.float64)
    case = case_of([helper.make_node("Relu", ["x"], ["y"])], {"x": x}, {"y": x})
    assert [node.op_type for node in prepare(case).model.graph.node][1:4] == [
        "Cast",
        "Relu",
        "Cast",
    ]
    assert run_case(case, NANO).outcome is not Outcome.REFUSED


def test_a_convolution_runs_on_the_accelerator(convolution):
    result = run_case(convolution, NANO)
    assert (result.outcome, result.reason, result.host) == (Outcome.ACCELERATOR, "", ())


def test_what_the_accelerator_lacks_runs_on_the_host_with_its_reason():
    x = random(1, 4)
    case = case_of([helper.make_node("Softmax", ["x"], ["y"])], {"x": x}, {"y": np.abs(x)})
    result = run_case(case, NANO)
    assert result.outcome is Outcome.HOST
    assert result.host == (("Softmax", "the accelerator has no softmax unit"),)


def test_a_constant_model_runs_on_the_host():
    node = helper.make_node("Constant", [], ["y"], value_floats=[1.0, 2.0])
    assert run_case(case_of([node], {}, {"y": random(2)}), NANO).outcome is Outcome.HOST


def test_what_cannot_run_is_refused_with_the_reason():
    x = random(1, 4)
    case = case_of([helper.make_node("NoSuchOperator", ["x"], ["y"])], {"x": x}, {"y": x})
    result = run_case(case, NANO)
    assert result.outcome is Outcome.REFUSED
    assert "NoSuchOperator" in result.reason


def test_an_exception_of_another_kind_is_a_traceback_with_its_place(convolution, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(running, "compile_file", fail)
    result = run_case(convolution, NANO)
    assert result.outcome is Outcome.TRACEBACK
    assert result.reason.startswith("KeyError: 'lost' (test_conformance.py:")


def test_a_value_one_step_beside_is_right_only_at_a_tie():
    steps = np.array([[10.0, 10.5, 11.0]], np.float32)
    scale = np.float32(2**-4)
    case = case_of([helper.make_node("Relu", ["x"], ["y"])], {"x": steps * scale}, {"y": steps})
    prepared = prepare(case)
    feeds = dict(prepared.feeds)
    scales = {item.name: item for item in prepared.model.graph.initializer}
    scales["x/scale"].CopyFrom(numpy_helper.from_array(np.float32(scale / 2), "x/scale"))
    scales["y/scale"].CopyFrom(numpy_helper.from_array(scale, "y/scale"))
    scales["x/zero_point"].CopyFrom(numpy_helper.from_array(np.int8(0), "x/zero_point"))
    scales["y/zero_point"].CopyFrom(numpy_helper.from_array(np.int8(0), "y/zero_point"))
    feeds["x/int8"][:] = [20, 21, 22]
    assert judge({"y/int8": np.array([[10, 10, 11]], np.int8)}, prepared).ties == 0
    assert judge({"y/int8": np.array([[10, 11, 11]], np.int8)}, prepared).ties == 1
    verdict = judge({"y/int8": np.array([[11, 10, 11]], np.int8)}, prepared)
    assert verdict.reason == "output 'y/int8': 1 of 3 elements differ from ONNX Runtime's"
    verdict = judge({"y/int8": np.array([[10, 12, 11]], np.int8)}, prepared)
    assert "1 of 3" in verdict.reason


def test_each_value_is_checked_against_those_before_it():
    x = random(1, 8)
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    every = with_every_value(prepare(case_of(nodes, {"x": x}, {"y": x})))
    names = [item.name for item in every.model.graph.output]
    assert names == ["y/int8", "t/int8"]
    session = running._outputs(every, NANO)[1]
    assert judge_each(session, every).reason == ""
    wrong = session | {"t/int8": session["t/int8"] + np.int8(3)}
    assert "t/int8" in judge_each(wrong, every).reason


def test_reasons_of_a_kind_are_one_row():
    first = "x.onnx: model input 'a' must have shape [1, 3], got [2]; see /tmp/b"
    second = "y.onnx: model input 'b' must have shape [2], got [3]; see /tmp/c"
    assert general(first) == general(second)
    assert general("scale 0.5") == "scale N"


def test_the_report_counts_every_case_and_lists_what_is_wrong():
    results = [
        Result(name="test_a", kind="node", operator="Abs", outcome=Outcome.ACCELERATOR, ties=2),
        Result(name="test_b", kind="node", operator="Abs", outcome=Outcome.WRONG, reason="off"),
    ]
    text = markdown(results, NANO, "tilewright conformance", {"onnx": "1"})
    assert "1 of 2 cases right (1 accelerator, 0 mixed, 0 host)" in text
    assert "| Abs | 2 | 1 |  |  |  | 1 |  |" in text
    assert "- test_b: wrong: off" in text


def test_the_command_runs_the_cases_that_are_like_a_pattern(tilewright, tmp_path):
    report = tmp_path / "suite.md"
    words = ("MaxPool", "--kind", "pytorch-operator", "--jobs", "1", "--json", "-o", report)
    result = tilewright("conformance", *words)
    assert result.status == 0
    found = json.loads(result.out)
    assert [case["name"] for case in found["cases"]] == ["test_operator_maxpool"]
    assert found["totals"]["accelerator"] == 1
    assert "`tilewright conformance 'MaxPool' --kind pytorch-operator`" in report.read_text()


def test_a_pattern_without_cases_is_refused():
    with pytest.raises(InputError, match="no case has an operator or a name like 'Nothing'"):
        collect("Nothing", ["pytorch-operator"])


@pytest.mark.campaign
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_no_case_is_wrong_or_a_traceback(preset):
    config = Config.load(preset)
    results = [run_case(case, config) for case in collect()]
    assert len(results) == 2024
    assert not [r for r in results if r.outcome in (Outcome.WRONG, Outcome.TRACEBACK)]
    assert sum(r.outcome is not Outcome.REFUSED for r in results) >= 1500
