"""Models with a batch: rewritten to one sample, proved, or refused with the node that mixes."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto

from tilewright.compiler.frontend.batch import single_sample
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.options import ImportOptions
from tilewright.hw.spec.batch import Batch
from tilewright.support.errors import ModelError


def convolution(builder, size: int) -> str:
    """Return a requantized convolution [size, 4, 4, 4] of an input [size, 3, 6, 6]."""
    value = builder.activation((size, 3, 6, 6))
    return builder.requantized(builder.node("Conv", [value, builder.weight((4, 3, 3, 3))]))


def make_symbolic(model: ModelProto) -> ModelProto:
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def onnx_outputs(model: ModelProto, feeds) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def assert_samples_equal(model: ModelProto, single: ModelProto, feeds) -> None:
    """Compare all outputs with those of the single samples, one after another, in ONNX Runtime."""
    whole = onnx_outputs(model, feeds)
    count = len(next(iter(feeds.values())))
    parts = [
        onnx_outputs(single, {name: array[i : i + 1] for name, array in feeds.items()})
        for i in range(count)
    ]
    for name, array in whole.items():
        assert np.array_equal(array, np.concatenate([part[name] for part in parts]))


@pytest.mark.parametrize("is_symbolic", [False, True])
def test_batch_becomes_one_sample(make_builder, is_symbolic):
    builder = make_builder(seed=1)
    builder.output(builder.quantize(convolution(builder, 4)))
    model = builder.model()
    if is_symbolic:
        make_symbolic(model)
    single, batch = single_sample(model)
    assert batch == Batch(
        size=None if is_symbolic else 4,
        dimension="batch" if is_symbolic else "N",
        inputs=tuple(builder.feeds),
        outputs=(model.graph.output[0].name,),
    )
    assert_samples_equal(model, single, builder.feeds)
    imported = import_model(model)
    assert imported.batch == batch
    assert imported.inputs[0].shape == (1, 3, 6, 6)
    assert imported.outputs[0].shape == (1, 4, 4, 4)


def test_constant_shapes_lose_the_batch(make_builder):
    builder = make_builder(seed=2)
    value = builder.node("Reshape", [convolution(builder, 3), builder.constant([12, 16])])
    value = builder.node("Reshape", [value, builder.constant([3, 64])])
    value = builder.node("MatMul", [value, builder.weight((64, 5))])
    builder.output(builder.quantize(value))
    model = builder.model()
    single, batch = single_sample(model)
    assert batch is not None
    assert batch.size == 3
    assert_samples_equal(model, single, builder.feeds)
    assert import_model(model).outputs[0].shape == (1, 5)


def test_rows_of_a_matrix_stay_pixels_of_one_inference(make_builder, agree):
    builder = make_builder(seed=3)
    value = builder.activation((6, 8))
    builder.output(builder.quantize(builder.node("MatMul", [value, builder.weight((8, 5))])))
    imported = agree(builder)
    assert imported.batch is None
    assert imported.inputs[0].shape == (6, 8)


@pytest.mark.parametrize("operator", ["ReduceMean", "CumSum", "Softmax"])
def test_operator_that_mixes_samples_is_refused_by_name(make_builder, operator):
    builder = make_builder(seed=4)
    value = convolution(builder, 4)
    if operator == "CumSum":
        value = builder.node(operator, [value, builder.constant(0)])
    elif operator == "Softmax":
        value = builder.node(operator, [value], axis=0)
    else:
        value = builder.node(operator, [value], axes=[0], keepdims=0)
    builder.output(builder.quantize(value))
    with pytest.raises(ModelError, match=f"{operator} '{value}' mixes the samples of a batch"):
        single_sample(builder.model())


def test_constant_of_every_sample_is_refused_by_name(make_builder):
    builder = make_builder(seed=5)
    value = convolution(builder, 4)
    offsets = builder.constant(np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1))
    value = builder.node("Add", [value, offsets])
    builder.output(builder.quantize(value))
    with pytest.raises(ModelError, match=f"Add '{value}' mixes the samples of a batch"):
        single_sample(builder.model())


def test_symbolic_batch_that_only_1_fits_is_no_batch(make_builder):
    builder = make_builder(seed=6)
    value = builder.node("Reshape", [convolution(builder, 1), builder.constant([1, 64])])
    builder.output(builder.quantize(value))
    single, batch = single_sample(make_symbolic(builder.model()))
    assert batch is None
    assert single.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_other_symbolic_axes_are_refused(make_builder):
    builder = make_builder(seed=7)
    builder.output(builder.quantize(convolution(builder, 1)))
    model = builder.model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match=r"must have a static shape, but axis 2 is 'height'"):
        import_model(model)


def test_samples_on_another_axis_of_an_output_are_refused(make_builder):
    builder = make_builder(seed=8)
    value = builder.node("Transpose", [convolution(builder, 4)], perm=[1, 0, 2, 3])
    builder.output(value, "float32")
    with pytest.raises(ModelError, match=f"output '{value}' must have its samples on axis 0"):
        single_sample(builder.model())


@pytest.mark.parametrize(("shape", "size"), [((4, 3, 5), 4), ((4, 3), None)])
def test_batch_normalization_of_maps_has_a_batch(make_builder, shape, size):
    builder = make_builder(seed=9)
    parameters = [builder.constant(np.ones(3, np.float32)) for _ in range(4)]
    value = builder.node("BatchNormalization", [builder.activation(shape), *parameters])
    builder.output(builder.quantize(value))
    batch = single_sample(builder.model())[1]
    assert (batch and batch.size) == size


def test_an_axis_without_elements_is_no_batch(make_builder):
    builder = make_builder(seed=9)
    builder.output(builder.quantize(builder.node("Relu", [builder.activation((0, 3, 4))])))
    with pytest.raises(ModelError, match="must have elements, but axis 0 is 0"):
        import_model(builder.model())


def matrix_product(builder, size: int) -> ModelProto:
    """Return a model of one fully connected layer, 64 to 5, of `size` samples."""
    value = builder.activation((size, 64))
    product = builder.requantized(builder.node("MatMul", [value, builder.weight((64, 5))]))
    builder.output(builder.quantize(product))
    return builder.model()


def test_a_batch_in_place_of_a_symbolic_one_is_rows_of_one_matrix(make_builder):
    imported = import_model(
        make_symbolic(matrix_product(make_builder(seed=3), 8)), options=ImportOptions(batch_size=8)
    )
    assert imported.batch is None
    assert imported.inputs[0].shape == (8, 64)
    (section,) = imported.sections
    assert [section.graph.maps[name].pixels for name in section.graph.outputs] == [8]


def test_a_batch_in_place_of_a_symbolic_one_runs_sample_by_sample_where_it_is_an_axis(make_builder):
    builder = make_builder(seed=4)
    builder.output(builder.quantize(convolution(builder, 3)))
    imported = import_model(make_symbolic(builder.model()), options=ImportOptions(batch_size=3))
    assert imported.batch is not None
    assert (imported.batch.size, imported.inputs[0].shape) == (3, (1, 3, 6, 6))


@pytest.mark.parametrize(
    ("batch_size", "is_symbolic", "message"),
    [
        (0, True, "a batch must be at least 1, got 0"),
        (
            2,
            False,
            r"batch 2 needs an input whose axis 0 is symbolic, but the inputs are ",
        ),
    ],
)
def test_no_batch_where_there_is_none(make_builder, batch_size, is_symbolic, message):
    model = matrix_product(make_builder(seed=5), 8)
    with pytest.raises(ModelError, match=message):
        import_model(
            make_symbolic(model) if is_symbolic else model,
            options=ImportOptions(batch_size=batch_size),
        )
