"""One job, in a process that does nothing else: compile, replay or run, and count.

What is only replayed has no data: its program is listed, neither written nor proved.

A model is read once: its readings are kept as files, which hold less memory than reading it again,
and without what only `compare` needs.
A model of several sections is read for each config, as what joins the host depends on that; so is
one with a pooling that is too large for the config.
"""

import mmap
import pickle
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from tilewright.compiler.compile import compile_model, list_instructions
from tilewright.compiler.frontend.fitting import oversized_poolings
from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection
from tilewright.compiler.graph.graph import Conv
from tilewright.flows.models import CompiledModel, import_file
from tilewright.flows.report.report import layer_reports, utilization
from tilewright.flows.sweep.energy import count
from tilewright.flows.sweep.job import Job, LayerCycles, Result, Setup
from tilewright.sim.timing import simulate
from tilewright.support.collector import no_collections
from tilewright.support.errors import ExecutionError, TilewrightError

KEPT_READINGS = 2
"""Models that a process holds at a time."""
ARRAY_ALIGNMENT = 64
"""Bytes, of the weights, which a reading's file has behind its objects."""


def keep_reading(path: Path, setup: Setup, target: Path) -> None:
    """Read a model and keep it in a file for `measure`. Raises ModelError.

    With it the sums of its weights, so that a replay never looks at these.
    """
    imported = _read_for_all(path, setup)
    for section in imported.sections if imported else ():
        for node in section.graph.nodes:
            if isinstance(node, Conv):
                node.weight_sums  # noqa: B018 which are remembered
    arrays: list[pickle.PickleBuffer] = []
    read = pickle.dumps(imported, protocol=5, buffer_callback=arrays.append)
    found = [array.raw() for array in arrays]
    with target.open("wb") as file:
        pickle.dump((read, [array.nbytes for array in found]), file)
        for array in found:
            file.write(bytes(-file.tell() % ARRAY_ALIGNMENT))
            file.write(array)


def _read_for_all(path: Path, setup: Setup) -> ImportedModel | None:
    """Read a model; None where that depends on the config."""
    options = setup.options
    imported = import_file(path, options=options)
    sections = [step for step in imported.steps if isinstance(step, ImportedSection)]
    is_for_all = len(sections) == 1 or options.keep_sections or options.strict
    return replace(imported, stored={}) if is_for_all else None


@lru_cache(maxsize=KEPT_READINGS)
def _kept(reading: Path) -> ImportedModel | None:
    with reading.open("rb") as file:
        read, sizes = pickle.load(file)
        start = file.tell()
        memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    arrays = []
    for size in sizes:
        start += -start % ARRAY_ALIGNMENT
        arrays.append(memory[start : start + size])
        start += size
    found: ImportedModel | None = pickle.loads(read, buffers=arrays)
    return found


_read_here = lru_cache(maxsize=KEPT_READINGS)(_read_for_all)


@no_collections()
def measure(job: Job, reading: Path | None) -> Result:
    """Return what came of a job.

    reading: the file of `keep_reading`; None: this process reads the model itself, once.

    On the RTL, the memory must equal the simulator's and the outputs the reference's.
    """
    try:
        imported = _kept(reading) if reading else _read_here(job.model.path, job.setup)
        if imported is None or oversized_poolings(
            [section.graph for section in imported.sections], job.config
        ):
            imported = import_file(job.model.path, job.config, job.setup.options)
        return _measured(job, imported)
    except TilewrightError as error:
        return Result(error=" ".join(str(error).split()))


def _measured(job: Job, imported: ImportedModel) -> Result:
    start = time.monotonic()
    model = _compiled(job, imported) if job.setup.fidelity == "rtl" else None
    program = model.program if model else list_instructions(imported, job.config)
    compiled = time.monotonic()
    timing = simulate(program, latency=job.latency)
    cycles = _cycles_on_rtl(job, model) if model else timing.cycles
    layers = layer_reports(program, timing.each_retirement())
    macs = sum(layer.macs for layer in layers)
    return Result(
        cycles=cycles,
        estimated_cycles=timing.cycles,
        utilization=utilization(macs, cycles, job.config),
        macs=macs,
        coverage=imported.coverage,
        bytes_loaded=sum(layer.load_bytes for layer in layers),
        bytes_stored=sum(layer.store_bytes for layer in layers),
        instructions=len(program.instructions),
        compile_seconds=round(compiled - start, 3),
        run_seconds=round(time.monotonic() - compiled, 3),
        counts=count(program, macs),
        layers=tuple(
            LayerCycles(name=layer.name, cycles=layer.cycles, macs=layer.macs) for layer in layers
        ),
        buckets={
            engine.name.lower(): {bucket.name.lower(): count for bucket, count in counts.items()}
            for engine, counts in timing.buckets.items()
        },
    )


def _compiled(job: Job, imported: ImportedModel) -> CompiledModel:
    start = time.monotonic()
    program = compile_model(imported, job.config)
    return CompiledModel(
        path=job.model.path,
        program=program,
        seconds=time.monotonic() - start,
        options=job.setup.options,
        read=imported,
    )


def _cycles_on_rtl(job: Job, compiled: CompiledModel) -> int:
    from tilewright.flows.execution import load_inputs
    from tilewright.flows.runtime.wanted import WantedInputs
    from tilewright.flows.verify import timed_rtl, verify

    samples = load_inputs(compiled.program, WantedInputs(seed=job.setup.seed))
    target, _ = timed_rtl(compiled.program, job.latency)
    result = verify(compiled, samples, target, num_rtl=1)
    if result.memory_differences:
        raise ExecutionError(f"RTL and simulator differ: {result.memory_differences[0]}")
    if not result.reference.is_exact:
        raise ExecutionError(f"simulator and reference differ: {result.reference.sentence()}")
    return result.cycles
