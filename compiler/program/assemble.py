"""Sections become one program: instruction words, DRAM image, tensors, layers, steps."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from tilewright.compiler.frontend.importer import ImportedModel
from tilewright.compiler.graph.graph import Node
from tilewright.compiler.plan.placement import DRAM_ALIGNMENT, layers_of
from tilewright.compiler.program.checker import check_counts, check_program
from tilewright.compiler.section import Section
from tilewright.hw.spec import steps
from tilewright.hw.spec.binding import Binding
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, Instruction
from tilewright.hw.spec.program import BareProgram, Layer, Program, Symbol
from tilewright.hw.spec.words import encode_program, representatives
from tilewright.support.errors import ModelError, ProgramError

PREFETCH_BYTES = 64 * INSTRUCTION_BYTES
"""Zero bytes behind the last END that the hardware's prefetch may read."""


def assemble(model: ImportedModel, config: Config, sections: Sequence[Section]) -> Program:
    """Return the program of a model's sections behind all passes; the checker has passed on it.

    Raises ModelError where a layer's value has no field.
    """
    for section in sections:
        check_program(section.instructions, config, writable=section.writable)
    address = sections[-1].dram_end if sections else 0
    image = bytearray(address)
    for section in sections:
        _write_constants(section, image)
    for section in sections:
        image += _encoded(section, section.instructions)
    image += bytes(PREFETCH_BYTES)
    numbers = _layer_numbers(sections)
    return Program(
        config=config,
        image=bytes(image),
        memory_bytes=-(-len(image) // DRAM_ALIGNMENT) * DRAM_ALIGNMENT,
        program_address=address,
        num_instructions=sum(len(section.instructions) for section in sections),
        inputs=model.inputs,
        outputs=model.outputs,
        steps=tuple(_steps(model, sections)),
        symbols=tuple(symbol for section in sections for symbol in _symbols(section)),
        layers=tuple(_layers(sections, numbers)),
        instruction_layers=numbers,
        metadata={
            "model": model.name,
            "host_work": [line for section in sections for line in _host_work(section)],
            "notes": list(model.notes),
            "host_operators": [asdict(operator) for operator in model.host_operators],
            "batch": None if model.batch is None else model.batch.as_dict(),
            "coverage": model.coverage.as_dict(),
        },
    )


def bare(model: ImportedModel, config: Config, sections: Sequence[Section]) -> BareProgram:
    """Return the listing of what `assemble` makes of the same. Nothing is proved.

    Raises ModelError and ProgramError where `assemble` does for a model that asks for too much.
    """
    instructions: list[Instruction] = []
    for section in sections:
        its_own = section.instructions
        check_counts(its_own)
        _encoded(section, representatives(its_own))
        instructions += its_own
    numbers = _layer_numbers(sections)
    return BareProgram(
        config=config,
        instructions=tuple(instructions),
        sections=tuple(s for s in _steps(model, sections) if isinstance(s, steps.Section)),
        layers=tuple(_layers(sections, numbers)),
        instruction_layers=numbers,
    )


def _write_constants(section: Section, image: bytearray) -> None:
    """Put weights, parameters and constant input maps into the image."""
    constants = section.constants
    constants.write(image)
    memory = np.frombuffer(image, np.uint8)
    for name, values in section.imported.constants.items():
        section.in_dram(name).write(memory, values)


def _encoded(section: Section, instructions: Sequence[Instruction]) -> bytes:
    """Return the words of some or all of a section's instructions."""
    try:
        return encode_program(instructions, section.config)
    except ProgramError:
        for task in section.tasks:
            try:
                encode(task.instruction, section.config)
            except ProgramError as error:
                name = layers_of(section.graph)[task.layer].name
                raise ModelError(f"{name}: beyond what an instruction can hold: {error}") from None
        raise


def _steps(model: ImportedModel, sections: Sequence[Section]) -> list[steps.Step]:
    found: list[steps.Step] = []
    remaining, first = iter(sections), 0
    for step in model.steps:
        if isinstance(step, steps.Island):
            found.append(step)
            continue
        section = next(remaining)
        count = len(section.tasks) + 1
        outputs = dict(zip(section.output_names, section.graph.outputs, strict=True))
        found.append(
            steps.Section(
                name=step.name,
                first=first,
                num_instructions=count,
                inputs=tuple(_placed(item, item.stored.name, section) for item in step.inputs),
                outputs=tuple(
                    _placed(item, outputs[item.stored.name], section) for item in step.outputs
                ),
            )
        )
        first += count
    return found


def _placed(binding: Binding, name: str, section: Section) -> Binding:
    return replace(binding, fold=section.folds.get(name), stored=section.in_dram(name))


def _host_work(section: Section) -> list[str]:
    """What the host does to input maps besides packing, a sentence each."""
    return [
        f"input map {name}: {fold.rows} kernel rows x {fold.columns} columns fold into "
        f"{section.graph.maps[name].channels} channels, "
        f"{section.graph.maps[name].elements} bytes"
        for name, fold in section.folds.items()
    ]


def _symbols(section: Section) -> list[Symbol]:
    """The section's maps in DRAM: inputs, outputs, and what else is stored between layers."""
    placement = section.placement
    graph = section.graph
    borders = [(name, name, "input") for name in graph.inputs]
    borders += [
        (name, given, "output")
        for name, given in zip(graph.outputs, section.output_names, strict=True)
    ]
    symbols = []
    for name, given, kind in borders:
        stored = section.in_dram(name)
        symbols.append(
            Symbol(name=given, kind=kind, address=stored.placed.base, size_bytes=stored.size_bytes)
        )
    named = {placement.places[name].storage for name, _, _ in borders}
    for name, address in sorted(placement.dram.items()):
        if name not in named:
            size = placement.storages[name].size * section.config.activation_pitch
            symbols.append(Symbol(name=name, kind="map", address=address, size_bytes=size))
    return symbols


def _layer_numbers(sections: Sequence[Section]) -> np.ndarray:
    """The layer of each instruction, counted over all sections; -1 for END."""
    numbers: list[int] = []
    before = 0
    for section in sections:
        numbers += [before + task.layer for task in section.tasks]
        numbers.append(-1)
        before += len(section.on_unit)
    return np.array(numbers, np.int32)


def _layers(sections: Sequence[Section], numbers: np.ndarray) -> list[Layer]:
    """The layers; numbers: as of `_layer_numbers`."""
    layers: list[Layer] = []
    for section in sections:
        chained = {number for chain in section.chains for number in chain[:-1]}
        for number, node in enumerate(layers_of(section.graph)):
            members = np.flatnonzero(numbers == len(layers))
            layers.append(
                Layer(
                    name=node.name,
                    operator=_operator(node, is_on_unit=section.on_unit[number]),
                    sources=node.source,
                    macs=section.macs.get(node.output, 0),
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
