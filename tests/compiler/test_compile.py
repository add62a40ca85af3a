"""Compiled programs give what the reference gives, on every shape of array and size of memory."""

import numpy as np
import pytest
from random_graphs import GraphMaker, assert_matches_reference

from tilewright.compiler.compile import compile_graph
from tilewright.compiler.options import Options
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.operations.vector import Vector
from tilewright.support.errors import ModelError

CRAMPED = Config(
    name="cramped", rows=4, cols=4, activation_kib=1, activation_banks=2, weight_kib=1,
    accumulator_kib=1, accumulator_banks=2, parameter_kib=1, lanes=2, operand_lanes=1,
    axi_data_bits=64,
)  # fmt: skip
"""256 activation words, 256 weight words, 64 accumulator words."""
CONFIGS = [
    CRAMPED,
    CRAMPED.replace(name="one", rows=1, cols=1, lanes=1),
    CRAMPED.replace(name="odd", rows=3, cols=5, lanes=1, activation_banks=1),
    CRAMPED.replace(name="tall", rows=12, cols=4, lanes=4, operand_lanes=2, activation_kib=4,
                    weight_kib=4),
    CRAMPED.replace(name="wide", rows=4, cols=10, lanes=2, accumulator_kib=4),
    PRESETS["base"].replace(name="skew", rows=12, cols=20, lanes=4, operand_lanes=2),
    PRESETS["base"],
]  # fmt: skip


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def config(request):
    return request.param


