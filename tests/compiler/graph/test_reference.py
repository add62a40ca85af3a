"""The reference interpreter against direct sums over every index."""

import numpy as np
import pytest

from tilewright.compiler.graph.graph import (
    Conv,
    Elementwise,
    Epilogue,
    Graph,
    Pool,
    Requantize,
    Resample,
    Residual,
)
from tilewright.compiler.graph.reference import Reference
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization, Tensor
from tilewright.support.errors import InputError

INPUT = Quantization(scale=0.05, zero_point=-7)
OUTPUT = Quantization(scale=0.3, zero_point=11)


def feature_map(name, shape, quantization):
    return Tensor(name=name, shape=shape, quantization=quantization)


def graph_of(node, shapes, quantizations):
    maps = {
        name: feature_map(name, shape, quantization)
        for (name, shape), quantization in zip(shapes.items(), quantizations, strict=True)
    }
    inputs = tuple(name for name in shapes if name != node.output)
    return Graph(maps=maps, nodes=(node,), inputs=inputs, outputs=(node.output,))


def direct_accumulator(data, weight, node, shape):
    """Sum over every kernel position inside the map, in Python integers."""
    result = np.zeros(shape, np.int64)
    per_group = weight.shape[1]
    outputs = weight.shape[0] // node.groups
    for channel, y, x in np.ndindex(*shape):
        total = 0
        for c, ky, kx in np.ndindex(*weight.shape[1:]):
            row = y * node.strides[0] + ky * node.dilations[0] - node.pads[0]
            column = x * node.strides[1] + kx * node.dilations[1] - node.pads[1]
            if 0 <= row < data.shape[1] and 0 <= column < data.shape[2]:
                source = channel // outputs * per_group + c
                value = int(data[source, row, column]) - INPUT.zero_point
                total += value * int(weight[channel, c, ky, kx])
        result[channel, y, x] = total
    return result


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("seed", [1, 2])
def test_conv_with_residual_and_table(groups, seed):
    random = np.random.default_rng(seed)
    weight = random.integers(-128, 128, (4, 4 // groups, 3, 2)).astype(np.int8)
    epilogue = Epilogue(
        quantization=OUTPUT,
        low=-100,
        high=90,
        table=random.integers(-128, 128, 256).astype(np.int8),
        table_quantization=Quantization(scale=0.1, zero_point=3),
    )
    node = Conv(
        name="conv",
        output="y",
        input="x",
        weight=weight,
        bias=random.integers(-5000, 5000, 4).astype(np.int32),
        weight_scale=random.uniform(0.001, 0.02, 4).astype(np.float32),
        strides=(2, 1),
        pads=(1, 0, 2, 1),
        dilations=(1, 2),
        groups=groups,
        epilogue=epilogue,
        residual=Residual(kind="add", other="r", low=-90, high=110),
    )
    shapes = {"x": (4, 7, 6), "r": (4, 4, 5), "y": (4, 4, 5)}
    graph = graph_of(node, shapes, [INPUT, OUTPUT, Quantization(scale=0.4, zero_point=-3)])
    data, other = (random.integers(-128, 128, shapes[name]).astype(np.int8) for name in ("x", "r"))
    given = Reference(graph=graph).run({"x": data, "r": other})["y"]
    accumulator = direct_accumulator(data, weight, node, shapes["y"])
    scale = np.float32(0.05) * node.weight_scale / np.float32(0.3)
    stored = (accumulator + node.bias[:, None, None]).astype(np.float32) * scale[:, None, None]
    first = np.clip(np.rint(stored) + 11, -100, 90).astype(np.int8)
    first = epilogue.table[first.view(np.uint8)]
    left = (first.astype(np.float32) - 3) * (np.float32(0.1) / np.float32(0.4))
    right = (other.astype(np.float32) - 11) * (np.float32(0.3) / np.float32(0.4))
    expected = np.clip(np.rint(left + right) - 3, -90, 110)
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_divides_by_the_pixels_of_the_window(count_include_pad):
    random = np.random.default_rng(3)
    node = Pool(
        name="pool",
        output="y",
        kind="average",
        input="x",
        kernel=(3, 2),
        strides=(2, 2),
        pads=(1, 0, 1, 1),
        count_include_pad=count_include_pad,
    )
    shapes = {"x": (2, 6, 5), "y": (2, 3, 3)}
    data = random.integers(-128, 128, shapes["x"]).astype(np.int8)
    given = Reference(graph=graph_of(node, shapes, [INPUT, OUTPUT])).run({"x": data})["y"]
    for channel, y, x in np.ndindex(*shapes["y"]):
        rows = range(max(2 * y - 1, 0), min(2 * y + 2, 6))
        columns = range(2 * x, min(2 * x + 2, 5))
        total = sum(int(data[channel, r, c]) - INPUT.zero_point for r in rows for c in columns)
        count = 6 if count_include_pad else len(rows) * len(columns)
        ratio = np.float32(0.05) / (np.float32(0.3) * np.float32(count))
        expected = int(np.rint(np.float32(total) * ratio)) + OUTPUT.zero_point
        assert given[channel, y, x] == np.clip(expected, -128, 127)


def test_sums_beyond_binary32_are_exact():
    channels = 4096
    weight = np.full((1, channels, 1, 1), 127, np.int8)
    weight[0, 0, 0, 0] = 1
    node = Conv(
        name="conv",
        output="y",
        input="x",
        weight=weight,
        bias=np.array([-(127 * (channels - 1) * 134)], np.int32),
        weight_scale=np.ones(1, np.float32),
        epilogue=Epilogue(quantization=Quantization(scale=0.05 * 134, zero_point=0)),
    )
    shapes = {"x": (channels, 1, 1), "y": (1, 1, 1)}
    graph = graph_of(node, shapes, [INPUT, node.epilogue.quantization])
    data = np.full(shapes["x"], 127, np.int8)
    assert Reference(graph=graph).run({"x": data})["y"].item() == 1


def test_requantize_applies_the_table_to_the_stored_value():
    table = np.arange(256)[::-1].astype(np.uint8).view(np.int8)
    epilogue = Epilogue(quantization=INPUT, table=table, table_quantization=OUTPUT)
    node = Requantize(name="table", output="y", input="x", epilogue=epilogue)
    graph = graph_of(node, {"x": (1, 1, 256), "y": (1, 1, 256)}, [INPUT, OUTPUT])
    data = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256)
    given = Reference(graph=graph).run({"x": data})["y"]
    np.testing.assert_array_equal(given, numerics.look_up(table, data))


@pytest.mark.parametrize("given", [np.zeros((1, 1, 4), np.int8), np.zeros((1, 2, 2), np.int16)])
def test_input_maps_of_another_shape_or_type_are_refused(given):
    node = Requantize(name="copy", output="y", input="x", epilogue=Epilogue(quantization=INPUT))
    graph = graph_of(node, {"x": (1, 2, 2), "y": (1, 2, 2)}, [INPUT, INPUT])
    with pytest.raises(InputError, match=r"must be int8 \[1, 2, 2\]"):
        Reference(graph=graph).run({"x": given})


def test_samples_are_as_many_in_every_input_map():
    node = Elementwise(name="add", output="y", kind="add", first="a", second="b")
    shapes = dict.fromkeys("aby", (2, 3, 4))
    reference = Reference(graph=graph_of(node, shapes, [INPUT, INPUT, OUTPUT]))
    random = np.random.default_rng(1)
    many = {name: random.integers(-128, 128, (2, 3, 4, 5)).astype(np.int8) for name in "ab"}
    together = reference.run(many)["y"]
    for sample in range(5):
        alone = reference.run({name: array[..., sample] for name, array in many.items()})["y"]
        np.testing.assert_array_equal(together[..., sample], alone)
    with pytest.raises(InputError, match="differ in their number of samples"):
        reference.run({"a": many["a"], "b": many["b"][..., :4]})


def test_resample_takes_rows_columns_and_phases():
    rows, columns, phases = (2, 0, 0, 1), (1, 1, 3), (2, 1)
    node = Resample(name="n", output="y", input="x", rows=rows, columns=columns, phases=phases)
    graph = graph_of(node, {"x": (6, 3, 4), "y": (3, 4, 3)}, (INPUT, INPUT))
    data = np.random.default_rng(5).integers(-128, 128, (6, 3, 4)).astype(np.int8)
    given = Reference(graph=graph).run({"x": data})["y"]
    for channel, y, x in np.ndindex(given.shape):
        assert given[channel, y, x] == data[y % 2 * 3 + channel, rows[y], columns[x]]
