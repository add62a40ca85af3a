"""Inputs, targets and outputs of a run: what the commands and the Python API share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.flows.models import CompiledModel, ReferenceTarget, input_ranges
from tilewright.flows.report.progress import counted
from tilewright.flows.runtime.batches import batch_of, join_batch, split_batch
from tilewright.flows.runtime.targets import (
    IssTarget,
    OnnxRuntimeTarget,
    Outcome,
    Target,
)
from tilewright.flows.runtime.tensors import (
    Array,
    Sample,
    load_samples,
    random_samples,
    save_arrays,
    save_samples,
)
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.flows.verify import timed_rtl
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.program import Program
from tilewright.support.errors import ConfigError, InputError

if TYPE_CHECKING:
    from tilewright.compiler.frontend.importer import ImportedModel

TARGET_NAMES = ("iss", "rtl", "reference", "ort")
LINE_SECONDS = 10.0
"""Off a terminal samples have a line of progress in this time."""


def load_inputs(program: Program, wanted: WantedInputs) -> list[Sample]:
    """Return the samples of the file, or seeded random ones; of a batch one by one.

    Raises InputError.
    """
    return model_inputs(program, batch_of(program), wanted)


def model_inputs(
    model: "Program | ImportedModel", batch: Batch | None, wanted: WantedInputs
) -> list[Sample]:
    """The same of a program, or of an imported model, with this batch."""
    if wanted.samples is not None and wanted.samples < 1:
        raise InputError(f"--samples must be at least 1, got {wanted.samples}")
    specs = model.inputs
    if wanted.input_file is not None:
        return load_samples(wanted.input_file, specs, wanted.samples, batch)
    return random_samples(specs, wanted.samples or 1, input_ranges(model), wanted.seed)


def make_target(
    on: str,
    program: Program,
    compiled: CompiledModel | None,
    latency: int = MEMORY_LATENCY,
    waveform: Path | None = None,
) -> Target:
    """Return what runs the samples; latency: DRAM cycles of the RTL; waveform: as RtlTarget.

    Raises InputError when it needs the model and has none.
    """
    if on == "iss":
        return IssTarget(program)
    if on == "rtl":
        return timed_rtl(program, latency, waveform=waveform)[0]
    if compiled is None:
        raise InputError(f"--on {on} runs the ONNX model; give it with --model MODEL.onnx")
    if on == "reference":
        return ReferenceTarget(compiled.imported)
    if on == "ort":
        return OnnxRuntimeTarget(compiled.path, batch_of(program))
    raise ConfigError(f"a model runs on {', '.join(TARGET_NAMES)}, not on {on!r}")


def infer(target: Target, program: Program, feed: Mapping[str, Array]) -> Outcome:
    """Run one inference on the inputs as the model has them; the samples of a batch one by one.

    Raises InputError for a wrong name, shape or dtype, ExecutionError on a fault.
    """
    batch = batch_of(program)
    if batch is None:
        return target.run(feed)
    samples = split_batch(batch, program.inputs, feed)
    if isinstance(target, OnnxRuntimeTarget):
        return target.run(feed)
    outcomes = [target.run(sample) for sample in samples]
    outputs = join_batch(batch, program.outputs, [outcome.outputs for outcome in outcomes])
    if not outcomes:
        return Outcome(outputs=outputs, seconds=0.0)
    cycles = [outcome.cycles for outcome in outcomes if outcome.cycles is not None]
    return replace(
        outcomes[-1],
        outputs=outputs,
        seconds=sum(outcome.seconds for outcome in outcomes),
        cycles=sum(cycles) if cycles else None,
    )


def run_samples(
    target: Target, inputs: Sequence[Sample], name: str, done: list[Outcome] | None = None
) -> list[Outcome]:
    """Run the samples one by one, with progress.

    done: gets the outcomes as they come, so that an interruption leaves them.
    """
    outcomes: list[Outcome] = [] if done is None else done
    with counted(f"sample on {name}", len(inputs), every_seconds=LINE_SECONDS) as advance:
        for sample in inputs:
            outcomes.append(target.run(sample))
            advance("")
    return outcomes


def save_outputs(path: Path, program: Program, outcomes: Sequence[Outcome]) -> None:
    """Write outputs stacked over the samples as [n, *shape], of a batch as the model has them."""
    outputs = [outcome.outputs for outcome in outcomes]
    batch = batch_of(program)
    if batch is None:
        save_samples(path, outputs)
    else:
        save_arrays(path, join_batch(batch, program.outputs, outputs))
