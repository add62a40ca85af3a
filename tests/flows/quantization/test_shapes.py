"""Shapes of inputs: given sizes, symbolic batches, and what does not fit."""

import numpy as np
import onnx
import pytest
from float_graphs import graph, run_model, samples, weights

from tilewright.flows.quantization.preparation import prepare
from tilewright.flows.quantization.shapes import (
    batch_of,
    fix_batch,
    fix_shapes,
    inputs_of,
    parse_shapes,
)
from tilewright.support.errors import InputError, ModelError


def model(shape, result=None):
    """Conv and Relu; x of a shape to y of the same pixels."""
    outputs = {"y": result or [shape[0], 4, *shape[2:]]}
    return graph("c = Conv x w; y = Relu c", {"x": shape}, outputs, w=weights(4, 3, 1, 1))


def shape_of(item):
    return [d.dim_param or d.dim_value for d in item.type.tensor_type.shape.dim]


def test_a_named_dimension_is_set_wherever_it_occurs():
    given = model(["N", 3, "H", "W"])
    fix_shapes(given, parse_shapes(["H=8", "W=6"]))
    assert shape_of(given.graph.input[0]) == ["N", 3, 8, 6]
    assert shape_of(given.graph.output[0]) == ["N", 4, 8, 6]


def test_the_shape_of_an_input_sets_its_named_dimensions_elsewhere():
    given = model(["N", 3, "H", "W"])
    fix_shapes(given, parse_shapes(["x=1,3,8,6"]))
    assert shape_of(given.graph.input[0]) == [1, 3, 8, 6]
    assert shape_of(given.graph.output[0]) == [1, 4, 8, 6]


def test_a_symbolic_axis_0_is_a_batch_of_single_samples():
    given = model(["N", 3, 8, 6])
    assert inputs_of(given)[0].shape == (1, 3, 8, 6)
    assert batch_of(given).dimension == "N"
    fix_batch(given)
    assert batch_of(given) is None
    assert shape_of(given.graph.output[0]) == [1, 4, 8, 6]
    assert inputs_of(model([-1, 3, 8, 6]))[0].shape == (1, 3, 8, 6)


def test_constants_are_no_inputs():
    given = model([1, 3, 8, 6])
    given.graph.input.append(
        onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 3, 1, 1])
    )
    assert [item.name for item in inputs_of(given)] == ["x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q=3", "--shape Q: no such input or symbolic dimension; the inputs are x, the symbolic "),
        ("H=3,4", "--shape H: no such input"),
        ("x=1,4,8,8", "--shape x=1,4,8,8 does not fit the input's [N, 3, H, 8]"),
        ("x=1,3,8", "--shape x=1,3,8 does not fit the input's [N, 3, H, 8]"),
    ],
)
def test_shapes_that_do_not_fit(text, message):
    with pytest.raises(ModelError) as error:
        fix_shapes(model(["N", 3, "H", 8]), parse_shapes([text]))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["x", "x=", "=3", "x=a", "x=0", "x=1,-1", "x=1,,2"])
def test_texts_that_are_no_shape(text):
    with pytest.raises(InputError, match="--shape needs NAME=N for a dimension or INPUT=N,N"):
        parse_shapes([text])


def test_other_symbolic_dimensions_are_refused():
    with pytest.raises(ModelError) as error:
        prepare(model(["N", 3, "H", 8]))
    assert "must have a static shape behind axis 0, got [N, 3, H, 8]; give --shape" in str(
        error.value
    )


@pytest.mark.parametrize("stacked", [(5, 3, 8, 6), (5, 1, 3, 8, 6)])
def test_a_symbolic_batch_stays_in_the_int8_model_which_compiles(tilewright, tmp_path, stacked):
    given = model(["N", 3, "H", 6])
    onnx.save(given, tmp_path / "float.onnx")
    arrays = np.stack([sample["x"] for sample in samples((1, 3, 8, 6), count=5)])
    np.savez(tmp_path / "data.npz", x=arrays.reshape(stacked))
    words = ("--shape", "H=8", "--calibration", tmp_path / "data.npz")
    result = tilewright("quantize", tmp_path / "float.onnx", "-o", tmp_path / "int8.onnx", *words)
    assert result.status == 0, result
    assert "calibrated on 5 samples" in result.out
    int8 = onnx.load(tmp_path / "int8.onnx")
    assert shape_of(int8.graph.input[0]) == ["N", 3, 8, 6]
    batch = {"x": arrays.reshape(5, 3, 8, 6)}
    expected = run_model(given, [batch])[0]["y"]
    assert np.abs(run_model(int8, [batch])[0]["y"] - expected).max() < 0.05 * np.abs(expected).max()
    words = ("--preset", "nano", "-o", tmp_path / "o.tw", "--quiet")
    compiled = tilewright("compile", tmp_path / "int8.onnx", *words)
    assert compiled.status == 0, compiled
