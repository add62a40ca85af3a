"""The compiler's front door: an ONNX model, or a quantized graph, becomes a Program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.emit.context import (
    CONSTANT_ALIGNMENT,
    Constants,
    Context,
    DoesNotFitError,
)
from tilewright.compiler.emit.lower_chain import lower_chain
from tilewright.compiler.emit.tasks import Task, TaskList
from tilewright.compiler.graph.fold_stem import fold_stem
from tilewright.compiler.graph.graph import Conv, Graph, Node
from tilewright.compiler.graph.normalize import normalize
from tilewright.compiler.plan.chains import find_chains, runs_on_unit
from tilewright.compiler.plan.placement import (
    DRAM_ALIGNMENT,
    Place,
    Placement,
    find_places,
    layers_of,
    place,
)
from tilewright.compiler.program.checker import check_program
from tilewright.compiler.program.order import program_order
from tilewright.compiler.program.synchronize import synchronize
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, Instruction, instruction
from tilewright.hw.spec.program import Layer, Program, Symbol
from tilewright.support.errors import ModelError, ProgramError

PREFETCH_BYTES = 64 * INSTRUCTION_BYTES
"""Zero bytes behind END that the hardware's prefetch may read."""


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


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """Tasks in program order with waits, and the memory they use."""

    graph: Graph
    output_names: tuple[str, ...]
    """The caller's name of each output of `graph`, which may be a copy."""
    placement: Placement
    tasks: tuple[Task, ...]
    constants: Constants
    folds: Mapping[str, Fold] = field(default_factory=dict)
    """How the host folds input maps."""
    chains: tuple[range, ...] = ()
    """Numbers of the layers that run together."""
    on_unit: tuple[bool, ...] = ()
    """Whether the depthwise unit runs each layer."""
    macs: Mapping[str, int] = field(default_factory=dict)
    """The model's own multiply-accumulates by output map; copies and folded zeros are none."""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return (*(task.instruction for task in self.tasks), instruction("END"))


def compile_graph(graph: Graph, config: Config, options: Options = DEFAULT) -> Program:
    """Compile a quantized graph; the program has a symbol for each input and output map.

    Raises ModelError when a layer does not fit the config. The checker has passed on the result.
    """
    return assemble(lower(graph, config, options), config)


def assemble(lowered: Lowered, config: Config) -> Program:
    """Return the program of a lowered graph. The checker has passed on the result."""
    program = _program(lowered, config)
    writable = _writable(lowered, config)
    check_program(lowered.instructions, config, writable=writable)
    return program


def lower(graph: Graph, config: Config, options: Options = DEFAULT) -> Lowered:
    """Place, tile, synchronize and order a graph. Raises DoesNotFitError, ModelError."""
    macs = {node.output: _macs(graph, node) for node in graph.nodes}
    folds: Mapping[str, Fold] = {}
    if options.fold_stem:
        graph, folds = fold_stem(graph, config)
    for allow_residents in (True, False) if options.residency else (False,):
        try:
            return replace(
                _lower(graph, config, options, allow_residents=allow_residents),
                folds=folds,
                macs=macs,
            )
        except DoesNotFitError:
            if not allow_residents:
                raise
    raise AssertionError


def _lower(original: Graph, config: Config, options: Options, *, allow_residents: bool) -> Lowered:
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


