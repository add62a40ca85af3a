"""Layers that run together: what they read of each other, and what does not fit together."""

import pytest
from random_graphs import GraphMaker, assert_matches_reference

from tilewright.compiler.compile import compile_graph
from tilewright.compiler.emit.context import Constants, Context
from tilewright.compiler.emit.interleave import run_chain
from tilewright.compiler.emit.lowering import Lowering, Need, Step
from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.options import Options
from tilewright.compiler.plan.boxes import Box
from tilewright.compiler.plan.placement import layers_of, place
from tilewright.compiler.plan.places import find_places
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine, Target
from tilewright.support.errors import ModelError

SMALL = Config(
    name="small", rows=4, cols=4, activation_kib=2, activation_banks=4, weight_kib=2,
    accumulator_kib=1, accumulator_banks=4, parameter_kib=2, lanes=2, operand_lanes=1,
    axi_data_bits=64,
)  # fmt: skip
SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}


def depthwise(maker, source, **options):
    channels = maker.shape(source)[0]
    return maker.conv(source, channels, groups=channels, **options)


def uses_unit(program):
    return any(i.name == "DEPTHWISE" for i in program.instructions)


def num_chained(program):
    return sum(layer.is_chained for layer in program.layers)


@pytest.mark.parametrize(("rows", "cols", "lanes"), [(3, 8, 1), (4, 10, 2), (12, 8, 4)])
def test_a_word_of_two_output_blocks_is_read_when_both_are_there(rows, cols, lanes):
    config = SMALL.replace(rows=rows, cols=cols, lanes=lanes, operand_lanes=1, activation_kib=8)
    maker = GraphMaker(1, (23, 4, 5))
    first = maker.conv(maker.input, 23, **SAME)
    pooled = maker.pool(first, "max", (3, 3), pads=(1, 1, 1, 1))
    filtered = depthwise(maker, maker.conv(pooled, 23), **SAME)
    program = assert_matches_reference(maker.graph(maker.requantize(filtered)), config)
    assert num_chained(program) == 1 + uses_unit(program)


@pytest.mark.parametrize("taps", [0, 3])
def test_map_of_which_only_padding_is_read(taps):
    maker = GraphMaker(2, (7, 2, 1))
    padded = depthwise(maker, maker.input, kernel=(1, 1), strides=(4, 4), pads=(10, 11, 6, 7))
    assert_matches_reference(maker.graph(padded), SMALL.replace(depthwise_taps=taps))


@pytest.mark.parametrize(
    ("activation_kib", "accumulator_kib", "weight_kib", "size", "groups", "pad"),
    [(3, 1, 2, (6, 5), 12, 1), (2, 4, 4, (8, 15), 3, 0), (3, 3, 2, (15, 5), 3, 0)],
)
def test_convolution_of_groups_waits_for_all_blocks_of_a_tile_that_is_loaded_ahead(
    activation_kib, accumulator_kib, weight_kib, size, groups, pad
):
    config = SMALL.replace(
        activation_kib=activation_kib, accumulator_kib=accumulator_kib, weight_kib=weight_kib,
        parameter_kib=4,
    )  # fmt: skip
    maker = GraphMaker(3, (24, *size))
    filtered = depthwise(maker, maker.input, **SAME)
    graph = maker.graph(maker.conv(filtered, 24, (3, 3), groups=groups, pads=(pad,) * 4))
    program = assert_matches_reference(graph, config, options=Options(residency=False))
    assert num_chained(program) == 1


def test_layers_whose_parameters_do_not_fit_together_run_one_by_one():
    maker = GraphMaker(5, (4, 9, 9))
    expanded = maker.conv(maker.input, 8, table=True)
    filtered = depthwise(maker, expanded, kernel=(5, 5), pads=(2, 2, 2, 2), table=True)
    graph = maker.graph(maker.conv(filtered, 4, table=True))
    program = assert_matches_reference(graph, SMALL.replace(parameter_kib=1))
    assert uses_unit(program)
    assert num_chained(program) == 0
    assert num_chained(assert_matches_reference(graph, SMALL.replace(parameter_kib=4))) == 2


