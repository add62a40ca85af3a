"""Models and programs run step by step; the islands between sections in ONNX Runtime."""

from collections.abc import Mapping

import numpy as np

from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection
from tilewright.compiler.graph.reference import Reference
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.steps import Island
from tilewright.sim.iss import Iss
from tilewright.support.ort import open_session, run_session

Tensors = dict[str, np.ndarray]


def run_on_reference(imported: ImportedModel, inputs: Mapping[str, np.ndarray]) -> Tensors:
    """Return the outputs of an imported model."""
    tensors = dict(inputs)
    for step in imported.steps:
        run = run_island if isinstance(step, Island) else run_section
        tensors |= run(step, tensors)
    return {spec.name: tensors[spec.name] for spec in imported.outputs}


def run_section(section: ImportedSection, tensors: Tensors) -> Tensors:
    maps = {item.stored.name: item.to_map(tensors[item.name]) for item in section.inputs}
    maps |= section.constants
    results = Reference(graph=section.graph).run({k: v[..., None] for k, v in maps.items()})
    return {item.name: item.from_map(results[item.stored.name][..., 0]) for item in section.outputs}


def run_island(island: Island, tensors: Tensors) -> Tensors:
    session = open_session(island.model)
    feeds = {name: tensors[name] for name in island.inputs}
    return run_session(session, feeds, island.outputs)


def run_on_iss(program: Program, inputs: Mapping[str, np.ndarray]) -> Tensors:
    """Return the outputs of a program's last section or island on the instruction-set simulator."""
    iss = Iss.of_program(program)
    tensors, made = dict(inputs), {}
    for step in program.steps:
        if isinstance(step, Island):
            made = run_island(step, tensors)
        else:
            for tensor in step.inputs:
                tensor.write(iss.memory, tensors[tensor.name])
            result = iss.run(program.address_of(step))
            assert result.fault is None, result.fault
            made = {tensor.name: tensor.read(result.memory) for tensor in step.outputs}
        tensors |= made
    return {spec.name: tensors[spec.name] for spec in program.outputs} or made
