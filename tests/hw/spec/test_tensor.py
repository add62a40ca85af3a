"""Tensors between host and accelerator: gathers, layouts in DRAM, and their round trips."""

import json

import numpy as np
import pytest

from tilewright.hw.spec.config import PRESETS, Config
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
    np.testing.assert_array_equal(Gather.of(index).take(values), values[index])


CONFIGS = {
    "3x5": Config(rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=8, weight_kib=2,
                  accumulator_kib=4),
    "12x20": Config(rows=12, cols=20, lanes=4, operand_lanes=2),
    "nano": PRESETS["nano"],
    "base": PRESETS["base"],
}  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 2), (16, 2, 2), (17, 1, 9), (40, 3, 1)])
def test_map_bytes_lie_where_documented(config, shape):
    channels, height, width = shape
    values = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
    layout = MapLayout.of(64, shape, config)
    pitch, blocks = config.activation_pitch, -(-channels // config.rows)
    assert layout.size_bytes == blocks * height * width * pitch
    memory = np.zeros(64 + layout.size_bytes + 64, np.uint8)
    layout.write(memory, values)
    expected = np.zeros_like(memory)
    for channel, y, x in np.ndindex(shape):
        word = (channel // config.rows * height + y) * width + x
        byte = 64 + word * pitch + channel % config.rows
        expected[byte] = int(values[channel, y, x]) & 0xFF
    np.testing.assert_array_equal(memory, expected)
    np.testing.assert_array_equal(layout.read(memory), values)


def test_lanes_without_a_channel_are_written_as_zero():
    config = PRESETS["nano"]
    layout = MapLayout.of(0, (config.rows + 1, 2, 2), config)
    memory = np.full(layout.size_bytes, 0xA5, np.uint8)
    layout.write(memory, np.ones((config.rows + 1, 2, 2), np.int8))
    words = memory.reshape(-1, config.activation_pitch)[:, : config.rows]
    assert words[4:].tolist() == [[1] + [0] * (config.rows - 1)] * 4


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
