"""What a co-simulation found, as a table with sentences and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tilewright.flows.report.coverage import coverage_json, print_coverage
from tilewright.flows.report.display import percent, plural, signed_percent, table
from tilewright.flows.report.islands import islands_json, print_islands, steps_json
from tilewright.flows.report.report import layer_columns, layer_rows, total_row
from tilewright.flows.verify import Verification

if TYPE_CHECKING:
    from tilewright.sim.cosim.parameters import DramParameters


def print_verification(out: Console, result: Verification, name: str) -> None:
    """Print the table of layers, the cycles, and what agrees with what."""
    config = result.program.config
    print_coverage(out, result.program)
    print_islands(out, result.program)
    rows = layer_rows(result.layers)
    rows.append(total_row(result.layers, config, result.cycles))
    title = f"{name} on the RTL of {config.name} ({config.rows}x{config.cols})"
    out.print(table(title, layer_columns(), rows))
    for line in sentences(result):
        out.print(line, markup=False)


def sentences(result: Verification) -> Iterator[str]:
    """Yield the findings in words."""
    seconds = sum(outcome.seconds for outcome in result.rtl)
    rates = [outcome.cycles_per_second or 0.0 for outcome in result.rtl]
    yield (
        f"{result.cycles:,} cycles, array {percent(result.utilization) or '-'} busy; "
        f"{plural(len(result.rtl), 'sample')} in {seconds:.1f} s of simulation, "
        f"{max(rates) / 1e3:,.0f} kHz; RTL built in {result.build_seconds:.1f} s"
    )
    if result.estimated_cycles is not None:
        off = result.estimated_cycles / result.cycles - 1
        yield f"timing model: {result.estimated_cycles:,} cycles, {signed_percent(off)} off the RTL"
    if result.memory_differences:
        yield "RTL and simulator DIFFER:"
        yield from (f"  {difference}" for difference in result.memory_differences)
    else:
        size = result.program.memory_bytes
        yield (
            f"RTL = simulator: all {size:,} bytes of DRAM equal after each of "
            f"{plural(len(result.rtl), 'run')}"
        )
    relation = "=" if result.reference.is_exact else "DIFFERS from"
    yield f"simulator {relation} reference: {result.reference.sentence()}"
    if result.ort is not None:
        relation = "=" if result.ort.is_exact else "against"
        yield f"simulator {relation} ONNX Runtime: {result.ort.sentence()}"


def report_of(result: Verification, name: str, dram: "DramParameters") -> dict[str, Any]:
    """Return the report as JSON-able values."""
    config = result.program.config
    agreements = {"reference": result.reference, "ort": result.ort}
    return {
        "coverage": coverage_json(result.program),
        "model": name,
        "config": {"name": config.name, "digest": config.digest},
        "dram_latency_cycles": dram.latency_cycles,
        "dram_beats_per_cycle": dram.beats_per_cycle,
        "dram_stall_probability": dram.stall_probability,
        "steps": steps_json(result.program),
        "islands": islands_json(result.program),
        "samples_rtl": len(result.rtl),
        "samples_iss": len(result.iss),
        "cycles": [outcome.cycles for outcome in result.rtl],
        "estimated_cycles": result.estimated_cycles,
        "utilization": result.utilization,
        "cycles_per_second": [outcome.cycles_per_second for outcome in result.rtl],
        "build_seconds": result.build_seconds,
        "memory_differences": list(result.memory_differences),
        "agreement": {
            target: None if found is None else found.as_dict()
            for target, found in agreements.items()
        },
        "layers": [layer.as_dict() for layer in result.layers],
    }
