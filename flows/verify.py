"""Compile, build, run and compare: the steps that `cosim`, `demo` and `sweep` share."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tilewright.flows.compare import Agreement, compare_outputs, first_difference
from tilewright.flows.models import CompiledModel, ReferenceTarget, output_steps
from tilewright.flows.report.report import LayerReport, layer_reports, utilization
from tilewright.flows.runtime.batches import batch_of
from tilewright.flows.runtime.targets import (
    IssTarget,
    OnnxRuntimeTarget,
    Outcome,
    RtlTarget,
    Target,
)
from tilewright.flows.runtime.tensors import Sample
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.program import Program
from tilewright.sim.timing import simulate
from tilewright.support.records import record


@record(frozen=True, kw_only=True, eq=False)
class Verification:
    """The outcome of a co-simulation: what ran, what it cost, and whether everything agrees."""

    program: Program
    rtl: tuple[Outcome, ...]
    iss: tuple[Outcome, ...]
    memory_differences: tuple[str, ...]
    """Where DRAM on the RTL differs from the simulator's; empty: byte for byte equal."""
    reference: Agreement
    """Simulator against the project's reference, over the samples of `iss`."""
    ort: Agreement | None
    layers: tuple[LayerReport, ...]
    estimated_cycles: int | None
    """The timing model's, for the same DRAM; None for a DRAM that it does not model."""
    estimated_layers: tuple[LayerReport, ...]
    """Its layers; none for such a DRAM."""
    timing_seconds: float
    """What the timing model took."""
    build_seconds: float

    @property
    def cycles(self) -> int:
        """Cycles of the first sample on the RTL; the others take as long."""
        return self.rtl[0].cycles or 0

    @property
    def utilization(self) -> float | None:
        """MACs of all layers over what the array could have done in the run's cycles."""
        macs = sum(layer.macs for layer in self.layers)
        return utilization(macs, self.cycles, self.program.config)

    @property
    def largest_layer_error(self) -> tuple[float, int] | None:
        """The timing model's largest error on a layer: of its cycles on the RTL, and in cycles."""
        errors = [
            (estimate.cycles - layer.cycles, layer.cycles)
            for layer, estimate in zip(self.layers, self.estimated_layers, strict=False)
            if layer.cycles and estimate.cycles is not None
        ]
        if not errors:
            return None
        share = max(abs(off) / cycles for off, cycles in errors)
        return share, max(abs(off) for off, _ in errors)

    @property
    def is_exact(self) -> bool:
        """RTL, simulator and reference agree byte for byte."""
        return not self.memory_differences and self.reference.is_exact


def verify(
    compiled: CompiledModel,
    samples: Sequence[Sample],
    rtl: RtlTarget,
    *,
    num_rtl: int,
    with_ort: bool = False,
    build_seconds: float = 0.0,
    run: "Run | None" = None,
) -> Verification:
    """Run the first `num_rtl` samples on the RTL, all of them on the simulator, and compare.

    run: runs samples on a target, whose name it is told; by default without progress.
    """
    run, program = run or run_all, compiled.program
    on_rtl = run(rtl, samples[:num_rtl], "the RTL")
    on_iss = run(IssTarget(program), samples, "the simulator")
    differences = []
    for number, (given, expected) in enumerate(zip(on_rtl, on_iss, strict=False)):
        assert given.memory is not None
        assert expected.memory is not None
        found = first_difference(program, given.memory, expected.memory)
        if found is not None:
            differences.append(f"sample {number}: {found}")
    ours = [outcome.outputs for outcome in on_iss]
    reference = ReferenceTarget(compiled.imported)
    references = [o.outputs for o in run(reference, samples, "the reference")]
    agreement = None
    if with_ort:
        witness = [o.outputs for o in run(_onnx_runtime(compiled), samples, "ONNX Runtime")]
        agreement = compare_outputs(ours, witness, output_steps(compiled.path))
    start = time.monotonic()
    timing = simulate(program, latency=rtl.dram.latency_cycles) if rtl.is_timed else None
    timing_seconds = time.monotonic() - start
    return Verification(
        program=program,
        rtl=tuple(on_rtl),
        iss=tuple(on_iss),
        memory_differences=tuple(differences),
        reference=compare_outputs(ours, references, output_steps(compiled.path)),
        ort=agreement,
        layers=layer_reports(program, on_rtl[0].retirements if on_rtl else ()),
        estimated_cycles=timing.cycles if timing else None,
        estimated_layers=layer_reports(program, timing.retirements) if timing else (),
        timing_seconds=timing_seconds,
        build_seconds=build_seconds,
    )


def _onnx_runtime(compiled: CompiledModel) -> OnnxRuntimeTarget:
    return OnnxRuntimeTarget(compiled.path, batch_of(compiled.program))


Run = Callable[[Target, Sequence[Sample], str], list[Outcome]]
"""Runs samples on a target with that name, one by one."""


def run_all(target: Target, samples: Sequence[Sample], name: str) -> list[Outcome]:
    """Run the samples one by one."""
    return [target.run(sample) for sample in samples]


def timed_rtl(
    program: Program,
    latency: int = MEMORY_LATENCY,
    bandwidth: float = 1.0,
    stalls: float = 0.0,
    waveform: Path | None = None,
) -> tuple[RtlTarget, float]:
    """Return the RTL target and the seconds that generating and building took.

    DRAM: latency in cycles, bandwidth in beats a cycle and direction, and the chance with which a
    handshake is withheld in a cycle. waveform: as RtlTarget.
    """
    from tilewright.sim.cosim.parameters import DramParameters

    start = time.monotonic()
    dram = DramParameters(
        latency_cycles=latency, beats_per_cycle=bandwidth, stall_probability=stalls
    )
    target = RtlTarget(program, dram, waveform)
    return target, time.monotonic() - start