CONVOLUTIONS = {
    "pointwise": ((9, 7, 6), {"filters": 13}),
    "vector": ((70, 1, 1), {"filters": 33}),
    "one channel, one filter": ((1, 5, 5), {"filters": 1, "kernel": (3, 3)}),
    "same": ((6, 9, 8), {"filters": 11, "kernel": (3, 3), "pads": (1, 1, 1, 1)}),
    "strided": (
        (5, 11, 10), {"filters": 6, "kernel": (3, 2), "strides": (2, 3), "pads": (1, 0, 2, 1)}
    ),
    "dilated": (
        (4, 12, 12), {"filters": 4, "kernel": (3, 3), "dilations": (2, 3), "pads": (2, 3, 2, 3)}
    ),
    "more padding than map": ((3, 2, 2), {"filters": 5, "kernel": (5, 5), "pads": (4, 4, 4, 4)}),
    "kernel as large as the map": ((10, 6, 5), {"filters": 7, "kernel": (6, 5)}),
    "depthwise": (
        (14, 8, 8), {"filters": 14, "kernel": (3, 3), "pads": (1, 1, 1, 1), "groups": 14}
    ),
    "depthwise with multiplier": ((6, 5, 5), {"filters": 12, "kernel": (3, 3), "groups": 6}),
    "grouped": ((12, 6, 6), {"filters": 18, "kernel": (3, 3), "groups": 3, "pads": (1, 1, 1, 1)}),
    "wide row": ((2, 1, 150), {"filters": 3, "kernel": (1, 9), "strides": (1, 2)}),
    "long reduction": ((150, 2, 2), {"filters": 4, "kernel": (2, 2)}),
    "table": ((7, 5, 5), {"filters": 9, "kernel": (1, 1), "table": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_equals_the_reference(name, config):
    shape, options = CONVOLUTIONS[name]
    maker = GraphMaker(len(name), shape)
    assert_matches_reference(maker.graph(maker.conv(maker.input, **options)), config)


@pytest.mark.parametrize("kind", ["add", "multiply"])
@pytest.mark.parametrize("unrounded", [False, True])
def test_residual_block_equals_the_reference(kind, unrounded, config):
    maker = GraphMaker(3, (10, 8, 7))
    first = maker.conv(maker.input, 10, (3, 3), pads=(1, 1, 1, 1))
    second = maker.conv(
        first, 10, (3, 3), pads=(1, 1, 1, 1), residual=maker.input, kind=kind, unrounded=unrounded
    )
    third = maker.conv(second, 10, residual=first, kind=kind, table=True)
    program = assert_matches_reference(maker.graph(third), config)
    vectors = [i for i in program.instructions if isinstance(i, Vector)]
    assert any(i.unrounded for i in vectors) == unrounded


POOLS = {
    "max": ("max", (3, 3), (2, 2), (1, 1, 1, 1), {}),
    "average": ("average", (2, 3), (1, 2), (0, 1, 1, 1), {}),
    "average with padding counted": (
        "average", (3, 3), (2, 2), (1, 1, 1, 1), {"count_include_pad": True}
    ),
    "global": ("average", (9, 7), (1, 1), (0, 0, 0, 0), {"is_global": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_pool_equals_the_reference(name, config):
    kind, kernel, strides, pads, options = POOLS[name]
    maker = GraphMaker(7, (9, 9, 7))
    assert_matches_reference(
        maker.graph(maker.pool(maker.input, kind, kernel, strides, pads, **options)), config
    )


def test_elementwise_unary_pad_and_view_equal_the_reference(config):
    maker = GraphMaker(11, (9, 6, 5))
    left = maker.requantize(maker.input, table=True)
    total = maker.elementwise("add", maker.input, left)
    product = maker.elementwise("multiply", total, maker.input)
    padded = maker.pad(product, (1, 2, 0, 1), -7)
    flat = maker.view(padded, 1, 56)
    assert_matches_reference(maker.graph(maker.conv(flat, 6), total), config)


RESAMPLINGS = {
    "twice": ((10, 5, 6), np.arange(10) // 2, np.arange(12) // 2, (1, 1)),
    "by 1.5": ((5, 4, 6), np.arange(6) * 2 // 3, np.arange(9) * 2 // 3, (1, 1)),
    "reflected": ((9, 4, 5), [2, 1, 0, 1, 2, 3, 2], [1, 0, 1, 2, 3, 4, 3, 2], (1, 1)),
    "chosen": ((6, 5, 40), [4, 0], [0, 39, 3, 1], (1, 1)),
    "phases that begin inside of words": ((20, 3, 4), np.arange(6) // 2, np.arange(8) // 2, (2, 2)),
    "phases of rows": ((9, 2, 3), np.arange(6) // 3, np.arange(3), (3, 1)),
    "phases of tall columns": ((2, 9, 2), np.arange(9), np.arange(4) // 2, (1, 2)),
}


@pytest.mark.parametrize("name", RESAMPLINGS)
def test_resampling_equals_the_reference(name, config):
    shape, rows, columns, phases = RESAMPLINGS[name]
    maker = GraphMaker(13, shape)
    made = maker.conv(maker.input, shape[0])
    again = maker.resample(maker.requantize(made, table=True), rows, columns, phases)
    graph = maker.graph(maker.conv(maker.resample(made, rows, columns, phases), 5), again)
    assert_matches_reference(graph, config)


def test_concat_branches_equal_the_reference(config):
    maker = GraphMaker(13, (5, 6, 6))
    left = maker.conv(maker.input, 7)
    right = maker.conv(maker.input, 6, (3, 3), pads=(1, 1, 1, 1))
    joined = maker.concat(left, right, maker.input)
    pooled = maker.pool(joined, "max", (2, 2), (2, 2))
    again = maker.concat(maker.conv(joined, 5, (2, 2), strides=(2, 2)), pooled)
    assert_matches_reference(maker.graph(maker.conv(again, 8), again, joined), config)


@pytest.mark.parametrize("axis", [1, 2])
def test_joined_rows_or_columns_equal_the_reference(axis, config):
    """Parts made in place by every engine; copied: the input, an output, what is joined twice."""
    maker = GraphMaker(53, (9, 4, 5))
    made = maker.conv(maker.input, 9, (3, 3), pads=(1, 1, 1, 1))
    small = maker.pool(made, "max", (2, 1) if axis == 1 else (1, 2))
    own = maker.conv(made, 9, (3, 3), pads=(1, 1, 1, 1), groups=9)
    joined = maker.concat(made, small, own, maker.input, axis=axis)
    again = maker.concat(made, joined, axis=axis)
    wide = maker.concat(small, small, axis=3 - axis)
    assert_matches_reference(maker.graph(maker.conv(again, 3, (2, 2)), made, wide), config)


@pytest.mark.parametrize("is_output", [True, False])
def test_joined_tokens_equal_the_reference(is_output, config):
    """Views are parts: rows of a map lie side by side in one row of tokens."""
    maker = GraphMaker(59, (6, 4, 4))
    made = maker.conv(maker.input, 11, (2, 2), pads=(1, 1, 0, 0))
    tokens = maker.view(made, 1, 16)
    joined = maker.concat(tokens, maker.pool(made, "max", (4, 4)), tokens, axis=2)
    outputs = [maker.conv(joined, 7), maker.conv(made, 5, (3, 3)), *[made][:is_output]]
    assert_matches_reference(maker.graph(*outputs), config)


def test_output_that_is_also_read_and_input_that_is_an_output(config):
    maker = GraphMaker(17, (6, 4, 4))
    first = maker.conv(maker.input, 6)
    second = maker.elementwise("add", first, maker.input)
    assert_matches_reference(maker.graph(first, second, maker.input), config)


def test_slopes_of_every_channel_equal_the_reference(config):
    maker = GraphMaker(43, (5, 9, 7))
    wide = maker.conv(maker.input, 18, (3, 3), pads=(1, 1, 1, 1), slopes=True)
    own = maker.conv(wide, 18, (3, 3), pads=(1, 1, 1, 1), groups=18, slopes=True)
    back = maker.conv(own, 18, slopes=True, residual=wide, table=True)
    program = assert_matches_reference(maker.graph(maker.conv(back, 7)), config)
    vectors = [i for i in program.instructions if isinstance(i, Vector)]
    assert {i.negative_scales for i in vectors} == {0, 1}


def test_functions_in_pieces_equal_the_reference(config):
    maker = GraphMaker(47, (5, 9, 7))
    wide = maker.conv(maker.input, 18, (3, 3), pads=(1, 1, 1, 1), pieces=3)
    own = maker.conv(wide, 18, (3, 3), pads=(1, 1, 1, 1), groups=18, pieces=2)
    assert_matches_reference(maker.graph(maker.conv(own, 7)), config)


@pytest.mark.parametrize("seed", range(6))
def test_random_network_equals_the_reference(seed):
    maker = GraphMaker(seed, (int(1 + 5 * seed % 17), 9, 8))
    names = [maker.input]
    for _ in range(8):
        source = names[int(maker.random.integers(len(names)))]
        channels = maker.shape(source)[0]
        same = [n for n in names if maker.shape(n) == maker.shape(source)]
        other = same[int(maker.random.integers(len(same)))]
        match int(maker.random.integers(7)):
            case 0:
                new = maker.conv(source, int(maker.random.integers(1, 24)))
            case 1:
                pads, unrounded = (1, 1, 1, 1), bool(len(names) % 2)
                new = maker.conv(
                    source, channels, (3, 3), pads=pads, residual=other, unrounded=unrounded
                )
            case 2:
                new = maker.conv(source, channels, (3, 3), pads=(1, 1, 1, 1), groups=channels)
            case 3:
                new = maker.elementwise("add", source, other)
            case 4:
                new = maker.concat(source, other, axis=int(maker.random.integers(3)))
            case 5:
                new = maker.pool(source, "max", (3, 3), (1, 1), (1, 1, 1, 1))
            case _:
                new = maker.requantize(source, table=True)
        names.append(new)
    graph = maker.graph(names[-1], names[len(names) // 2])
    for config in (CONFIGS[3], CONFIGS[5], PRESETS["nano"]):
        assert_matches_reference(graph, config, seed)


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads"),
    [
        ((3, 21, 20), (7, 7), (2, 2), (3, 3, 3, 3)),
        ((1, 12, 12), (5, 5), (1, 1), (2, 2, 2, 2)),
        ((2, 9, 17), (4, 3), (3, 2), (0, 1, 2, 0)),
        ((1, 1, 40), (1, 9), (1, 4), (0, 0, 0, 8)),
    ],
)
def test_folded_stem_equals_the_reference(shape, kernel, strides, pads, config):
    maker = GraphMaker(23, shape)
    first = maker.conv(maker.input, 10, kernel, strides=strides, pads=pads)
    program = assert_matches_reference(maker.graph(maker.conv(first, 5)), config)
    if config.rows >= 4:
        assert program.sections[0].inputs[0].fold is not None
    filters, height, width = maker.shape(first)
    taps = shape[0] * kernel[0] * kernel[1]
    assert program.layers[0].macs == filters * height * width * taps


def test_unfolded_stem_equals_the_reference(config):
    maker = GraphMaker(23, (3, 13, 12))
    graph = maker.graph(maker.conv(maker.input, 10, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1)))
    program = assert_matches_reference(graph, config, options=Options(fold_stem=False))
    assert program.sections[0].inputs[0].fold is None


def test_the_same_graph_gives_the_same_bytes():
    def compiled():
        maker = GraphMaker(5, (8, 8, 8))
        joined = maker.concat(maker.conv(maker.input, 8), maker.conv(maker.input, 4))
        return compile_graph(maker.graph(maker.conv(joined, 12, (3, 3))), PRESETS["nano"])

    assert compiled().to_bytes() == compiled().to_bytes()


@pytest.mark.parametrize("kind", ["pool", "conv"])
def test_layer_that_fits_no_tiling_is_named_with_the_way_out(kind):
    maker = GraphMaker(1, (4, 40, 40))
    if kind == "pool":
        name = maker.pool(maker.input, "max", (40, 40))
    else:
        name = maker.conv(maker.input, 1, (33, 33))
    graph = maker.graph(name)
    with pytest.raises(DoesNotFitError, match=f"^{graph.nodes[0].name}: .* raise activation_kib"):
        compile_graph(graph, CRAMPED)


def test_accumulator_overflow_is_refused():
    maker = GraphMaker(1, (3, 1, 1))
    name = maker.conv(maker.input, 2)
    maker.nodes[-1].bias[1] = 2**31 - 1
    with pytest.raises(ModelError, match="output channel 1 reaches"):
        compile_graph(maker.graph(name), CRAMPED)
