"""Tensors in DRAM: named axes, and where their elements lie."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.tensor import MAP_AXES, Layout, Quantization, Tensor

CONFIGS = {
    "3x5": Config(rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=8, weight_kib=2,
                  accumulator_kib=4),
    "12x20": Config(rows=12, cols=20, lanes=4, operand_lanes=2),
    "nano": PRESETS["nano"],
    "base": PRESETS["base"],
}  # fmt: skip


def placed(shape, address, config, axes=MAP_AXES):
    quantization = Quantization(scale=0.5, zero_point=-3)
    tensor = Tensor(name="x", axes=axes, shape=shape, quantization=quantization)
    pitch = config.activation_pitch
    return replace(tensor, layout=tensor.layout_at(address, block=config.rows, pitch=pitch))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 2), (16, 2, 2), (17, 1, 9), (40, 3, 1)])
def test_map_bytes_lie_where_documented(config, shape):
    channels, height, width = shape
    values = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
    tensor = placed(shape, 64, config)
    pitch, blocks = config.activation_pitch, -(-channels // config.rows)
    assert tensor.size_bytes == blocks * height * width * pitch
    memory = np.zeros(64 + tensor.size_bytes + 64, np.uint8)
    tensor.write(memory, values)
    expected = np.zeros_like(memory)
    for channel, y, x in np.ndindex(shape):
        word = (channel // config.rows * height + y) * width + x
        byte = 64 + word * pitch + channel % config.rows
        expected[byte] = int(values[channel, y, x]) & 0xFF
    np.testing.assert_array_equal(memory, expected)
    np.testing.assert_array_equal(tensor.read(memory), values)


def test_lanes_without_a_channel_are_written_as_zero():
    config = PRESETS["nano"]
    tensor = placed((config.rows + 1, 2, 2), 0, config)
    memory = np.full(tensor.size_bytes, 0xA5, np.uint8)
    tensor.write(memory, np.ones((config.rows + 1, 2, 2), np.int8))
    words = memory.reshape(-1, config.activation_pitch)[:, : config.rows]
    assert words[4:].tolist() == [[1] + [0] * (config.rows - 1)] * 4


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        (("tokens", "channels"), (7, 9)),
        (("heads", "tokens", "features"), (3, 5, 6)),
        (("batch", "channels", "height", "width"), (2, 5, 3, 4)),
        (("channels",), (11,)),
    ],
    ids=lambda item: "x".join(map(str, item)),
)
def test_axes_of_any_number_and_order_keep_the_elements_of_the_word_axis_together(axes, shape):
    config = PRESETS["nano"]
    values = np.random.default_rng(4).integers(-128, 128, shape).astype(np.int8)
    tensor = placed(shape, 64, config, axes)
    memory = np.zeros(64 + tensor.size_bytes, np.uint8)
    tensor.write(memory, values)
    (word_axis,) = (axis for axis, name in enumerate(axes) if name in ("channels", "features"))
    expected = np.zeros_like(memory)
    others = [size for axis, size in enumerate(shape) if axis != word_axis]
    for index in np.ndindex(shape):
        pixel = 0
        for axis, position in enumerate(index):
            pixel = pixel if axis == word_axis else pixel * shape[axis] + position
        word = index[word_axis] // config.rows * int(np.prod(others)) + pixel
        byte = 64 + word * config.activation_pitch + index[word_axis] % config.rows
        expected[byte] = int(values[index]) & 0xFF
    np.testing.assert_array_equal(memory, expected)
    np.testing.assert_array_equal(tensor.read(memory), values)
    assert [tensor.size_of(axis) for axis in axes] == list(shape)


def test_layout_with_gaps_between_heads_is_written_and_read_in_place():
    """Heads from a block on each, as attention reads them; what lies between is left alone."""
    shape = (2, 3, 6)
    layout = Layout(base=8, strides=(80, 8, 32), word_axis=2, block=4)
    tensor = Tensor(
        name="q", axes=("heads", "tokens", "features"), shape=shape,
        quantization=Quantization(scale=0.5, zero_point=0), layout=layout,
    )  # fmt: skip
    values = np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)
    memory = np.full(8 + 160, 0xA5, np.uint8)
    tensor.write(memory, values)
    expected = np.full_like(memory, 0xA5)
    for head, token, feature in np.ndindex(2, 3, 8):
        byte = 8 + 80 * head + 8 * token + 32 * (feature // 4) + feature % 4
        expected[byte] = int(values[head, token, feature]) & 0xFF if feature < 6 else 0
        assert layout.word(head, token, feature // 4) == byte - feature % 4
    np.testing.assert_array_equal(memory, expected)
    np.testing.assert_array_equal(tensor.read(memory), values)


def test_tensor_survives_json():
    tensor = placed((2, 3, 6), 4096, PRESETS["edge"], ("heads", "tokens", "features"))
    assert Tensor.from_dict(json.loads(json.dumps(tensor.as_dict()))) == tensor


def test_layout_whose_strides_do_not_nest_covers_its_last_word():
    quantization = Quantization(scale=1.0, zero_point=0)
    layout = Layout(base=0, strides=(24, 16, 12), word_axis=0, block=4)
    tensor = Tensor(name="x", shape=(8, 2, 2), quantization=quantization, layout=layout)
    memory = np.zeros(64, np.uint8)
    tensor.write(memory, np.ones((8, 2, 2), np.int8))
    assert tensor.size_bytes == np.flatnonzero(memory)[-1] + 1 == 56
