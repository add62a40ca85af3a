"""A run of a program, step by step: islands on the host, sections wherever the caller has them.

Host operators run in ONNX Runtime with all graph optimizations off.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.runtime.tensors import Array, Sample, check_names, check_tensor
from tilewright.hw.spec.binding import TensorSpec
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.steps import Island, Section
from tilewright.support.ort import open_session, run_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Memory = NDArray[np.uint8]

SomeSection = TypeVar("SomeSection")


class Host:
    """Runs the islands of a program, and keeps their sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, InferenceSession] = {}

    def run(self, island: Island, tensors: Mapping[str, Array]) -> Sample:
        """Run an island's operators on the tensors that there are.

        Raises ModelError or InputError where ONNX Runtime refuses the operators or their inputs.
        """
        if island.name not in self._sessions:
            self._sessions[island.name] = open_session(island.model, what="the host operators")
        feeds = {name: tensors[name] for name in island.inputs}
        session = self._sessions[island.name]
        return run_session(session, feeds, island.outputs, "the host operators' inputs")


def walk(
    steps: Sequence[SomeSection | Island],
    specs: tuple[Sequence[TensorSpec], Sequence[TensorSpec]],
    samples: Sequence[Mapping[str, Array]],
    run_section: Callable[[SomeSection, Sequence[Sample]], Sequence[Sample]],
    host: Host,
) -> list[Sample]:
    """Return the outputs of each sample; specs: the model's inputs and outputs.

    run_section: runs a section on the tensors that there are of each sample; returns those that it
    gives.

    Raises InputError for inputs that are not the model's.
    """
    inputs, outputs = specs
    tensors = [check_inputs(inputs, sample) for sample in samples]
    for step in steps:
        if isinstance(step, Island):
            results: Sequence[Sample] = [host.run(step, known) for known in tensors]
        else:
            results = run_section(step, tensors)
        tensors = [known | new for known, new in zip(tensors, results, strict=True)]
    return [{spec.name: known[spec.name] for spec in outputs} for known in tensors]


def run_program(
    program: Program,
    sample: Mapping[str, Array],
    execute: Callable[[Section, Memory], Memory],
    host: Host,
) -> tuple[Sample, Memory]:
    """Return the outputs of one sample and the DRAM, (memory_bytes,) uint8, after the last section.

    execute: runs a section on a DRAM and returns what it is afterwards. A program without a model
    has its DRAM as the output "memory".
    """
    memory = np.zeros(program.memory_bytes, np.uint8)
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)

    def run_section(section: Section, samples: Sequence[Sample]) -> list[Sample]:
        nonlocal memory
        (tensors,) = samples
        for tensor in section.inputs:
            tensor.write(memory, tensors[tensor.name])
        memory = execute(section, memory)
        return [{tensor.name: tensor.read(memory) for tensor in section.outputs}]

    specs = program.inputs, program.outputs
    (outputs,) = walk(program.steps, specs, [sample], run_section, host)
    return outputs if program.outputs else {"memory": memory}, memory


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> Sample:
    """Return the inputs as arrays, in the order of `specs`.

    Raises InputError where a name, shape or dtype differs from `specs`.
    """
    check_names(inputs, specs, "inputs")
    checked = {spec.name: np.asarray(inputs[spec.name]) for spec in specs}
    for spec in specs:
        check_tensor(checked[spec.name], spec, "inputs")
    return checked
