"""A hand-made program through every engine of the whole accelerator, against NumPy."""

import numpy as np
import pytest

from tilewright.hw.spec import numerics
from tilewright.hw.spec.config import PARAMETER_BYTES
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine, Source, Target, Wait
from tilewright.hw.spec.parameters import block_words, depthwise_words, pack_words
from tilewright.hw.spec.registers import STATUS_DONE, Bucket

HEIGHT, WIDTH, KERNEL = 4, 5, 3
WEIGHTS, PARAMETERS, RESULT = 0x1000, 0x2000, 0x4000
ZERO_POINT, OUT_ZERO_POINT = 3, -7


def convolve(image, weights):
    """(H, W, rows) int8 padded with the zero point, (3, 3, rows, cols) int8 -> (H, W, cols)."""
    padded = np.pad(image.astype(np.int64), ((1, 1), (1, 1), (0, 0)), constant_values=ZERO_POINT)
    result = np.zeros((HEIGHT, WIDTH, weights.shape[-1]), np.int64)
    for ky in range(KERNEL):
        for kx in range(KERNEL):
            result += padded[ky : ky + HEIGHT, kx : kx + WIDTH] @ weights[ky, kx].astype(np.int64)
    return result


def convolve_depthwise(image, weights):
    """(H, W, rows) int8 padded with the zero point, (3, 3, rows) int8 -> (H, W, rows)."""
    padded = np.pad(image.astype(np.int64), ((1, 1), (1, 1), (0, 0)), constant_values=ZERO_POINT)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), (0, 1))
    return np.einsum("hwcyx,yxc->hwc", windows, weights.astype(np.int64))


def depthwise_program(config, num_words):
    """As `program`, with the depthwise unit and its weights in front of the parameter block."""
    _, load_image, load_parameters, _, vector, *rest = program(config, num_words)
    wait = (Wait(engine=Engine.LOAD, count=2),)
    unit = instruction(
        "DEPTHWISE", wait, kernel_height=KERNEL, kernel_width=KERNEL, out_height=HEIGHT,
        out_width=WIDTH, stride_y=1, stride_x=1, dilation_y=1, origin_y=-1, origin_x=-1,
        height=HEIGHT, width=WIDTH, padding=ZERO_POINT, blocks=1, source_pitch=WIDTH, destination=9,
    )  # fmt: skip
    waits = (wait[0], Wait(engine=Engine.DEPTHWISE, count=1))
    fields = {**vector.values(), "source": 9, "parameters": config.depthwise_words}
    return [load_image, load_parameters, unit, instruction("VECTOR", waits, **fields), *rest]


def program(config, num_words):
    once = {"count0": 1, "count1": 1, "count2": 1}
    window = {"out_height": HEIGHT, "out_width": WIDTH, "stride_y": 1, "stride_x": 1,
              "dilation_y": 1, "dilation_x": 1}  # fmt: skip
    pixels = HEIGHT * WIDTH
    return [
        instruction("LOAD", target=Target.WEIGHT, dram_address=WEIGHTS,
                    run=KERNEL * KERNEL * config.rows, **once),
        instruction("LOAD", target=Target.ACTIVATION, run=pixels, **once),
        instruction("LOAD", target=Target.PARAMETER, dram_address=PARAMETERS, run=num_words,
                    **once),
        instruction("MATRIX", (Wait(engine=Engine.LOAD, count=2),), **window,
                    kernel_height=KERNEL, kernel_width=KERNEL, origin_y=-1, origin_x=-1,
                    height=HEIGHT, width=WIDTH, padding=ZERO_POINT, out_blocks=1, in_blocks=1,
                    source_pitch=WIDTH),
        instruction("VECTOR", (Wait(engine=Engine.LOAD, count=3),
                               Wait(engine=Engine.MATRIX, count=1)), **window,
                    kernel_height=1, kernel_width=1, height=HEIGHT, width=WIDTH,
                    source_kind=Source.ACCUMULATOR, source_pitch=WIDTH,
                    groups=config.col_groups, destination=64, destination_pitch=WIDTH),
        instruction("STORE", (Wait(engine=Engine.VECTOR, count=1),), dram_address=RESULT,
                    sram_address=64, run=pixels, **once),
        instruction("END"),
    ]  # fmt: skip


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("seed", [None, 5])
def test_convolution_from_dram_to_dram(make_system, seed, depthwise):
    system = make_system(seed=seed)
    config = system.config
    rng = np.random.default_rng(11)
    image = rng.integers(-128, 128, (HEIGHT, WIDTH, config.rows), np.int8)
    weights = rng.integers(-128, 128, (KERNEL, KERNEL, config.rows, config.cols), np.int8)
    bias = rng.integers(-5000, 5000, config.cols, np.int32)
    scale = rng.uniform(1e-3, 4e-3, config.cols).astype(np.float32)
    header = {"zero_point": OUT_ZERO_POINT, "low": -100, "high": 127}
    words = block_words(header, bias, scale, config)
    assert config.parameter_word_bytes == PARAMETER_BYTES * config.lanes
    make_program, accumulators = program, convolve(image, weights)
    if depthwise:
        weights = weights[..., 0]
        words = np.concatenate([depthwise_words(weights[None], config), words])
        make_program, accumulators = depthwise_program, convolve_depthwise(image, weights)
    for address, data in (
        (0, image.tobytes()),
        (WEIGHTS, weights.tobytes()),
        (PARAMETERS, pack_words(words, config)),
    ):
        system.dram.data[address : address + len(data)] = data
    system.place_program(make_program(config, len(words)))

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        assert await host.finish(ctx) == STATUS_DONE
        cycles = await host.read(ctx, "cycles_low")
        for engine in Engine:
            buckets = await host.buckets(ctx, engine)
            assert sum(buckets.values()) == cycles
        assert buckets[Bucket.WAIT_VECTOR] > 0

    system.run(script)
    expected = numerics.requantize(
        accumulators.astype(np.int32), bias, scale, OUT_ZERO_POINT, -100, 127
    )
    size = image.size
    result = np.frombuffer(bytes(system.dram.data[RESULT : RESULT + size]), np.int8)
    assert np.array_equal(result.reshape(image.shape), expected)
