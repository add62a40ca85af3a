"""The compiler's front door: an imported model, or a quantized graph, becomes a Program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.emit.context import (
    CONSTANT_ALIGNMENT,
    Constants,
    Context,
    DoesNotFitError,
)
from tilewright.compiler.emit.lower_chain import lower_chain
from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.frontend.importer import ImportedModel, model_of_graph
from tilewright.compiler.graph.fold_stem import fold_stem
from tilewright.compiler.graph.graph import Conv, Graph, Node
from tilewright.compiler.graph.normalize import normalize
from tilewright.compiler.plan.chains import find_chains, runs_on_unit
from tilewright.compiler.plan.placement import (
    DRAM_ALIGNMENT,
    Place,
    find_places,
    layers_of,
    place,
)
from tilewright.compiler.program.assemble import Lowered, assemble
from tilewright.compiler.program.order import program_order
from tilewright.compiler.program.synchronize import synchronize
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.program import Program


@dataclass(frozen=True, kw_only=True)
class Options:
    """Optimizations; each can be switched off to see what it gains."""

    fold_stem: bool = True
    """Fold the kernel of a first layer with few channels into its channels."""
    residency: bool = True
    """Keep feature maps in activation SRAM between layers where they fit."""
    depthwise_unit: bool = True
    """Run depthwise convolutions on their unit instead of the array's diagonal."""
    interleave: bool = True
    """Run a depthwise layer together with the layers before and behind it, and a convolution with
    the pooling behind it."""


DEFAULT = Options()


def compile_model(model: ImportedModel, config: Config, options: Options = DEFAULT) -> Program:
    """Compile an imported model: the program is complete, and running it needs no compiler.

    Raises ModelError when a layer does not fit the config. The checker has passed on the result.
    """
    return assemble(model, lower_model(model, config, options), config)


def lower_model(
    model: ImportedModel, config: Config, options: Options = DEFAULT
) -> tuple[Lowered, ...]:
    """Lower every section of a model, each behind the one before it in DRAM."""
    found: list[Lowered] = []
    start = 0
    for section in model.sections:
        found.append(lower(section.graph, config, options, dram_start=start))
        start = found[-1].dram_end
    return tuple(found)


def compile_graph(graph: Graph, config: Config, options: Options = DEFAULT) -> Program:
    """Compile a quantized graph; inputs and outputs are its int8 maps (channels, height, width)."""
    return compile_model(model_of_graph(graph), config, options)


def lower(
    graph: Graph, config: Config, options: Options = DEFAULT, *, dram_start: int = 0
) -> Lowered:
    """Place, tile, synchronize and order a graph; its DRAM begins at byte `dram_start`.

    Raises DoesNotFitError, ModelError.
    """
    macs = {node.output: _macs(graph, node) for node in graph.nodes}
    folds: Mapping[str, Fold] = {}
    if options.fold_stem:
        graph, folds = fold_stem(graph, config)
    for allow_residents in (True, False) if options.residency else (False,):
        try:
            return replace(
                _lower(graph, config, options, dram_start, allow_residents=allow_residents),
                folds=folds,
                macs=macs,
            )
        except DoesNotFitError:
            if not allow_residents:
                raise
    raise AssertionError


def _lower(
    original: Graph, config: Config, options: Options, dram_start: int, *, allow_residents: bool
) -> Lowered:
    graph = normalize(original, config)
    layers, places = layers_of(graph), find_places(graph, config)
    on_unit = [
        options.depthwise_unit and runs_on_unit(node, graph, places, config) for node in layers
    ]
    chains = find_chains(graph, on_unit, interleave=options.interleave)
    inputs = (next(iter(n.inputs)) for n, unit in zip(layers, on_unit, strict=True) if unit)
    members = [[layers[number] for number in chain] for chain in chains]
    placement = place(
        graph,
        places,
        chains,
        config,
        allow_residents=allow_residents,
        exclusive=frozenset(places[name].storage for name in inputs),
        dram_start=dram_start,
        workspace_need=lambda number, residents: _workspace_need(
            graph, places, members[number], residents, config
        ),
    )
    start = -(-placement.dram_end // DRAM_ALIGNMENT) * DRAM_ALIGNMENT
    context = Context(
        config=config,
        graph=graph,
        placement=placement,
        tasks=TaskList(config=config, has_depthwise=any(on_unit)),
        constants=Constants(
            start=start,
            alignment=max(CONSTANT_ALIGNMENT, config.weight_pitch, config.parameter_pitch),
        ),
    )
    together: list[range] = []
    for number, chain in enumerate(chains):
        context.workspace = placement.workspaces[number]
        units = [on_unit[layer] for layer in chain]
        together += lower_chain(members[number], chain, units, context)
    synchronized = synchronize(context.tasks.tasks, config, context.constants.end)
    return Lowered(
        graph=graph,
        output_names=original.outputs,
        placement=placement,
        tasks=tuple(program_order(synchronized, config)),
        constants=context.constants,
        chains=tuple(together),
        on_unit=tuple(on_unit),
    )


def _workspace_need(
    graph: Graph,
    places: Mapping[str, Place],
    nodes: Sequence[Node],
    residents: frozenset[str],
    config: Config,
) -> int:
    """Words that a chain's streamed maps would like: all of them, or half of the SRAM."""
    streamed = 0
    for name in {name for node in nodes for name in (node.output, *node.inputs)}:
        if places[name].storage not in residents:
            feature_map = graph.maps[name]
            streamed += -(-feature_map.channels // config.rows) * feature_map.pixels
    return min(streamed, config.activation_words // 2)


def _macs(graph: Graph, node: Node) -> int:
    if not isinstance(node, Conv):
        return 0
    return int(np.prod(node.weight.shape)) * graph.maps[node.output].pixels
