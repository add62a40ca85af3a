"""Depthwise layers on their unit, together with the convolutions before and behind them."""

import numpy as np
import pytest
from random_graphs import GraphMaker, assert_matches_reference

from tilewright.compiler.compile import compile_graph
from tilewright.compiler.options import Options
from tilewright.hw.spec.config import PRESETS, Config

CRAMPED = Config(
    name="cramped", rows=4, cols=4, activation_kib=1, activation_banks=4, weight_kib=1,
    accumulator_kib=1, accumulator_banks=4, parameter_kib=2, lanes=2, operand_lanes=1,
    axi_data_bits=64,
)  # fmt: skip
"""256 activation words: the maps below do not fit and go through DRAM, tile by tile."""
CONFIGS = [
    CRAMPED,
    CRAMPED.replace(name="one-tap", depthwise_taps=1, activation_kib=2),
    CRAMPED.replace(name="two-banks", accumulator_banks=2, activation_banks=2),
    CRAMPED.replace(name="one", rows=1, cols=1, lanes=1, activation_kib=2),
    CRAMPED.replace(name="wide", rows=4, cols=10, lanes=2, accumulator_kib=4),
    CRAMPED.replace(name="odd", rows=3, cols=5, lanes=1, activation_kib=2),
    PRESETS["base"].replace(name="skew", rows=12, cols=20, lanes=4, operand_lanes=2),
    PRESETS["nano"],
    PRESETS["base"],
]  # fmt: skip


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def config(request):
    return request.param


DEPTHWISE = {
    "3x3": {"kernel": (3, 3), "pads": (1, 1, 1, 1)},
    "valid": {"kernel": (3, 3)},
    "stride 2": {"kernel": (3, 3), "pads": (0, 0, 1, 1), "strides": (2, 2)},
    "stride 3": {"kernel": (2, 3), "pads": (1, 2, 0, 1), "strides": (1, 3)},
    "5x5": {"kernel": (5, 5), "pads": (2, 2, 2, 2)},
    "7x4": {"kernel": (7, 4), "pads": (3, 1, 3, 2), "strides": (2, 1)},
    "row": {"kernel": (1, 3), "pads": (0, 1, 0, 1)},
    "pointwise": {"kernel": (1, 1)},
    "dilated": {"kernel": (3, 3), "pads": (2, 2, 2, 2), "dilations": (2, 2)},
    "table": {"kernel": (3, 3), "pads": (1, 1, 1, 1), "table": True},
}


def depthwise(maker, source, **options):
    channels = maker.shape(source)[0]
    return maker.conv(source, channels, groups=channels, **options)


def uses_unit(program):
    return any(i.name == "DEPTHWISE" for i in program.instructions)


@pytest.mark.parametrize("name", DEPTHWISE)
def test_chain_equals_the_reference(name, config):
    maker = GraphMaker(len(name), (5, 17, 11))
    expanded = maker.conv(maker.input, 14)
    filtered = depthwise(maker, expanded, **DEPTHWISE[name])
    program = assert_matches_reference(maker.graph(maker.conv(filtered, 6)), config)
    kernel, strides = DEPTHWISE[name]["kernel"], DEPTHWISE[name].get("strides", (1, 1))
    assert uses_unit(program) == (config.depthwise_taps == 3 or strides[1] <= 2 or kernel[1] < 3)


@pytest.mark.parametrize("name", DEPTHWISE)
def test_lone_depthwise_layer_equals_the_reference(name, config):
    maker = GraphMaker(len(name), (9, 17, 11))
    assert_matches_reference(maker.graph(depthwise(maker, maker.input, **DEPTHWISE[name])), config)


@pytest.mark.parametrize("unrounded", [False, True])
def test_residuals_of_every_layer_of_a_chain(config, unrounded):
    maker = GraphMaker(29, (7, 13, 12))
    expanded = maker.conv(maker.input, 7, residual=maker.input, unrounded=unrounded)
    same = {"kernel": (3, 3), "pads": (1, 1, 1, 1), "unrounded": unrounded}
    filtered = depthwise(maker, expanded, **same, residual=maker.input)
    projected = maker.conv(filtered, 7, residual=expanded, unrounded=unrounded)
    again = depthwise(maker, projected, **same, residual=projected, kind="multiply")
    assert_matches_reference(maker.graph(maker.conv(again, 9), filtered), config)


@pytest.mark.parametrize("shape", [(3, 1, 1), (40, 1, 1), (2, 1, 37), (2, 37, 1), (33, 6, 5)])
def test_chains_of_extreme_shapes(shape, config):
    maker = GraphMaker(31, shape)
    name = maker.input
    for filters in (shape[0], 2 * shape[0]):
        expanded = maker.conv(name, filters)
        name = maker.conv(depthwise(maker, expanded, kernel=(3, 3), pads=(1, 1, 1, 1)), 5)
    assert_matches_reference(maker.graph(name), config)


@pytest.mark.parametrize("seed", range(8))
def test_random_chains_equal_the_reference(seed):
    random = np.random.default_rng(seed)
    maker = GraphMaker(seed, (int(random.integers(1, 20)), 14, 13))
    name = maker.input
    for _ in range(3):
        expanded = maker.conv(name, int(random.integers(1, 40)))
        size = int(random.integers(1, 4))
        pads = tuple(random.integers(0, size + 1, 4).tolist())
        strides = tuple(random.integers(1, 3, 2).tolist())
        filtered = depthwise(maker, expanded, kernel=(size, size), pads=pads, strides=strides)
        projected = maker.conv(filtered, maker.shape(name)[0])
        same = maker.shape(projected) == maker.shape(name)
        name = maker.elementwise("add", projected, name) if same else projected
    for config in (CONFIGS[0], CONFIGS[4], CONFIGS[6]):
        assert_matches_reference(maker.graph(name), config, seed)


@pytest.mark.parametrize(
    ("options", "has_unit"),
    [
        (Options(interleave=False), True),
        (Options(depthwise_unit=False), False),
        (Options(residency=False), True),
    ],
)
def test_each_optimization_can_be_switched_off(options, has_unit, config):
    maker = GraphMaker(37, (6, 11, 10))
    expanded = maker.conv(maker.input, 13)
    filtered = depthwise(maker, expanded, kernel=(3, 3), pads=(1, 1, 1, 1))
    graph = maker.graph(maker.conv(filtered, 6))
    program = assert_matches_reference(graph, config, options=options)
    assert uses_unit(program) == has_unit


def test_config_without_the_unit_uses_the_array():
    maker = GraphMaker(41, (6, 11, 10))
    graph = maker.graph(depthwise(maker, maker.input, kernel=(3, 3)))
    config = CRAMPED.replace(depthwise_taps=0)
    assert not uses_unit(assert_matches_reference(graph, config))


def test_chained_layers_alternate():
    maker = GraphMaker(43, (16, 28, 28))
    expanded = maker.conv(maker.input, 96)
    filtered = depthwise(maker, expanded, kernel=(3, 3), pads=(1, 1, 1, 1))
    graph = maker.graph(maker.conv(filtered, 16))
    config = PRESETS["base"]

    def overlap(options):
        program = compile_graph(graph, config, options)
        order = [i.name for i in program.instructions]
        first, last = order.index("DEPTHWISE"), len(order) - order[::-1].index("DEPTHWISE")
        return order[first:last].count("MATRIX") / order.count("MATRIX")

    assert overlap(Options()) > 0.5
    assert overlap(Options()) > overlap(Options(interleave=False))
