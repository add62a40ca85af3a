"""Sums of products against direct sums in int64, whatever the blocks."""

import numpy as np
import pytest

from tilewright.compiler.graph import products
from tilewright.compiler.graph.graph import Conv, Epilogue
from tilewright.hw.spec.tensor import Quantization

ZERO_POINT = -11


def make_conv(random, *, channels, filters, groups, kernel, largest=127, **options):
    shape = (filters, channels // groups, *kernel)
    return Conv(
        name="conv",
        output="y",
        input="x",
        weight=random.integers(-largest - 1, largest + 1, shape).astype(np.int8),
        bias=random.integers(-(2**20), 2**20, filters).astype(np.int32),
        weight_scale=np.ones(filters, np.float32),
        groups=groups,
        epilogue=Epilogue(quantization=Quantization(scale=1.0, zero_point=0)),
        **options,
    )


def direct_sums(node, padded, shape):
    """Return fl(bias + sum of (x - zero point) * w), from sums in int64."""
    data = padded.astype(np.int64) - ZERO_POINT
    result = np.zeros(shape, np.int64) + node.bias.reshape(-1, *(1,) * (len(shape) - 1))
    filters, channels = len(node.weight) // node.groups, node.weight.shape[1]
    for f, c, ky, kx in np.ndindex(*node.weight.shape):
        rows = [ky * node.dilations[0] + y * node.strides[0] for y in range(shape[1])]
        columns = [kx * node.dilations[1] + x * node.strides[1] for x in range(shape[2])]
        source = data[f // filters * channels + c][np.ix_(rows, columns)]
        result[f] += source * int(node.weight[f, c, ky, kx])
    return result.astype(np.float32)


def all_sums(node, padded, shape):
    result = np.full(shape, np.nan, np.float32)
    for place, sums in products.Products(node=node, zero_point=ZERO_POINT).blocks(padded, shape):
        assert np.isnan(result[place]).all()
        result[place] = sums
    return result


@pytest.mark.parametrize("block", [1, 100, 2000, products.BLOCK])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("samples", [(), (3,)])
def test_blocks_cover_the_output_once_with_direct_sums(monkeypatch, block, groups, samples):
    monkeypatch.setattr(products, "BLOCK", block)
    random = np.random.default_rng(block + groups)
    options = {"strides": (2, 1), "dilations": (1, 2)}
    node = make_conv(random, channels=6, filters=12, groups=groups, kernel=(3, 2), **options)
    padded = random.integers(-128, 128, (6, 11, 8, *samples)).astype(np.int8)
    shape = (12, 5, 6, *samples)
    np.testing.assert_array_equal(all_sums(node, padded, shape), direct_sums(node, padded, shape))


@pytest.mark.parametrize("channels", [1031, 1032, 1400])
def test_sums_around_two_to_the_24_are_rounded_once(channels):
    random = np.random.default_rng(channels)
    node = make_conv(random, channels=channels, filters=3, groups=1, kernel=(1, 1))
    node.weight[:] = np.int8(127)
    node.weight[:, 0] = np.array([[[1]], [[2]], [[3]]])
    padded = random.integers(120, 128, (channels, 2, 2)).astype(np.int8)
    shape = (3, 2, 2)
    np.testing.assert_array_equal(all_sums(node, padded, shape), direct_sums(node, padded, shape))


def test_the_sum_with_the_bias_wraps_at_int32():
    random = np.random.default_rng(4)
    node = make_conv(random, channels=2, filters=1, groups=1, kernel=(1, 1))
    node.weight[:] = np.int8(100)
    node.bias[:] = np.int32(2**31 - 1)
    sums = all_sums(node, np.full((2, 1, 1), 100, np.int8), (1, 1, 1))
    total = 2 * 100 * (100 - ZERO_POINT) + 2**31 - 1
    assert sums.item() == np.float32(total - 2**32)
