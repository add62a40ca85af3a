"""Where a model can run: the simulator, the RTL, the reference, ONNX Runtime. Same in, same out."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.border import Border
from tilewright.flows.hardware import rtl_model
from tilewright.flows.report.report import Retired
from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.layout import unpack_map
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.registers import Fault
from tilewright.support.errors import ExecutionError, InputError, ModelError

if TYPE_CHECKING:
    from tilewright.sim.cosim.parameters import DramParameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What one inference gave; `memory` and what follows only where a program was executed."""

    outputs: Sample
    seconds: float
    memory: NDArray[np.uint8] | None = None
    cycles: int | None = None
    retired: tuple[Retired, ...] = ()
    cycles_per_second: float | None = None


class Target(Protocol):
    """Runs one sample at a time."""

    def run(self, sample: Mapping[str, Array]) -> Outcome: ...


@dataclass(frozen=True, eq=False)
class Executable:
    """A program with its border: from model inputs to a DRAM image and back."""

    program: Program

    @cached_property
    def border(self) -> Border:
        """The program's border; a program that was assembled by hand has no inputs and outputs."""
        if not self.has_border:
            return Border(inputs=(), outputs=(), packings=(), unpackings=())
        return Border.from_sections(self.program.blobs)

    @property
    def has_border(self) -> bool:
        """Whether the program came from a model."""
        return "border.json" in self.program.blobs

    def image(self, sample: Mapping[str, Array]) -> NDArray[np.uint8]:
        """Return the DRAM, (memory_bytes,) uint8, with the sample's input maps in place."""
        memory = np.zeros(self.program.memory_bytes, np.uint8)
        memory[: len(self.program.image)] = np.frombuffer(self.program.image, np.uint8)
        for name, values in self.border.prepare(sample).items():
            symbol = self.program.symbol(name)
            data = symbol.pack(values, self.program.config)
            assert len(data) == symbol.size_bytes, (name, len(data), symbol.size_bytes)
            memory[symbol.address : symbol.address + len(data)] = np.frombuffer(data, np.uint8)
        return memory

    def outputs(self, memory: NDArray[np.uint8], sample: Mapping[str, Array]) -> Sample:
        """Return the model's outputs from the DRAM after a run; without a model, the DRAM."""
        if not self.has_border:
            return {"memory": memory}
        maps = {}
        for symbol in self.program.of_kind("output"):
            maps[symbol.name] = unpack_map(
                memory[symbol.address : symbol.address + symbol.size_bytes],
                symbol.channels,
                symbol.height,
                symbol.width,
                self.program.config,
                channel_offset=symbol.channel_offset,
            )
        return self.border.finish(maps, sample)


class IssTarget:
    """The instruction-set simulator."""

    def __init__(self, program: Program) -> None:
        from tilewright.sim.iss import Iss

        self.executable = Executable(program)
        self._simulator = Iss

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample. Raises ExecutionError on a fault."""
        program = self.executable.program
        start = time.monotonic()
        simulator = self._simulator(program.config, self.executable.image(sample))
        result = simulator.run(program.program_address)
        if result.fault is not None:
            raise ExecutionError(
                fault_message(program, result.fault.cause, result.fault.instruction)
                + f": {result.fault.message}"
            )
        outputs = self.executable.outputs(result.memory, sample)
        return Outcome(outputs=outputs, seconds=time.monotonic() - start, memory=result.memory)


class RtlTarget:
    """The RTL under cocotb and Verilator; the simulator is built on construction.

    An access outside DRAM gets an error response, which is the accelerator's fault BUS_ERROR.
    """

    def __init__(self, program: Program, dram: "DramParameters | None" = None) -> None:
        from tilewright.sim.cosim import runner
        from tilewright.sim.cosim.parameters import DramParameters

        self.executable = Executable(program)
        self.model = rtl_model(program.config)
        self.dram = dataclasses.replace(dram or DramParameters(), allow_out_of_range=True)
        self._simulate = runner.run

    @property
    def is_timed(self) -> bool:
        """Whether the timing model covers this DRAM: full bandwidth, no random stalls."""
        return self.dram.beats_per_cycle == 1 and not self.dram.stall_probability

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample. Raises ExecutionError on a fault or a run that does not end."""
        program = self.executable.program
        start = time.monotonic()
        result = self._simulate(
            self.model,
            self.executable.image(sample),
            program_address=program.program_address,
            digest_word=program.config.digest_word,
            dram=self.dram,
        )
        if result.fault != Fault.NONE:
            raise ExecutionError(fault_message(program, result.fault, result.fault_instruction))
        return Outcome(
            outputs=self.executable.outputs(result.memory, sample),
            seconds=time.monotonic() - start,
            memory=result.memory,
            cycles=result.cycles,
            retired=tuple(
                (Engine[item.engine.upper()], item.count, item.cycle) for item in result.retirements
            ),
            cycles_per_second=result.cycles_per_second,
        )


class OnnxRuntimeTarget:
    """ONNX Runtime with all graph optimizations off: the QDQ graph as it is written.

    A model with a fixed batch runs a single sample as often as its batch has samples.
    """

    def __init__(self, model: Path, batch: Batch | None = None) -> None:
        import onnxruntime

        self._batch = batch
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise ModelError(f"ONNX Runtime refuses the model: {error}") from None

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample, or what an inference of the model takes."""
        start = time.monotonic()
        batch = self._batch
        repeats = 1
        if batch and batch.size and all(len(sample.get(name, ())) == 1 for name in batch.inputs):
            repeats = batch.size
            stacked = {name: np.repeat(sample[name], repeats, 0) for name in batch.inputs}
            sample = {**sample, **stacked}
        try:
            values: list[Any] = self._session.run(None, dict(sample))
        except Exception as error:  # as above
            raise InputError(f"ONNX Runtime refuses the inputs: {error}") from None
        names = [output.name for output in self._session.get_outputs()]
        outputs = dict(zip(names, values, strict=True))
        if batch and repeats > 1:
            first = {name: outputs[name][: len(outputs[name]) // repeats] for name in batch.outputs}
            outputs |= first
        return Outcome(outputs=outputs, seconds=time.monotonic() - start)


def fault_message(program: Program, cause: Fault, index: int | None) -> str:
    """Return a sentence about a fault, with the instruction and the layer it belongs to."""
    place = ""
    if index is not None and 0 <= index < program.num_instructions:
        layer = int(program.instruction_layers[index])
        named = f" of layer {program.layers[layer].name!r}" if layer >= 0 else ""
        place = f" at instruction {index}{named}"
    return f"the accelerator stopped with fault {cause.name}{place}"