def _program(lowered: Lowered, config: Config) -> Program:
    graph, constants = lowered.graph, lowered.constants
    program_address = -(-constants.end // DRAM_ALIGNMENT) * DRAM_ALIGNMENT
    words = _encoded(lowered, config)
    image = bytearray(program_address)
    image[constants.start : constants.end] = constants.data
    image += words + bytes(PREFETCH_BYTES)
    layer_numbers = np.array([*(task.layer for task in lowered.tasks), -1], np.int32)
    return Program(
        config=config,
        image=bytes(image),
        memory_bytes=-(-len(image) // DRAM_ALIGNMENT) * DRAM_ALIGNMENT,
        program_address=program_address,
        num_instructions=len(lowered.instructions),
        symbols=tuple(_symbols(lowered, config)),
        layers=tuple(_layers(lowered, layer_numbers)),
        instruction_layers=layer_numbers,
        metadata={"model": graph.name, "host_work": _host_work(lowered)},
    )


def _encoded(lowered: Lowered, config: Config) -> bytes:
    """Return the instruction words. Raises ModelError where a layer's value has no field."""
    words = []
    for task in lowered.tasks:
        try:
            words.append(encode(task.instruction, config))
        except ProgramError as error:
            name = layers_of(lowered.graph)[task.layer].name
            raise ModelError(f"{name}: beyond what an instruction can hold: {error}") from None
    return b"".join([*words, encode(instruction("END"), config)])


def _host_work(lowered: Lowered) -> list[str]:
    """What the host does to input maps besides packing, a sentence each."""
    return [
        f"input map {name}: {fold.rows} kernel rows x {fold.columns} columns fold into "
        f"{lowered.graph.maps[name].channels} channels, "
        f"{lowered.graph.maps[name].channels * fold.height * fold.width} bytes"
        for name, fold in lowered.folds.items()
    ]


def _writable(lowered: Lowered, config: Config) -> list[tuple[int, int]]:
    """DRAM byte ranges of every storage but the graph's inputs."""
    placement = lowered.placement
    inputs = {placement.places[name].storage for name in lowered.graph.inputs}
    return [
        (address, address + placement.storages[name].words * config.activation_pitch)
        for name, address in placement.dram.items()
        if name not in inputs
    ]


def _symbols(lowered: Lowered, config: Config) -> list[Symbol]:
    graph, placement = lowered.graph, lowered.placement
    symbols = []
    borders = [(name, name, "input") for name in graph.inputs]
    borders += [
        (name, given, "output")
        for name, given in zip(graph.outputs, lowered.output_names, strict=True)
    ]
    named = set()
    for name, given, kind in borders:
        feature_map, where = graph.maps[name], placement.places[name]
        named.add(where.storage)
        offset = where.block * feature_map.pixels * config.activation_pitch
        size = where.blocks * feature_map.pixels * config.activation_pitch
        symbols.append(
            Symbol(
                name=given,
                kind=kind,
                address=placement.dram[where.storage] + offset,
                size_bytes=size,
                channels=feature_map.channels,
                height=feature_map.height,
                width=feature_map.width,
                scale=feature_map.quantization.scale,
                zero_point=feature_map.quantization.zero_point,
                fold=lowered.folds.get(name) if kind == "input" else None,
            )
        )
    for name, address in sorted(placement.dram.items()):
        if name not in named:
            storage = placement.storages[name]
            size = storage.words * config.activation_pitch
            symbols.append(Symbol(name=name, kind="map", address=address, size_bytes=size))
    return symbols


def _layers(lowered: Lowered, numbers: NDArray[np.int32]) -> list[Layer]:
    layers = []
    chained = {number for chain in lowered.chains for number in chain[:-1]}
    for number, node in enumerate(layers_of(lowered.graph)):
        members = np.flatnonzero(np.asarray(numbers) == number)
        layers.append(
            Layer(
                name=node.name,
                operator=_operator(node, is_on_unit=lowered.on_unit[number]),
                sources=node.source,
                macs=lowered.macs.get(node.output, 0),
                first=int(members[0]) if members.size else -1,
                last=int(members[-1]) if members.size else -1,
                is_chained=number in chained,
            )
        )
    return layers


def _operator(node: Node, *, is_on_unit: bool) -> str:
    name = "Depthwise" if is_on_unit else type(node).__name__
    return name + (" + residual" if getattr(node, "residual", None) else "")


def _macs(graph: Graph, node: Node) -> int:
    if not isinstance(node, Conv):
        return 0
    return int(np.prod(node.weight.shape)) * graph.maps[node.output].pixels
