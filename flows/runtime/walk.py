"""A run of a program, step by step: islands on the host, sections wherever the caller has them.

Host operators run in ONNX Runtime with all graph optimizations off.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.steps import Island, Section
from tilewright.hw.spec.tensor import TensorSpec
from tilewright.support.errors import InputError
from tilewright.support.ort import open_session, run_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Memory = NDArray[np.uint8]

SomeSection = TypeVar("SomeSection")


def walk(
    steps: Sequence[SomeSection | Island],
    specs: tuple[Sequence[TensorSpec], Sequence[TensorSpec]],
    sample: Mapping[str, Array],
    run_section: Callable[[SomeSection, Sample], Sample],
) -> Sample:
    """Return the outputs of one sample; specs: the model's inputs and outputs.

    run_section: runs a section on the tensors that there are; returns those that it gives.

    Raises InputError for inputs that are not the model's.
    """
    inputs, outputs = specs
    tensors = check_inputs(inputs, sample)
    for step in steps:
        if isinstance(step, Island):
            tensors |= run_island(step, tensors)
        else:
            tensors |= run_section(step, tensors)
    return {spec.name: tensors[spec.name] for spec in outputs}


def run_program(
    program: Program,
    sample: Mapping[str, Array],
    execute: Callable[[Section, Memory], Memory],
) -> tuple[Sample, Memory]:
    """Return the outputs of one sample and the DRAM, (memory_bytes,) uint8, after the last section.

    execute: runs a section on a DRAM and returns what it is afterwards. A program without a model
    has its DRAM as the output "memory".
    """
    memory = np.zeros(program.memory_bytes, np.uint8)
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)

    def run_section(section: Section, tensors: Sample) -> Sample:
        nonlocal memory
        for tensor in section.inputs:
            tensor.write(memory, tensors[tensor.name])
        memory = execute(section, memory)
        return {tensor.name: tensor.read(memory) for tensor in section.outputs}

    outputs = walk(program.steps, (program.inputs, program.outputs), sample, run_section)
    return outputs if program.outputs else {"memory": memory}, memory


def run_island(island: Island, tensors: Mapping[str, Array]) -> Sample:
    """Run host operators on the tensors that there are."""
    feeds = {name: tensors[name] for name in island.inputs}
    return run_session(_session(island.model), feeds, island.outputs, "the host operators' inputs")


@cache
def _session(model: bytes) -> "InferenceSession":
    return open_session(model, what="the host operators")


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> Sample:
    """Return the inputs as arrays, in the order of `specs`.

    Raises InputError where a name, shape or dtype differs from `specs`.
    """
    names = [spec.name for spec in specs]
    if set(names) != set(inputs):
        raise InputError(f"the model's inputs are {names}, got {sorted(inputs)}")
    checked: Sample = {}
    for spec in specs:
        array = np.asarray(inputs[spec.name])
        if array.shape != spec.shape or array.dtype.name != spec.dtype:
            raise InputError(
                f"input {spec.name!r} must be {spec.dtype} {list(spec.shape)}, "
                f"got {array.dtype.name} {list(array.shape)}"
            )
        checked[spec.name] = array
    return checked
