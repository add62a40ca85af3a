"""Tensors of the model in feature maps: gathers, and their way into DRAM and back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tilewright.hw.spec.binding import Binding, Gather
from tilewright.hw.spec.tensor import Quantization, Tensor


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


@pytest.mark.parametrize("index", [np.arange(12), np.arange(12)[::-1], np.arange(0, 24, 2)])
def test_a_gather_reads_nothing_outside_of_the_array(index):
    gather = Gather.of(index)
    with pytest.raises(AssertionError):
        gather.take(np.zeros(11, np.int8))


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
    gather = Gather.of(index)
    np.testing.assert_array_equal(gather.take(values), values[index])
    back = np.zeros_like(values)
    gather.put(back, values[index])
    assert set(np.flatnonzero(back != values)) <= set(range(whole.size)) - set(index.reshape(-1))
    np.testing.assert_array_equal(back[index], values[index])


def test_unsigned_tensor_is_stored_less_128_and_survives_json():
    values = np.arange(30, dtype=np.uint8).reshape(1, 5, 3, 2) * 8
    index = np.arange(30).reshape(5, 3, 2)
    quantization = Quantization(scale=0.5, zero_point=-3)
    stored = Tensor(name="x", shape=(5, 3, 2), quantization=quantization)
    placed = replace(stored, layout=stored.layout_at(64, block=4, pitch=4))
    binding = Binding.of("x", placed, index, is_unsigned=True)
    again = Binding.from_dict(json.loads(json.dumps(binding.as_dict())))
    assert again == binding
    memory = np.zeros(64 + placed.size_bytes, np.uint8)
    again.write(memory, values)
    np.testing.assert_array_equal(placed.read(memory), values[0].astype(np.int16) - 128)
    output = Binding.of("y", placed, index.reshape(1, 5, 3, 2), is_unsigned=True)
    np.testing.assert_array_equal(output.read(memory), values)


@pytest.mark.parametrize("is_unsigned", [False, True])
def test_a_tensor_of_no_axes_is_an_array(is_unsigned):
    stored = Tensor(name="map", shape=(2, 1, 1), quantization=Quantization(scale=1.0, zero_point=0))
    binding = Binding.of("x", stored, np.array(1), is_unsigned=is_unsigned)
    values = binding.from_map(np.array([3, -4], np.int8).reshape(2, 1, 1))
    assert isinstance(values, np.ndarray)
    assert values.shape == ()
    assert values == (124 if is_unsigned else -4)
