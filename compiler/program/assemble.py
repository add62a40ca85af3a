"""Lowered sections become one program: instruction words, DRAM image, tensors, layers, steps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from tilewright.compiler.emit.context import Constants
from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.plan.placement import DRAM_ALIGNMENT, Placement, layers_of
from tilewright.compiler.program.checker import check_program
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, Instruction, instruction
from tilewright.hw.spec.program import Layer, Program, Symbol
from tilewright.hw.spec.steps import Island, Section, Step
from tilewright.hw.spec.tensor import MapLayout, Tensor
from tilewright.support.errors import ModelError, ProgramError

PREFETCH_BYTES = 64 * INSTRUCTION_BYTES
"""Zero bytes behind the last END that the hardware's prefetch may read."""


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """One section's tasks in program order with waits, and the memory they use."""

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

    @property
    def dram_end(self) -> int:
        """DRAM byte behind the section's maps and constants, aligned."""
        return -(-self.constants.end // DRAM_ALIGNMENT) * DRAM_ALIGNMENT

    def layout_of(self, name: str, config: Config) -> MapLayout:
        """Where an input or output map lies in DRAM."""
        where, stored = self.placement.places[name], self.graph.maps[name]
        offset = where.block * stored.pixels * config.activation_pitch
        return MapLayout.of(self.placement.dram[where.storage] + offset, stored.shape, config)


def assemble(model: ImportedModel, lowered: Sequence[Lowered], config: Config) -> Program:
    """Return the program of a model's lowered sections. The checker has passed on the result.

    Raises ModelError where a layer's value has no field.
    """
    for item in lowered:
        check_program(item.instructions, config, writable=_writable(item, config))
    address = lowered[-1].dram_end
    image = bytearray(address)
    for section, item in zip(model.sections, lowered, strict=True):
        _write_constants(section, item, image, config)
    image += b"".join(_encoded(item, config) for item in lowered) + bytes(PREFETCH_BYTES)
    return Program(
        config=config,
        image=bytes(image),
        memory_bytes=-(-len(image) // DRAM_ALIGNMENT) * DRAM_ALIGNMENT,
        program_address=address,
        num_instructions=sum(len(item.instructions) for item in lowered),
        inputs=model.inputs,
        outputs=model.outputs,
        steps=tuple(_steps(model, lowered, config)),
        symbols=tuple(
            symbol
            for section, item in zip(model.sections, lowered, strict=True)
            for symbol in _symbols(section, item, config)
        ),
        layers=tuple(_layers(model, lowered)),
        instruction_layers=_layer_numbers(lowered),
        metadata={
            "model": model.name,
            "host_work": [line for item in lowered for line in _host_work(item)],
            "notes": list(model.notes),
            "host_operators": [asdict(operator) for operator in model.host_operators],
            "batch": None if model.batch is None else model.batch.as_dict(),
            "coverage": model.coverage.as_dict(),
        },
    )


def _write_constants(
    section: ImportedSection, lowered: Lowered, image: bytearray, config: Config
) -> None:
    """Put weights, parameters and constant input maps into the image."""
    constants = lowered.constants
    image[constants.start : constants.end] = constants.data
    memory = np.frombuffer(image, np.uint8)
    for name, values in section.constants.items():
        lowered.layout_of(name, config).write(memory, values)


def _encoded(lowered: Lowered, config: Config) -> bytes:
    words = []
    for task in lowered.tasks:
        try:
            words.append(encode(task.instruction, config))
        except ProgramError as error:
            name = layers_of(lowered.graph)[task.layer].name
            raise ModelError(f"{name}: beyond what an instruction can hold: {error}") from None
    return b"".join([*words, encode(instruction("END"), config)])


def _steps(model: ImportedModel, lowered: Sequence[Lowered], config: Config) -> list[Step]:
    steps: list[Step] = []
    remaining, first = iter(lowered), 0
    for step in model.steps:
        if isinstance(step, Island):
            steps.append(step)
            continue
        item = next(remaining)
        count = len(item.instructions)
        outputs = dict(zip(item.output_names, item.graph.outputs, strict=True))
        steps.append(
            Section(
                name=step.name,
                first=first,
                num_instructions=count,
                inputs=tuple(_placed(tensor, tensor.map, item, config) for tensor in step.inputs),
                outputs=tuple(
                    _placed(tensor, outputs[tensor.map], item, config) for tensor in step.outputs
                ),
            )
        )
        first += count
    return steps


def _placed(tensor: Tensor, name: str, lowered: Lowered, config: Config) -> Tensor:
    layout = lowered.layout_of(name, config)
    return replace(tensor, fold=lowered.folds.get(name), layout=layout)


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


def _symbols(section: ImportedSection, lowered: Lowered, config: Config) -> list[Symbol]:
    """The section's maps in DRAM: inputs, outputs, and what else is stored between layers."""
    placement = lowered.placement
    graph = lowered.graph
    borders = [(name, name, "input") for name in graph.inputs]
    borders += [
        (name, given, "output")
        for name, given in zip(graph.outputs, lowered.output_names, strict=True)
    ]
    symbols = []
    for name, given, kind in borders:
        layout = lowered.layout_of(name, config)
        symbols.append(
            Symbol(name=given, kind=kind, address=layout.address, size_bytes=layout.size_bytes)
        )
    named = {placement.places[name].storage for name, _, _ in borders}
    for name, address in sorted(placement.dram.items()):
        if name not in named:
            size = placement.storages[name].words * config.activation_pitch
            symbols.append(Symbol(name=name, kind="map", address=address, size_bytes=size))
    return symbols


def _layer_numbers(lowered: Sequence[Lowered]) -> np.ndarray:
    """The layer of each instruction, counted over all sections; -1 for END."""
    numbers: list[int] = []
    before = 0
    for item in lowered:
        numbers += [before + task.layer for task in item.tasks]
        numbers.append(-1)
        before += len(item.on_unit)
    return np.array(numbers, np.int32)


def _layers(model: ImportedModel, lowered: Sequence[Lowered]) -> list[Layer]:
    numbers = _layer_numbers(lowered)
    layers: list[Layer] = []
    for section, item in zip(model.sections, lowered, strict=True):
        chained = {number for chain in item.chains for number in chain[:-1]}
        for number, node in enumerate(layers_of(item.graph)):
            members = np.flatnonzero(numbers == len(layers))
            layers.append(
                Layer(
                    name=node.name,
                    operator=_operator(node, is_on_unit=item.on_unit[number]),
                    sources=node.source,
                    macs=item.macs.get(node.output, 0),
                    first=int(members[0]) if members.size else -1,
                    last=int(members[-1]) if members.size else -1,
                    is_chained=number in chained,
                    section=section.name,
                )
            )
    return layers


def _operator(node: Node, *, is_on_unit: bool) -> str:
    name = "Depthwise" if is_on_unit else type(node).__name__
    return name + (" + residual" if getattr(node, "residual", None) else "")
