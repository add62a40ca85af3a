"""The tiling of a layer that only the vector unit computes."""

from collections.abc import Iterator
from itertools import islice

from tilewright.compiler.limits import MAX_GROUPS
from tilewright.compiler.plan.boxes import ceilings, split, tile_sides
from tilewright.compiler.plan.layer_view import DoesNotFitError, LayerView
from tilewright.compiler.plan.rings import Reader
from tilewright.compiler.plan.tiling import INSTRUCTION_OVERHEAD, Plan, Work, ring_pace
from tilewright.compiler.plan.vector_layer import VectorLayer
from tilewright.hw.spec.cycles import vector_pixel_cycles, word_cycles
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class VectorPlan(Plan):
    """One tiling of a layer on the vector unit."""

    reader = Reader.SOURCE
    blocks: int
    """Channel blocks of a step."""


def vector_plans(layer: VectorLayer, context: LayerView, *, is_chained: bool) -> list[VectorPlan]:
    """Return every tiling that fits, the largest tiles first; of a layer on its own the first.

    Raises DoesNotFitError.
    """
    out, config = context.map(layer.node.output), context.config
    blocks = min(context.place(layer.node.output).blocks, MAX_GROUPS // config.row_groups)
    source, window = context.map(layer.source), layer.window
    heights, widths = tile_sides(
        (out.height, out.width),
        (source.height, source.width),
        kernel=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
    )
    fitting = (
        plan
        for width in widths
        if width == out.width or not is_chained
        for height in heights
        for chunk in (ceilings(blocks) if layer.num_phases == 1 else [blocks])
        for plan in _plans(layer, context, (height, width), chunk, is_chained=is_chained)
    )
    plans = list(fitting if is_chained else islice(fitting, 1))
    if not plans:
        raise DoesNotFitError(
            f"one output pixel's window of {layer.window.kernel} and "
            f"its result do not fit into {context.workspace[1]} free words of activation SRAM; "
            f"raise activation_kib"
        )
    return plans


def _plans(
    layer: VectorLayer, context: LayerView, tile: tuple[int, int], chunk: int, *, is_chained: bool
) -> Iterator[VectorPlan]:
    config = context.config
    source, out = context.map(layer.source), context.map(layer.node.output)
    rows, columns = split(out.height, tile[0]), split(out.width, tile[1])
    num_tiles = len(rows) * len(columns)
    heights = [_length(layer.reach(0, part, source.height)) for part in rows]
    widths = [_length(layer.reach(1, part, source.width)) for part in columns]
    blocks = context.place(layer.node.output).blocks
    names = (layer.source, layer.operand, layer.node.output)
    streams = [bool(name) and not context.is_resident(str(name)) for name in names]
    words = (
        max(heights) * max(widths) * layer.num_phases * chunk,
        *[tile[0] * tile[1] * chunk] * 2,
    )
    steps = num_tiles * len(split(blocks, chunk))
    window = layer.window.kernel[0] * layer.window.kernel[1]
    pixel = vector_pixel_cycles(window, layer.operand is not None, config)
    beats = word_cycles(config.activation_pitch, config)
    outputs = out.pixels * blocks
    loaded = sum(heights) * sum(widths) * layer.num_phases
    work = Work(
        vector=outputs * pixel * config.row_groups,
        load=(loaded * blocks * streams[0] + outputs * streams[1]) * beats,
        store=outputs * streams[2] * beats,
    )
    startup = words[0] * streams[0] + INSTRUCTION_OVERHEAD * steps
    startup += work.vector // (num_tiles if num_tiles > 1 else steps) if is_chained else 0
    for copies in (2, 1) if any(streams) else (1,):
        rings = [w * copies * streamed for w, streamed in zip(words, streams, strict=True)]
        if sum(rings) <= context.workspace[1]:
            is_buffered = copies == 2 or not any(streams)
            yield VectorPlan(
                tile_height=tile[0],
                tile_width=tile[1],
                blocks=chunk,
                copies=copies,
                input_ring=rings[0],
                operand_ring=rings[1],
                output_ring=rings[2],
                work=work,
                startup=startup if is_buffered else startup + (max(work) + startup) // 2,
                pace=max(ring_pace(steps, r // copies, work.vector, copies) for r in rings),
            )


def _length(part: tuple[int, int]) -> int:
    return part[1] - part[0]
