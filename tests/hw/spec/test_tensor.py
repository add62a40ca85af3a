"""Tensors between host and accelerator: gathers, layouts in DRAM, and their round trips."""

import json

import numpy as np
import pytest

from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.layout import pack_map
from tilewright.hw.spec.tensor import Gather, MapLayout, Tensor


@pytest.mark.parametrize(
    "index",
    [
        np.arange(24).reshape(2, 3, 4),
        np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(60).reshape(3, 4, 5)[:, ::2, 1:4],
        np.arange(12)[::-1],
        np.full((2, 2), 7),
        np.array([5]),
        np.zeros((0, 3), np.int64),
    ],
    ids=["whole", "transposed", "slice", "reversed", "repeated", "single", "empty"],
)
def test_affine_index_is_loops_and_takes_what_it_names(index):
    values = np.random.default_rng(1).integers(-128, 128, 60).astype(np.int8)
    gather = Gather.of(index)
    assert gather.table is None
    np.testing.assert_array_equal(gather.take(values.reshape(6, 10)), values[index])


def test_other_index_is_a_table():
    index = np.random.default_rng(2).permutation(30).reshape(5, 6)
    gather = Gather.of(index)
    assert gather.table is not None
    values = np.arange(30, dtype=np.uint8)
    np.testing.assert_array_equal(gather.take(values), values[index])


@pytest.mark.parametrize("seed", range(20))
def test_random_views_are_taken_right(seed):
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(1, 6, random.integers(1, 5)))
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    index = whole.transpose(random.permutation(len(shape)))
    index = index[tuple(slice(None, None, int(step)) for step in random.integers(1, 3, len(shape)))]
    values = random.integers(-128, 128, whole.size).astype(np.int8)
    np.testing.assert_array_equal(Gather.of(index).take(values), values[index])


@pytest.mark.parametrize("preset", ["nano", "base"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 4), (16, 2, 2), (17, 1, 9), (40, 3, 1)])
def test_layout_writes_the_words_that_pack_map_writes(preset, shape):
    config = PRESETS[preset]
    values = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
    layout = MapLayout.of(64, shape, config)
    memory = np.zeros(64 + layout.size_bytes + 64, np.uint8)
    layout.write(memory, values)
    assert memory[64:-64].tobytes() == pack_map(values, config)
    assert not memory[:64].any()
    assert not memory[-64:].any()
    np.testing.assert_array_equal(layout.read(memory), values)


def test_unsigned_tensor_is_stored_less_128_and_survives_json():
    values = np.arange(30, dtype=np.uint8).reshape(1, 5, 3, 2) * 8
    index = np.arange(30).reshape(5, 3, 2)
    tensor = Tensor(
        name="x", dtype="uint8", shape=(1, 5, 3, 2), scale=0.5, zero_point=-3, map="x",
        map_shape=(5, 3, 2), gather=Gather.of(index),
        layout=MapLayout.of(0, (5, 3, 2), PRESETS["nano"]),
    )  # fmt: skip
    again = Tensor.from_dict(json.loads(json.dumps(tensor.as_dict())))
    assert again == tensor
    memory = np.zeros(tensor.layout.size_bytes, np.uint8)
    again.write(memory, values)
    np.testing.assert_array_equal(tensor.layout.read(memory), values[0].astype(np.int16) - 128)
    back = Gather.of(index.reshape(1, 5, 3, 2))
    output = Tensor.from_dict({**tensor.as_dict(), "gather": {**vars(back)}})
    np.testing.assert_array_equal(output.read(memory), values)