def test_layers_whose_tiles_do_not_fit_together_run_one_by_one():
    maker = GraphMaker(6, (4, 20, 18))
    expanded = maker.conv(maker.input, 4, (5, 5), pads=(2, 2, 2, 2))
    filtered = depthwise(maker, expanded, kernel=(16, 15))
    graph = maker.graph(maker.conv(filtered, 4))
    program = assert_matches_reference(graph, SMALL.replace(activation_kib=1))
    assert num_chained(program) == 0


def test_depthwise_row_that_does_not_fit_is_cut():
    maker = GraphMaker(7, (3, 6, 90))
    graph = maker.graph(depthwise(maker, maker.input, kernel=(5, 5), pads=(2, 2, 2, 2)))
    config = SMALL.replace(activation_kib=1, accumulator_kib=64)
    assert uses_unit(assert_matches_reference(graph, config))


def test_depthwise_weights_beyond_parameter_sram_go_to_the_array():
    maker = GraphMaker(8, (4, 9, 9))
    graph = maker.graph(depthwise(maker, maker.input, kernel=(13, 13), pads=(6, 6, 6, 6)))
    assert not uses_unit(assert_matches_reference(graph, SMALL.replace(parameter_kib=1)))
    assert uses_unit(assert_matches_reference(graph, SMALL.replace(parameter_kib=4)))


def test_accumulator_banks_of_one_word():
    config = SMALL.replace(rows=6, cols=10, lanes=2, accumulator_banks=16)
    assert config.accumulator_bank_words == 1
    maker = GraphMaker(9, (7, 6, 5))
    filtered = depthwise(maker, maker.conv(maker.input, 9), **SAME)
    assert uses_unit(assert_matches_reference(maker.graph(maker.conv(filtered, 5)), config))


@pytest.mark.parametrize(("channels", "accumulator_kib"), [(35, 6), (15, 3), (18, 1)])
def test_residual_in_dram_of_a_resident_result_whose_blocks_share_words(channels, accumulator_kib):
    config = SMALL.replace(
        rows=12, cols=8, lanes=1, activation_kib=5, accumulator_kib=accumulator_kib
    )
    maker = GraphMaker(10, (channels, 7, 4))
    expanded = maker.conv(maker.input, channels + 3)
    total = maker.conv(expanded, channels, residual=maker.input)
    assert_matches_reference(maker.graph(maker.conv(total, 15, strides=(2, 2))), config)


def test_parameters_lie_on_borders_of_their_pitch():
    config = SMALL.replace(rows=12, cols=12, lanes=12, operand_lanes=4, axi_data_bits=256)
    maker = GraphMaker(11, (9, 8, 5))
    first = maker.conv(maker.conv(maker.input, 13), 3, **SAME)
    assert_matches_reference(maker.graph(first, maker.conv(first, 30)), config)


def test_weights_beyond_their_sram_are_not_loaded_in_vain():
    maker = GraphMaker(13, (32, 9, 9))
    filtered = depthwise(maker, maker.input, **SAME)
    graph = maker.graph(maker.conv(filtered, 8, (3, 3), pads=(1, 1, 1, 1)))
    program = assert_matches_reference(graph, SMALL.replace(weight_kib=1, parameter_kib=4))
    assert num_chained(program) == 1
    loads = [i for i in program.instructions if i.name == "LOAD"]
    chunks = sum(i.target == Target.WEIGHT for i in loads)
    assert chunks <= sum(i.name == "MATRIX" for i in program.instructions)


