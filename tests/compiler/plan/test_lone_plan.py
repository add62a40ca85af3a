"""Tilings of a convolution by itself: they fit, and are remembered."""

import dataclasses
import random

import pytest

from tilewright.compiler.plan.conv_plan import ConvMemory, conv_plans
from tilewright.compiler.plan.conv_shape import ConvShape
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.lone_plan import plan_conv
from tilewright.compiler.plan.schedule_cache import enabled
from tilewright.hw.spec.config import PRESETS
from tilewright.support.cache import CACHE_VARIABLE

BASE = PRESETS["base"]


def shape(inputs, outputs, size, kernel=1, config=BASE, stride=1):
    """A dense convolution of blocks, square, with the padding of an odd kernel."""
    return ConvShape(
        config=config,
        kernel=(kernel, kernel),
        strides=(stride, stride),
        pads=(kernel // 2,) * 4,
        dilations=(1, 1),
        in_blocks=inputs,
        in_height=size,
        in_width=size,
        out_channels=outputs * config.cols,
        out_height=-(-size // stride),
        out_width=-(-size // stride),
        source_ranges=((0, inputs),) * outputs,
    )


def memory(workspace=BASE.activation_words, streams=(True, False, True), config=BASE):
    return ConvMemory(
        workspace=workspace,
        accumulators=config.accumulator_words // 2,
        streams_input=streams[0],
        streams_operand=streams[1],
        streams_output=streams[2],
        combines=streams[1],
    )


def random_case(seed):
    generator = random.Random(seed)
    config = PRESETS[generator.choice(["nano", "edge", "base", "large"])]
    layer = shape(
        generator.choice([1, 2, 3, 7, 16]),
        generator.choice([1, 2, 5, 12, 32]),
        generator.choice([1, 5, 14, 28]),
        generator.choice([1, 3, 5]),
        config,
        generator.choice([1, 2]),
    )
    streams = tuple(generator.random() < 0.7 for _ in range(3))
    words = int(config.activation_words * generator.choice([0.05, 0.3, 1]))
    return layer, memory(words, streams, config)


@pytest.mark.parametrize("seed", range(40))
def test_rings_fit_and_hold_whole_tiles(seed):
    layer, given = random_case(seed)
    try:
        plan = plan_conv(layer, given)
    except DoesNotFitError:
        with pytest.raises(DoesNotFitError, match="raise activation_kib"):
            conv_plans(layer, given)
        return
    rings = (plan.input_ring, plan.operand_ring, plan.output_ring)
    assert sum(rings) <= given.workspace
    for ring, is_streamed in zip(
        rings, (given.streams_input, given.streams_operand, given.streams_output), strict=True
    ):
        assert bool(ring) == is_streamed
    pixels = plan.tile_height * plan.tile_width
    assert pixels * plan.group_blocks <= given.accumulators
    assert plan.output_ring >= plan.copies * pixels * given.streams_output
    assert 1 <= plan.input_places <= plan.copies or plan.input_places == 1
    assert plan.startup >= 0


def test_a_layer_without_room_is_refused():
    with pytest.raises(DoesNotFitError, match="does not fit into 2 free words of activation SRAM"):
        plan_conv(shape(4, 4, 14, 3), memory(workspace=2))


def test_a_small_layer_starts_with_a_part_of_its_input():
    plan = plan_conv(shape(4, 4, 8), memory())
    assert plan.group_blocks == 1
    assert plan.tile_height * plan.tile_width < 64


def test_where_loads_are_the_limit_blocks_share_instructions():
    plan = plan_conv(shape(8, 8, 1), memory(streams=(False, False, False)))
    assert plan.group_blocks > 1


def test_the_plan_comes_from_the_cache_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    layer, given = shape(4, 4, 14, 3), memory()
    with enabled():
        first = plan_conv(layer, given)
        assert first == plan_conv(layer, given)
        assert len(list(tmp_path.rglob("conv/*"))) == 1
        plan_conv(layer, dataclasses.replace(given, workspace=given.workspace // 2))
        assert len(list(tmp_path.rglob("conv/*"))) == 2
    assert first == plan_conv(layer, given)


@pytest.mark.parametrize("streams_operand", [True, False])
def test_a_second_operand_slows_the_drain_wherever_it_lies(streams_operand):
    layer, given = shape(4, 4, 16), memory(streams=(True, streams_operand, True))
    plain = plan_conv(layer, dataclasses.replace(given, streams_operand=False, combines=False))
    combined = plan_conv(layer, dataclasses.replace(given, combines=True))
    pace = BASE.lanes // BASE.operand_lanes
    assert combined.work.vector == pace * plain.work.vector
