"""Random views between products and convolutions: exactly what ONNX Runtime computes."""

import math

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler.compile import compile_model
from tilewright.hw.spec.config import PRESETS

STEPS = 7


class RandomViews:
    """A chain of random operators, each of which gives a shape that the class knows."""

    def __init__(self, builder):
        self.builder = builder
        self.random = builder.random
        self.shape = [(1, 4, 6, 6), (1, 6, 4), (1, 1, 5, 6), (1, 12)][self.random.integers(4)]
        self.value = builder.activation(self.shape)
        (self.conv if len(self.shape) > 2 else self.product)()
        self.value = builder.requantized(self.value, 2.0**-2)

    def step(self):
        views = [self.slice, self.flip, self.gather, self.reshape, self.transpose, self.tile]
        if len(self.shape) in (3, 4) and self.shape[0] == 1:
            views += [self.pad, self.pad, self.conv, self.conv, self.pool, self.concat]
        if len(self.shape) == 4 and self.shape[0] == 1:
            views += [self.enlarge, self.reflect]
            views += [self.depth_to_space] if self.shape[1] % 4 == 0 else []
        (self.product if self.random.random() < 0.2 else self.random.choice(views))()
        if self.random.random() < 0.4:
            self.value = self.builder.requantized(self.value, 2.0**-2)

    def change(self, op_type, operands, shape, **attributes):
        names = [self.builder.constant(np.asarray(operand)) for operand in operands]
        self.value = self.builder.node(op_type, [self.value, *names], **attributes)
        self.shape = tuple(shape)

    def with_size(self, axis, size):
        return (*self.shape[:axis], int(size), *self.shape[axis + 1 :])

    def axis(self):
        return int(self.random.integers(len(self.shape)))

    def slice(self):
        axis = self.axis()
        first, step = int(self.random.integers(self.shape[axis])), int(self.random.integers(1, 3))
        kept = len(range(first, self.shape[axis], step))
        self.change("Slice", ([first], [99], [axis], [step]), self.with_size(axis, kept))

    def flip(self):
        self.change("Slice", ([-1], [-99], [self.axis()], [-1]), self.shape)

    def gather(self):
        axis = self.axis()
        places = self.random.integers(0, self.shape[axis], self.random.integers(1, 6))
        self.change("Gather", (places,), self.with_size(axis, len(places)), axis=axis)

    def reshape(self):
        size = math.prod(self.shape)
        inner = int(self.random.choice([n for n in range(1, size + 1) if size % n == 0]))
        shape = [(1, size // inner, inner), (1, 1, size // inner, inner), (size // inner, inner)]
        shape = shape[self.random.integers(3)]
        self.change("Reshape", (shape,), shape)

    def transpose(self):
        order = self.random.permutation(len(self.shape)).tolist()
        self.change("Transpose", (), [self.shape[axis] for axis in order], perm=order)

    def tile(self):
        axis = self.axis()
        counts = [2 if place == axis else 1 for place in range(len(self.shape))]
        self.change("Tile", (counts,), self.with_size(axis, 2 * self.shape[axis]))

    def pad(self):
        before, after = (
            [0, 0, *self.random.integers(0, 3, len(self.shape) - 2).tolist()] for _ in range(2)
        )
        shape = map(sum, zip(before, self.shape, after, strict=True))
        self.change("Pad", (before + after,), shape)

    def concat(self):
        axis = int(self.random.integers(1, len(self.shape)))
        rest = self.with_size(axis, int(self.random.integers(1, 4)))
        constant = self.builder.constant(self.random.integers(-9, 9, rest).astype(np.float32))
        parts = [self.value, constant, self.value][: int(self.random.integers(2, 4))]
        self.value = self.builder.node("Concat", parts, axis=axis)
        sizes = [self.shape[axis], rest[axis], self.shape[axis]][: len(parts)]
        self.shape = self.with_size(axis, sum(sizes))

    def reflect(self):
        before, after = (
            [0, 0, *(int(self.random.integers(min(size, 3))) for size in self.shape[2:])]
            for _ in range(2)
        )
        shape = map(sum, zip(before, self.shape, after, strict=True))
        mode = str(self.random.choice(["reflect", "edge"]))
        self.change("Pad", (before + after,), shape, mode=mode)

    def enlarge(self):
        scales = [1, 1, *self.random.integers(1, 4, 2).tolist()]
        shape = [size * scale for size, scale in zip(self.shape, scales, strict=True)]
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        operands = (np.zeros(0, np.float32), np.array(scales, np.float32))
        self.change("Resize", operands, shape, **nearest)

    def depth_to_space(self):
        _, channels, height, width = self.shape
        mode = str(self.random.choice(["DCR", "CRD"]))
        shape = (1, channels // 4, 2 * height, 2 * width)
        self.change("DepthToSpace", (), shape, blocksize=2, mode=mode)

    def conv(self):
        filters, reach = int(self.random.integers(1, 5)), int(self.random.integers(1, 3))
        spatial = [size - 1 + reach for size in self.shape[2:]]
        weight = self.builder.weight((filters, self.shape[1], *[2] * len(spatial)), 0, 2.0**-9)
        pads = [1] * len(spatial) + [reach - 1] * len(spatial)
        self.value = self.builder.node("Conv", [self.value, weight], pads=pads)
        self.shape = (1, filters, *spatial)

    def pool(self):
        window = {"kernel_shape": [2] * (len(self.shape) - 2), "auto_pad": "SAME_UPPER"}
        self.change("MaxPool", (), self.shape, **window)

    def product(self):
        columns = int(self.random.integers(1, 6))
        weight = self.builder.weight((self.shape[-1], columns), 1, 2.0**-9)
        self.value = self.builder.node("MatMul", [self.value, weight])
        self.shape = self.with_size(len(self.shape) - 1, columns)


@pytest.mark.parametrize("seed", range(40))
def test_random_views_equal_onnxruntime(make_builder, agree, seed):
    print(f"seed {seed}")
    builder = make_builder(seed=seed)
    views = RandomViews(builder)
    for _ in range(STEPS):
        views.step()
    builder.output(builder.quantize(views.value, 2.0**-2))
    imported = agree(builder)
    if seed % 8 == 0:
        given = run_on_iss(compile_model(imported, PRESETS["nano"]), builder.feeds)
        for name, expected in run_on_reference(imported, builder.feeds).items():
            np.testing.assert_array_equal(given[name], expected)
