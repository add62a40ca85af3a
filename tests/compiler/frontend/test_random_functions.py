"""Random graphs whose float values wait for their quantization, operator by operator."""

import numpy as np
import onnx.reference
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compare import compare_with_onnxruntime
from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ModelError

SIZE = 6
MOST_CHANNELS = 40
LARGEST_STEPS = 3
"""Of an operator by itself: a step at a coarse scale may be several at the finer one behind it."""
NUM_GRAPHS = 30


class RandomGraph:
    """Operators in any order on a pool of float values [1, channels, 6, 6]."""

    def __init__(self, make_builder, seed):
        dtype = "int8" if seed % 2 else "uint8"
        self.builder = make_builder(seed=seed, is_exact=False, opset=20, dtype=dtype)
        self.random = np.random.default_rng(seed)
        stored = [self.builder.activation((1, 6, SIZE, SIZE)) for _ in range(2)]
        self.channels = dict.fromkeys(stored, 6)
        self.add(self.builder.node(self.random.choice(["Add", "Mul", "Max", "Min"]), stored), 6)
        self.convolve(stored[0])
        steps = [self.join, self.cut, self.pool, self.apply, self.pad, self.clamp, self.convolve]
        for step in self.random.choice(len(steps), self.random.integers(2, 9)):
            steps[step](self.random.choice(list(self.channels)))
        self.finish()

    def add(self, name, channels):
        if channels <= MOST_CHANNELS:
            self.channels[name] = channels
            self.last = name

    def join(self, value):
        parts = [value, *self.random.choice(list(self.channels), self.random.integers(1, 3))]
        total = sum(self.channels[part] for part in parts)
        self.add(self.builder.node("Concat", parts, axis=1), total)

    def cut(self, value):
        behind = int(self.random.integers(1, self.channels[value] + 1))
        first = int(self.random.integers(0, behind))
        bounds = [self.builder.constant([number]) for number in (first, behind, 1)]
        self.add(self.builder.node("Slice", [value, *bounds]), behind - first)

    def pool(self, value):
        name = self.builder.node("MaxPool", [value], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        self.add(name, self.channels[value])

    def apply(self, value):
        if self.random.integers(2):
            name = self.builder.node("LeakyRelu", [value], alpha=0.3)
        else:
            name = self.builder.node("Mul", [value, self.builder.node("Sigmoid", [value])])
        self.add(name, self.channels[value])

    def pad(self, value):
        widths = self.builder.constant([0, 1, 0, 0, 0, 2, 0, 0])
        self.add(self.builder.node("Pad", [value, widths]), self.channels[value] + 3)

    def clamp(self, value):
        bounds = [self.builder.constant(np.float32(bound)) for bound in (-1, 2)]
        self.add(self.builder.node("Clip", [value, *bounds]), self.channels[value])

    def convolve(self, value):
        weight = self.builder.weight((4, self.channels[value], 1, 1), 0, around=2.0**-8)
        stored = self.builder.requantized(value, 2.0**-4)
        self.add(self.builder.node("Conv", [stored, weight]), 4)

    def finish(self):
        """Quantize the last value with the range that it has."""
        output = self.builder.output(self.last, "float32")
        model = self.builder.model()
        (values,) = onnx.reference.ReferenceEvaluator(model).run([output], self.builder.feeds)
        self.builder.outputs.clear()
        around = max(float(np.abs(values).max()), 1e-3) / 127
        self.builder.output(self.builder.quantize(self.last, around, zero_point=0))


@pytest.mark.parametrize("seed", range(NUM_GRAPHS))
def test_random_graphs_equal_onnxruntime_operator_by_operator(make_builder, seed):
    graph = RandomGraph(make_builder, seed)
    model, feeds = graph.builder.model(), graph.builder.feeds
    try:
        imported = import_model(model)
    except ModelError:
        pytest.skip("nothing of it runs on the accelerator")
    for item in compare_with_onnxruntime(model, feeds, imported):
        assert item.own.largest <= LARGEST_STEPS, item
    program = compile_model(imported, PRESETS["nano" if seed % 2 else "edge"])
    given, expected = run_on_iss(program, feeds), run_on_reference(imported, feeds)
    assert all((given[name] == expected[name]).all() for name in expected)
