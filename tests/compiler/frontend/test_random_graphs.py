"""Random quantized graphs: fused they equal ONNX Runtime, compiled they equal the reference."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.hw.spec.config import PRESETS

CHANNELS, SIZE = 4, 6
STEPS = 14


class RandomGraph:
    """Grows a graph of maps [1, 4, 6, 6], each a random operator on random earlier ones."""

    def __init__(self, builder):
        self.builder = builder
        self.random = builder.random
        self.values = [builder.activation((1, CHANNELS, SIZE, SIZE)) for _ in range(2)]

    def pick(self):
        """Recent values are likelier, so that chains grow."""
        recent = self.values[-3:] if self.random.random() < 0.7 else self.values
        return recent[self.random.integers(len(recent))]

    def conv(self):
        groups = int(self.random.choice([1, 2, CHANNELS]))
        weight = self.builder.weight((CHANNELS, CHANNELS // groups, 3, 3), 0)
        inputs = [self.pick(), weight]
        return self.builder.node("Conv", inputs, group=groups, pads=[1, 1, 1, 1])

    def relu(self):
        return self.builder.node("Relu", [self.pick()])

    def table(self):
        value = self.pick()
        return self.builder.node("Mul", [value, self.builder.node("HardSigmoid", [value])])

    def add(self):
        return self.builder.node("Add", [self.pick(), self.pick()])

    def pool(self):
        return self.builder.node("MaxPool", [self.pick()], kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def pad(self):
        value = self.builder.node(
            "Pad", [self.pick(), self.builder.constant([0, 0, 1, 0, 0, 0, 1, 2])]
        )
        weight = self.builder.weight((CHANNELS, CHANNELS, 3, 3))
        return self.builder.node("Conv", [value, weight])

    def concat(self):
        value = self.builder.node("Concat", [self.pick(), self.pick()], axis=1)
        weight = self.builder.weight((CHANNELS, 2 * CHANNELS, 1, 1), 0)
        return self.builder.node("Conv", [self.builder.requantized(value, 2.0**-4), weight])

    def grow(self):
        kinds = [self.conv, self.conv, self.relu, self.table, self.add, self.add]
        kinds += [self.pool, self.pad, self.concat]
        value = kinds[self.random.integers(len(kinds))]()
        if self.random.random() < 0.3:
            value = self.builder.node("Relu", [value])
        self.values.append(self.builder.requantized(value, 2.0 ** self.random.integers(-5, -1)))


def random_model(builder, outputs):
    graph = RandomGraph(builder)
    for _ in range(STEPS):
        graph.grow()
    for value in graph.values[-outputs:]:
        builder.output(builder.quantize(value))


@pytest.mark.parametrize("seed", range(24))
def test_random_graph_equals_onnxruntime(make_builder, agree, seed):
    builder = make_builder(seed=seed, dtype=["int8", "uint8"][seed % 2])
    random_model(builder, outputs=1 + seed % 3)
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("preset", ["nano", "base"])
@pytest.mark.parametrize("seed", range(100, 108))
def test_random_graph_compiled_equals_the_reference(make_builder, preset, seed):
    builder = make_builder(seed=seed, is_exact=False)
    random_model(builder, outputs=1 + seed % 3)
    imported = import_model(builder.model())
    given = run_on_iss(compile_model(imported, PRESETS[preset]), builder.feeds)
    for name, expected in run_on_reference(imported, builder.feeds).items():
        np.testing.assert_array_equal(given[name], expected)
