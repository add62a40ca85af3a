"""What a convolution multiplies for nothing, and why: channels against the array's size."""

from tilewright.compiler.emit.lower_depthwise import depthwise_shape
from tilewright.compiler.graph.graph import Conv
from tilewright.compiler.plan.conv_shape import ConvShape, conv_shape
from tilewright.compiler.plan.layer_view import LayerView
from tilewright.compiler.section import Section
from tilewright.flows.report.display import plural
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import matrix_tile_cycles
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Padding:
    """The array's bound for a layer and its useless multiplications."""

    ceiling_cycles: int
    """Weight tiles x max(pixels, rows): what the array takes at least."""
    utilization: float
    """The model's MACs over the multiplications that the ceiling has room for."""
    loss: float
    """Share of the array's multiplications that have a factor that is always 0."""
    reasons: tuple[str, ...]
    is_on_unit: bool = False
    """All of this is the depthwise unit's, which works beside the array."""


def padding_of(node: Conv, macs: int, section: Section) -> Padding:
    """Return the padding of a convolution on the array; `macs` are the model's own."""
    config, shape = section.config, conv_shape(node, _view(section))
    pixels = shape.out_height * shape.out_width
    multiplications = shape.weight_tiles * config.rows * config.cols * pixels
    cycles = shape.weight_tiles * matrix_tile_cycles(pixels, config)
    return Padding(
        ceiling_cycles=cycles,
        utilization=macs / (cycles * config.rows * config.cols),
        loss=1 - macs / multiplications,
        reasons=tuple(_reasons(node, macs, shape, config)),
    )


def unit_padding(node: Conv, macs: int, section: Section) -> Padding:
    """Return the same of a layer on the depthwise unit, whose cycles are the ceiling."""
    config, shape = section.config, depthwise_shape(node, _view(section))
    cycles = shape.blocks * shape.cycles(shape.out_height, shape.out_width)
    utilization = macs / (cycles * config.rows * config.depthwise_taps)
    columns = sum(shape.words(1, shape.out_width)) // shape.kernel[0]
    return Padding(
        ceiling_cycles=cycles,
        utilization=utilization,
        loss=1 - utilization,
        reasons=(
            f"on the depthwise unit, {config.rows} x {config.depthwise_taps} multipliers: "
            f"{plural(columns, 'column')} read for {plural(shape.out_width, 'output')} of a row",
        ),
        is_on_unit=True,
    )


def _view(section: Section) -> LayerView:
    return LayerView(config=section.config, graph=section.graph, placement=section.placement)


def _reasons(node: Conv, macs: int, shape: ConvShape, config: Config) -> list[str]:
    reasons = []
    inputs, rows = node.weight.shape[1], shape.in_blocks * config.rows
    if node.groups > 1:
        read = max(count for _, count in shape.source_ranges) * config.rows
        reasons.append(
            f"{node.groups} groups: each output channel uses {inputs} of the {read} rows its "
            "block of columns reads"
        )
    elif inputs < rows:
        reasons.append(_used(inputs, rows, config.rows, "row"))
    columns = shape.out_blocks * config.cols
    if shape.out_channels < columns:
        reasons.append(_used(shape.out_channels, columns, config.cols, "column"))
    pixels = shape.out_height * shape.out_width
    if macs < node.weight.size * pixels:
        reasons.append(
            f"{macs // pixels:,} of {node.weight.size:,} weights are the model's, the others 0"
        )
    tile_cycles = matrix_tile_cycles(pixels, config)
    if pixels < tile_cycles:
        reasons.append(
            f"{pixels} of {tile_cycles} cycles used: a weight tile takes {tile_cycles} to load"
        )
    return reasons


def _used(used: int, total: int, size: int, noun: str) -> str:
    passes = total // size
    text = f"{used} of {total} {noun}s used"
    over = used - (passes - 1) * size
    if passes > 1 and over <= size // 2:
        text += f" ({used - over} would take {passes - 1} of the {passes} passes)"
    return text
