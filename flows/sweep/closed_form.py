"""Cycles of a model on a config in closed form: for ranking, a thousand times as fast as a replay.

Of each layer the busiest engine counts, by the formulas of `hw/spec/cycles.py` on the layer's sizes
alone: nothing is placed, tiled or scheduled. A map stays in activation SRAM where two of its size
fit; weights that do not fit pass once for each tile of pixels, or inputs for each block of outputs,
whichever is less. Layers that the compiler runs together share their time, as it does them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection
from tilewright.compiler.graph.graph import Conv, Graph, Node, Pool
from tilewright.compiler.plan.chains import find_chains, kernel_parts
from tilewright.compiler.plan.conv_work import weight_tile_beats
from tilewright.compiler.plan.placement import layers_of
from tilewright.flows.report.report import utilization
from tilewright.flows.sweep.job import Result
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.coverage import Coverage
from tilewright.hw.spec.cycles import (
    depthwise_block_cycles,
    matrix_pipeline,
    matrix_tile_cycles,
    vector_pipeline,
    vector_pixel_cycles,
    word_cycles,
)
from tilewright.support.records import record

UNITS = {taps: PRESETS["base"].replace(depthwise_taps=taps) for taps in (1, 3)}
"""A config of each depthwise unit that there is."""


@record(frozen=True, kw_only=True)
class Products:
    """A convolution's sizes: its weights by channels and taps.

    forms: (input channels of an output block's sums, taps); a first layer's kernel can be folded
    into its channels, so it has several. unit_words: where it has one filter a channel, the words
    that each instruction of the depthwise unit reads of a block, by the unit's taps.
    """

    forms: tuple[tuple[int, int], ...]
    group_inputs: int
    """Input channels of a group, and its outputs."""
    group_outputs: int
    unit_words: tuple[tuple[int, tuple[int, ...]], ...]


@record(frozen=True, kw_only=True)
class LayerSizes:
    """What a layer's cycles depend on, beside the config. Without products it is a vector layer."""

    in_channels: int
    in_pixels: int
    out_channels: int
    out_pixels: int
    window: int
    """Source pixels that the vector unit reads for a result."""
    num_drains: int
    combines: bool
    is_first: bool
    is_last: bool
    products: Products | None


@record(frozen=True, kw_only=True)
class ModelSizes:
    """The chains in which layers run and how many have these sizes, with and without a depthwise
    unit; their work."""

    with_unit: Mapping[tuple[LayerSizes, ...], int]
    without_unit: Mapping[tuple[LayerSizes, ...], int]
    macs: int
    coverage: Coverage


def model_sizes(model: ImportedModel) -> ModelSizes:
    """Return the sizes of all layers on the accelerator."""
    graphs = [step.graph for step in model.steps if isinstance(step, ImportedSection)]
    return ModelSizes(
        coverage=model.coverage,
        with_unit=Counter(chain for graph in graphs for chain in _chains(graph, with_unit=True)),
        without_unit=Counter(
            chain for graph in graphs for chain in _chains(graph, with_unit=False)
        ),
        macs=sum(graph.macs(node) for graph in graphs for node in graph.nodes),
    )


def _chains(graph: Graph, *, with_unit: bool) -> Iterable[tuple[LayerSizes, ...]]:
    layers = layers_of(graph)
    on_unit = [with_unit and _is_depthwise(node, graph) for node in layers]
    sizes = [_layer_sizes(node, graph) for node in layers]
    for chain in find_chains(graph, on_unit, interleave=True):
        yield tuple(sizes[number] for number in chain)


def _is_depthwise(node: Node, graph: Graph) -> bool:
    channels = graph.maps[node.output].channels
    return isinstance(node, Conv) and node.weight.shape[1] == 1 and node.groups == channels


def _layer_sizes(node: Node, graph: Graph) -> LayerSizes:
    source, out = graph.maps[next(iter(node.inputs))], graph.maps[node.output]
    conv = node if isinstance(node, Conv) else None
    return LayerSizes(
        in_channels=source.channels,
        in_pixels=source.pixels,
        out_channels=out.channels,
        out_pixels=out.pixels,
        window=node.kernel[0] * node.kernel[1] if isinstance(node, Pool) else 1,
        num_drains=max(len(conv.epilogue.pieces), 1) if conv else 1,
        combines=len(node.inputs) > 1,
        is_first=source.name in graph.inputs,
        is_last=out.name in graph.outputs,
        products=_products(conv, graph) if conv else None,
    )


def _products(node: Conv, graph: Graph) -> Products:
    outputs, inputs, height, width = node.weight.shape
    forms = [(inputs, height * width)]
    if node.input in graph.inputs and node.groups == 1 and node.dilations == (1, 1):
        forms += [(inputs * width * rows, -(-height // rows)) for rows in range(1, height + 1)]
    out = graph.maps[node.output]
    words: tuple[tuple[int, tuple[int, ...]], ...] = ()
    if _is_depthwise(node, graph):
        columns = (out.width - 1) * node.strides[1]
        words = tuple(
            (
                taps,
                tuple(
                    out.height * (bottom - top) * (columns + right - left)
                    for (top, bottom), (left, right) in kernel_parts(node, unit)
                ),
            )
            for taps, unit in UNITS.items()
        )
    return Products(
        forms=tuple(forms),
        group_inputs=inputs,
        group_outputs=outputs // node.groups,
        unit_words=words,
    )


def closed_form(model: ModelSizes, config: Config, latency: int) -> Result:
    """Return a rough estimate of a run, with nothing in it but cycles and work.

    latency: of the DRAM, in cycles.
    """
    cycles = _cycles(model, config, latency)
    return Result(
        cycles=cycles,
        utilization=utilization(model.macs, cycles, config),
        macs=model.macs,
        coverage=model.coverage,
    )


def _cycles(model: ModelSizes, config: Config, latency: int) -> int:
    chains = model.with_unit if config.depthwise_taps else model.without_unit
    behind = latency + matrix_pipeline(config) + vector_pipeline(config)
    return sum(count * (_chain_cycles(chain, config) + behind) for chain, count in chains.items())


def _chain_cycles(chain: tuple[LayerSizes, ...], config: Config) -> int:
    work = [_work(layer, config) for layer in chain]
    return max(map(sum, zip(*work, strict=True)))


def _work(layer: LayerSizes, config: Config) -> tuple[int, int, int, int, int]:
    """Cycles of array, depthwise unit, loads, vector unit and stores."""
    room = config.activation_words // 2
    beats = word_cycles(config.activation_pitch, config)
    inputs = -(-layer.in_channels // config.rows) * layer.in_pixels
    results = -(-layer.out_channels // config.rows) * layer.out_pixels
    inputs *= beats * (layer.is_first or inputs > room)
    stores = results * beats * (layer.is_last or results > room)
    pixel = vector_pixel_cycles(layer.window, layer.combines, config)
    pixel += (layer.num_drains - 1) * vector_pixel_cycles(1, True, config)
    row_blocks = -(-layer.out_channels // config.rows)
    vector = row_blocks * config.row_groups * layer.out_pixels * pixel
    if layer.products is None:
        return 0, 0, inputs, vector, stores
    if layer.products.unit_words and config.depthwise_taps:
        words = dict(layer.products.unit_words)[config.depthwise_taps]
        unit = row_blocks * sum(depthwise_block_cycles(part, config) for part in words)
        return 0, unit, inputs, vector, stores
    vector = -(-layer.out_channels // config.lanes) * layer.out_pixels * pixel
    tiles, blocks = _weight_tiles(layer, layer.products, config)
    loads = _loads(tiles * weight_tile_beats(config), inputs, blocks, layer.out_pixels,
                   tiles * config.rows > config.weight_words, config)  # fmt: skip
    return tiles * matrix_tile_cycles(layer.out_pixels, config), 0, loads, vector, stores


def _weight_tiles(layer: LayerSizes, products: Products, config: Config) -> tuple[int, int]:
    """Weight tiles, and output blocks."""
    blocks = -(-layer.out_channels // config.cols)
    groups = -(-min(config.cols, layer.out_channels) // products.group_outputs)
    tiles = min(-(-groups * inputs // config.rows) * taps for inputs, taps in products.forms)
    return blocks * tiles, blocks


def _loads(
    weights: int, inputs: int, blocks: int, pixels: int, is_large: bool, config: Config
) -> int:
    """Cycles in which weights and inputs are loaded; is_large: not all weights fit."""
    passes = -(-pixels // (config.accumulator_words // 2)) if is_large else 1
    return min(weights * passes + inputs, weights + inputs * blocks)
