"""Where a model can run: the simulator, the RTL, the reference, ONNX Runtime. Same in, same out."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.hardware import rtl_model
from tilewright.flows.report.report import Retired
from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.flows.runtime.walk import Host, Memory, run_program
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.registers import Fault
from tilewright.hw.spec.steps import Section
from tilewright.support.errors import ExecutionError
from tilewright.support.ort import open_session, run_session
from tilewright.support.records import record

if TYPE_CHECKING:
    from tilewright.sim.cosim.parameters import DramParameters, RunResult


@record(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What one inference gave; `memory` and what follows only where a program was executed."""

    outputs: Sample
    seconds: float
    memory: NDArray[np.uint8] | None = None
    cycles: int | None = None
    retirements: tuple[Retired, ...] = ()
    cycles_per_second: float | None = None


class Target(Protocol):
    """Runs one sample at a time."""

    def run(self, sample: Mapping[str, Array]) -> Outcome: ...


class IssTarget:
    """The instruction-set simulator."""

    def __init__(self, program: Program) -> None:
        from tilewright.sim.iss import Iss

        self.program = program
        self._host = Host()
        self._simulator = Iss

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample. Raises ExecutionError on a fault."""
        start = time.monotonic()
        outputs, memory = run_program(self.program, sample, self._execute, self._host)
        return Outcome(outputs=outputs, seconds=time.monotonic() - start, memory=memory)

    def _execute(self, section: Section, memory: Memory) -> Memory:
        program = self.program
        result = self._simulator(program.config, memory).run(program.address_of(section))
        if result.fault is not None:
            index = section.first + result.fault.instruction
            message = fault_message(program, result.fault.cause, index)
            raise ExecutionError(f"{message}: {result.fault.message}")
        return result.memory


class RtlTarget:
    """The RTL under cocotb and Verilator; the simulator is built on construction.

    An access outside DRAM gets an error response, which is the accelerator's fault BUS_ERROR.

    waveform: a .vcd or .fst file for the first sample's waveforms; of further sections in files of
        their own, with the section's name behind this one's.
    """

    def __init__(
        self,
        program: Program,
        dram: "DramParameters | None" = None,
        waveform: Path | None = None,
    ) -> None:
        from tilewright.sim.cosim import runner
        from tilewright.sim.cosim.parameters import DramParameters

        self.program = program
        self._host = Host()
        self.model = rtl_model(program.config, waveform=waveform)
        self._waveforms = iter(waveform_files(program, waveform))
        self.dram = dataclasses.replace(dram or DramParameters(), allow_out_of_range=True)
        self._simulate = runner.run

    @property
    def is_timed(self) -> bool:
        """Whether the timing model covers this DRAM: full bandwidth, no random stalls."""
        return self.dram.beats_per_cycle == 1 and not self.dram.stall_probability

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample; cycles and retirements count on from section to section.

        Raises ExecutionError on a fault or a run that does not end.
        """
        start = time.monotonic()
        runs: list[RunResult] = []

        def execute(section: Section, memory: Memory) -> Memory:
            runs.append(self._execute(section, memory))
            return runs[-1].memory

        outputs, memory = run_program(self.program, sample, execute, self._host)
        cycles = sum(run.cycles for run in runs)
        seconds = sum(run.cycles / run.cycles_per_second for run in runs)
        return Outcome(
            outputs=outputs,
            seconds=time.monotonic() - start,
            memory=memory,
            cycles=cycles,
            retirements=tuple(_retirements(runs)),
            cycles_per_second=cycles / seconds if runs else None,
        )

    def _execute(self, section: Section, memory: Memory) -> "RunResult":
        program = self.program
        result = self._simulate(
            self.model,
            memory,
            program_address=program.address_of(section),
            digest_word=program.config.digest_word,
            dram=self.dram,
            trace=next(self._waveforms, None),
        )
        if result.fault != Fault.NONE:
            index = result.fault_instruction
            place = None if index is None else section.first + index
            raise ExecutionError(fault_message(program, result.fault, place))
        return result


def waveform_files(program: Program, waveform: Path | None) -> list[Path]:
    """Return the file of each section's waveforms, none without one."""
    if waveform is None:
        return []
    further = [section.name for section in program.sections[1:]]
    names = [f"{waveform.stem}-{name}{waveform.suffix}" for name in further]
    return [waveform, *(waveform.with_name(name) for name in names)]


def _retirements(runs: Sequence["RunResult"]) -> Iterator[Retired]:
    """The retirements of all sections, numbers and cycles counted on."""
    counts, cycles = dict.fromkeys(Engine, 0), 0
    for run in runs:
        before = dict(counts)
        for item in run.retirements:
            engine = Engine[item.engine.upper()]
            counts[engine] = before[engine] + item.count
            yield engine, counts[engine], cycles + item.cycle
        cycles += run.cycles


class OnnxRuntimeTarget:
    """ONNX Runtime with all graph optimizations off: the QDQ graph as it is written.

    A model with a fixed batch runs a single sample as often as its batch has samples.
    """

    def __init__(self, model: Path, batch: Batch | None = None) -> None:
        self._batch = batch
        self._session = open_session(str(model))

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample, or what an inference of the model takes."""
        start = time.monotonic()
        batch = self._batch
        repeats = 1
        if batch and batch.size and all(len(sample.get(name, ())) == 1 for name in batch.inputs):
            repeats = batch.size
            stacked = {name: np.repeat(sample[name], repeats, 0) for name in batch.inputs}
            sample = {**sample, **stacked}
        outputs = run_session(self._session, sample)
        if batch and repeats > 1:
            first = {name: outputs[name][: len(outputs[name]) // repeats] for name in batch.outputs}
            outputs |= first
        return Outcome(outputs=outputs, seconds=time.monotonic() - start)

    def run_batch(self, samples: Sequence[Mapping[str, Array]]) -> list[Sample]:
        """Return the outputs of each sample; as many as the model's batch has run together."""
        size = 1 if self._batch is None else self._batch.size or len(samples)
        whole = len(samples) // size * size
        outputs: list[Sample] = []
        for first in range(0, whole, size):
            outputs += self._run_together(samples[first : first + size])
        return outputs + [self.run(sample).outputs for sample in samples[whole:]]

    def _run_together(self, samples: Sequence[Mapping[str, Array]]) -> list[Sample]:
        batch = self._batch
        if batch is None or len(samples) == 1:
            return [self.run(sample).outputs for sample in samples]
        stacked = {name: np.concatenate([s[name] for s in samples]) for name in batch.inputs}
        outputs = run_session(self._session, {**samples[0], **stacked})
        parts = {name: np.split(outputs[name], len(samples)) for name in batch.outputs}
        return [
            outputs | {name: part[number] for name, part in parts.items()}
            for number in range(len(samples))
        ]


def fault_message(program: Program, cause: Fault, index: int | None) -> str:
    """Return a sentence about a fault, with the instruction and the layer it belongs to."""
    place = ""
    if index is not None and 0 <= index < program.num_instructions:
        layer = int(program.instruction_layers[index])
        named = f" of layer {program.layers[layer].name!r}" if layer >= 0 else ""
        place = f" at instruction {index}{named}"
    return f"the accelerator stopped with fault {cause.name}{place}"
