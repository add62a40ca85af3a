"""The passes that turn a section's graph into tasks with waits, in program order.

A pass fills in fields of the section; `PASSES` is their order. An observer is called behind each
pass with what there is by then.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from tilewright.compiler.emit.context import CONSTANT_ALIGNMENT, Constants, Context
from tilewright.compiler.emit.lower_chain import lower_chain
from tilewright.compiler.emit.tasks import TaskList
from tilewright.compiler.graph.fold_stem import fold_stem
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.normalize import normalize
from tilewright.compiler.plan.chains import find_chains, runs_on_unit
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.placement import layers_of, place
from tilewright.compiler.plan.places import Place, find_places
from tilewright.compiler.program.order import program_order
from tilewright.compiler.program.synchronize import synchronize
from tilewright.compiler.section import Section
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.steps import Island
from tilewright.support.log import timed
from tilewright.support.records import record

LOG = logging.getLogger(__name__)


class Level(Enum):
    """The form in which a section is after a pass."""

    GRAPH = "a quantized graph"
    PLACEMENT = "storages with addresses, chains of layers"
    TASKS = "tilings and instructions"


@record(frozen=True, kw_only=True)
class Pass:
    """One step of the compiler."""

    name: str
    meaning: str
    level: Level
    """Of its result."""
    run: Callable[[Section], None]


Observer = Callable[[Pass, Section | Island], None]
"""Called behind each pass with the section; with an island once, which no pass changes."""


def run_passes(section: Section, passes: "Sequence[Pass]", observe: Observer | None) -> Section:
    """Return the section after `passes`, the first ones of `PASSES`.

    Where a layer does not fit beside feature maps that stay in SRAM, none stays: placement and what
    follows run again, and are observed again. Raises DoesNotFitError, ModelError.
    """
    on_graph = [step for step in passes if step.level is Level.GRAPH]
    _run(section, on_graph, observe)
    for allow_residents in (True, False) if section.options.residency else (False,):
        trial = replace(section, allow_residents=allow_residents)
        try:
            _run(trial, passes[len(on_graph) :], observe)
            return trial
        except DoesNotFitError:
            if not allow_residents:
                raise
    raise AssertionError


def _run(section: Section, passes: "Sequence[Pass]", observe: Observer | None) -> None:
    for step in passes:
        with timed(LOG, f"{section.name} after {step.name}", level=logging.DEBUG):
            step.run(section)
        if observe is not None:
            observe(step, section)


def _import(section: Section) -> None:
    graph = section.graph
    section.macs = {node.output: graph.macs(node) for node in graph.nodes}
    section.output_names = graph.outputs


def _fold_stem(section: Section) -> None:
    if section.options.fold_stem:
        section.graph, section.folds = fold_stem(section.graph, section.config)


def _normalize(section: Section) -> None:
    section.graph = normalize(section.graph, section.config)


def _place(section: Section) -> None:
    graph, config, options = section.graph, section.config, section.options
    layers, places = layers_of(graph), find_places(graph, config)
    section.on_unit = tuple(
        options.depthwise_unit and runs_on_unit(node, graph, places, config) for node in layers
    )
    section.chains = tuple(find_chains(graph, section.on_unit, interleave=options.interleave))
    streams = [
        _streams(graph, places, [layers[number] for number in chain], config)
        for chain in section.chains
    ]
    inputs = (
        next(iter(node.inputs)) for node, unit in zip(layers, section.on_unit, strict=True) if unit
    )
    section.placement = place(
        graph,
        places,
        section.chains,
        config,
        allow_residents=section.allow_residents,
        exclusive=frozenset(places[name].storage for name in inputs),
        dram_start=section.dram_start,
        workspace_need=lambda number, residents: _workspace_need(
            streams[number], residents, config
        ),
    )


def _emit(section: Section) -> None:
    placement, config = section.placement, section.config
    section.constants = Constants(
        start=section.dram_end,
        alignment=max(CONSTANT_ALIGNMENT, config.weight_pitch, config.parameter_pitch),
    )
    context = Context(
        config=config,
        graph=section.graph,
        placement=placement,
        tasks=TaskList(config=config, has_depthwise=any(section.on_unit)),
        constants=section.constants,
    )
    layers = layers_of(section.graph)
    together: list[range] = []
    for number, chain in enumerate(section.chains):
        context.workspace = placement.workspaces[number]
        units = [section.on_unit[layer] for layer in chain]
        together += lower_chain([layers[layer] for layer in chain], chain, units, context)
    section.chains = tuple(together)
    section.plans = context.plans
    section.tasks = tuple(context.tasks.tasks)


def _synchronize(section: Section) -> None:
    tasks, section.tasks = deque(section.tasks), ()
    section.tasks = tuple(
        synchronize(tasks, section.chains, section.config, section.constants.start)
    )


def _order(section: Section) -> None:
    section.tasks = tuple(program_order(section.tasks, section.config))


PASSES: tuple[Pass, ...] = (
    Pass(name="import", level=Level.GRAPH, run=_import,
         meaning="the ONNX operators of a section as one quantized graph"),
    Pass(name="fold_stem", level=Level.GRAPH, run=_fold_stem,
         meaning="kernels of first layers with few channels folded into channels"),
    Pass(name="normalize", level=Level.GRAPH, run=_normalize,
         meaning="copies where a feature map would need two layouts"),
    Pass(name="place", level=Level.PLACEMENT, run=_place,
         meaning="chains of layers; where their feature maps live"),
    Pass(name="emit", level=Level.TASKS, run=_emit,
         meaning="tilings, and instructions in the order of their meaning"),
    Pass(name="synchronize", level=Level.TASKS, run=_synchronize,
         meaning="waits between the engines"),
    Pass(name="order", level=Level.TASKS, run=_order,
         meaning="program order, by the cycle formulas"),
)  # fmt: skip
"""In the order in which they run."""


Streams = Sequence[tuple[str, int]]
"""Storages of maps, and the activation words of each map."""


def _streams(
    graph: Graph, places: Mapping[str, Place], nodes: Sequence[Node], config: Config
) -> Streams:
    """Return what a chain streams if nothing of it stays in activation SRAM."""
    names = {name for node in nodes for name in (node.output, *node.inputs)}
    blocks = {name: -(-graph.maps[name].channels // config.rows) for name in names}
    return [(places[name].storage, blocks[name] * graph.maps[name].pixels) for name in names]


def _workspace_need(streams: Streams, residents: frozenset[str], config: Config) -> int:
    """Words that a chain's streamed maps would like: all of them, or half of the SRAM."""
    streamed = sum([words for storage, words in streams if storage not in residents])
    return min(streamed, config.activation_words // 2)