ONE = SMALL.replace(
    name="one", rows=1, cols=1, lanes=1, activation_kib=64, accumulator_kib=512, weight_kib=64,
    parameter_kib=256,
)  # fmt: skip
LARGE = SMALL.replace(
    name="large", activation_kib=1024, accumulator_kib=1024, weight_kib=64, parameter_kib=64
)  # fmt: skip
LONG = {
    "row": (LARGE, (4, 1, 20000), {"kernel": (1, 3), "pads": (0, 1, 0, 1)}, 6),
    "column": (LARGE, (4, 20000, 1), {"kernel": (3, 1), "pads": (1, 0, 1, 0)}, 6),
    "strided row": (LARGE, (4, 2, 9000), {"kernel": (2, 3), "strides": (1, 2)}, 6),
    "blocks": (ONE, (2, 3, 3), {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, 1500),
    "blocks of several pixels": (ONE, (1, 2, 4), {"kernel": (1, 1)}, 4500),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("residency", [False, True])
def test_more_than_a_field_holds_is_cut(name, residency):
    config, shape, window, channels = LONG[name]
    maker = GraphMaker(14, shape)
    expanded = maker.conv(maker.input, channels)
    filtered = depthwise(maker, expanded, **window)
    graph = maker.graph(maker.requantize(maker.conv(filtered, 3)))
    assert_matches_reference(graph, config, options=Options(residency=residency))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"strides": (1, 300)}, "conv0: .*stride_x must be 0 to 255, got 300"),
        ({"kernel": (3, 1), "dilations": (300, 1)}, "conv0: .*dilation_y must be 0 to 255"),
        ({"pads": (0, 9000, 0, 0)}, "conv0: .*origin_x must be -8192 to 8191, got -9000"),
    ],
)
def test_what_an_instruction_cannot_hold_is_refused_by_layer(window, message):
    maker = GraphMaker(15, (4, 700, 1) if "kernel" in window else (4, 1, 700))
    graph = maker.graph(maker.conv(maker.input, 4, **{"kernel": (1, 1)} | window))
    with pytest.raises(ModelError, match=message):
        compile_graph(graph, SMALL.replace(activation_kib=16))


class Steps(Lowering):
    """A layer of one step that reads `needs`, and makes its output with one instruction."""

    parameters, ring_needs, tiles_ahead = None, (), 0

    def __init__(self, engine, output_name, needs, context):
        self.engine, self.output_name, self.needs, self.context = (
            engine, output_name, needs, context
        )  # fmt: skip

    def bind(self, rings):
        pass

    def steps(self):
        yield Step(needs=self.needs, compute=self.compute)

    def compute(self):
        fields = dict.fromkeys(("kernel_height", "kernel_width", "out_height", "out_width"), 1)
        self.context.tasks.emit(instruction(self.engine.name, **fields))
        made = self.context.map(self.output_name)
        box = Box(top=0, bottom=made.height, left=0, right=made.width)
        self.context.produced.append((made.name, box, (0, 1)))


@pytest.mark.parametrize("other", ["view", "concat"])
def test_a_step_waits_for_what_it_reads_by_another_name(other):
    maker = GraphMaker(12, (4, 3, 2))
    first = maker.conv(maker.input, 4)
    names = {"view": maker.view(first, 1, 6), "concat": maker.concat(first, maker.conv(first, 4))}
    second = maker.conv(maker.input, 4)
    graph = maker.graph(names[other], second)
    places = find_places(graph, SMALL)
    chains = [range(len(layers_of(graph)))]
    placement = place(
        graph, places, chains, SMALL, allow_residents=False, exclusive=frozenset(),
        workspace_need=lambda number, residents: 0, dram_start=0,
    )  # fmt: skip
    context = Context(
        config=SMALL, graph=graph, placement=placement, tasks=TaskList(config=SMALL),
        constants=Constants(start=0),
    )  # fmt: skip
    read = maker.maps[names[other]]
    need = Need(name=read.name, box=Box(top=0, bottom=1, left=0, right=read.width), blocks=(0, 1))
    late = Steps(Engine.DEPTHWISE, second, (need,), context)
    run_chain([(1, late), (0, Steps(Engine.VECTOR, first, (), context))], context)
    assert [task.instruction.name for task in context.tasks.tasks] == ["VECTOR", "DEPTHWISE"]
