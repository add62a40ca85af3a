"""The comparison with ONNX Runtime: what differs, where first, and what is not compared."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tilewright.compiler.frontend.importer import import_model
from tilewright.flows.report.comparison import compare_model
from tilewright.flows.runtime.tensors import random_samples


@pytest.fixture
def changed(digits, tmp_path):
    """The demo's model with one weight of its second layer 100 steps away."""
    model = onnx.load(digits)
    producers = {name: node for node in model.graph.node for name in node.output}
    (conv,) = (node for node in model.graph.node if node.name == "conv2")
    stored = producers[conv.input[1]].input[0]
    (weight,) = (item for item in model.graph.initializer if item.name == stored)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 1, 1] += 100 if values[0, 0, 1, 1] < 0 else -100
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    path = tmp_path / "changed.onnx"
    onnx.save(model, path)
    return path


def test_demo_equals_onnx_runtime(digits):
    imported = import_model(digits)
    comparison = compare_model(digits, imported, random_samples(imported.inputs, 3))
    assert [operator.name for operator in comparison.operators] == [
        "conv1", "conv2", "pool", "dense",
    ]  # fmt: skip
    assert [operator.elements for operator in comparison.operators] == [
        3 * 16 * 64, 3 * 32 * 16, 3 * 32 * 4, 3 * 10,
    ]  # fmt: skip
    assert (comparison.largest, comparison.first_differing) == (0, None)
    assert [item["step"] for item in comparison.not_compared] == ["island0", "island1"]


def test_operator_that_differs_is_told_from_those_behind_it(digits, changed):
    imported = import_model(digits)
    comparison = compare_model(changed, imported, random_samples(imported.inputs, 2))
    own = {operator.name: operator.own.count > 0 for operator in comparison.operators}
    assert own == {"conv1": False, "conv2": True, "pool": False, "dense": False}
    total = {operator.name: operator.total.count > 0 for operator in comparison.operators}
    assert total == {"conv1": False, "conv2": True, "pool": True, "dense": True}
    assert comparison.first_differing.name == "conv2"


def test_command_prints_and_writes_the_comparison(tilewright, digits, tmp_path):
    path = tmp_path / "compare.json"
    result = tilewright("compare", digits, "--samples", 2, "--json", path, "--fail-above", 0)
    assert result.status == 0
    assert "4 of 4 operators equal in 2 samples; 0 of 3,348 elements differ" in result.out
    assert "not compared: island0: image_QuantizeLinear: left to ONNX Runtime" in result.out
    report = json.loads(path.read_text())
    assert (report["samples"], report["largest_difference_steps"]) == (2, 0)
    assert report["operators"][0]["own"] == {"count": 0, "largest": 0}


def test_status_is_1_only_above_the_steps_asked_for(tilewright, digits, changed, monkeypatch):
    imported = import_model(digits)
    monkeypatch.setattr("tilewright.flows.models.import_file", lambda path: imported)
    first = tilewright("compare", changed)
    assert first.status == 0
    assert "the first operator that differs: conv2" in first.out
    assert any(line.split()[:2] == [">", "conv2"] for line in first.out.splitlines())
    assert tilewright("compare", changed, "--fail-above", 0).status == 1
    assert tilewright("compare", changed, "--fail-above", 255).status == 0


def test_wrong_inputs_are_one_line(tilewright, digits, tmp_path):
    np.savez(tmp_path / "x.npz", other=np.zeros(3))
    result = tilewright("compare", digits, "--input", tmp_path / "x.npz")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "'image' is missing" in result.err


def test_models_of_several_sections_are_compared(tilewright, interrupted, tmp_path):
    path = tmp_path / "compare.json"
    assert tilewright("compare", interrupted, "--json", path).status == 0
    report = json.loads(path.read_text())
    assert [operator["section"] for operator in report["operators"]] == ["section0", "section1"]
    assert [item["step"] for item in report["not_compared"]] == ["island0", "island1", "island2"]
