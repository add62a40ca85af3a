"""The report of `tilewright bench` as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.flows.bench_run import Result
from tilewright.flows.display import percent, plural, show, signed_percent
from tilewright.hw.spec.config import Config

KERNEL_COLUMNS = (
    "kernel", ">ideal", ">cycles", ">utilization", ">Gemmini, library", ">Gemmini, best",
    ">cycles saved",
)  # fmt: skip
MODEL_COLUMNS = (
    "model", ">MMAC", ">cycles", ">utilization", ">KiB loaded", ">KiB stored", ">host operators",
)  # fmt: skip
SPEED_COLUMNS = (
    "", ">compile s", ">RTL s", ">RTL kHz", ">ISS s", ">ONNX Runtime s", ">timing model",
)  # fmt: skip


def markdown(facts: dict[str, Any], config: Config, results: Sequence[Result]) -> str:
    """Return the whole report."""
    kernels = [result for result in results if result.is_kernel]
    models = [result for result in results if not result.is_kernel]
    sections = ["# Benchmark", _introduction(facts, config)]
    if kernels:
        rows = [kernel_row(result, config) for result in kernels]
        sections += ["## Kernels", KERNEL_TEXT.format(**facts), table(KERNEL_COLUMNS, rows)]
    if models:
        sections += ["## Models", table(MODEL_COLUMNS, map(model_row, models))]
    sections += ["## Tools", SPEED_TEXT, table(SPEED_COLUMNS, map(speed_row, results))]
    failed = [f"- {result.name}: {result.error}" for result in results if result.error]
    if failed:
        sections += ["## Failed", "\n".join(failed)]
    return "\n\n".join(sections) + "\n"


KERNEL_TEXT = """\
Ideal is MACs over rows x cols. Gemmini's cycles are from its own RTL in Verilator: 16x16, 320 KiB
of SRAM, 16 bytes/cycle, latency 64 (where not stated), cold start, from the first command to idle;
its own library, and the best of a few tilings tried by hand. Cycles saved are against the best.
The SRAM here is {sram_kib} KiB in all."""
SPEED_TEXT = """\
Seconds of one inference (RTL with the start of the simulator; ISS with packing the inputs), the
RTL's simulated clock, and how far the timing model is from the RTL. ONNX Runtime runs with its
optimizations on all cores."""


def _introduction(facts: dict[str, Any], config: Config) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    machine = facts["machine"]
    srams = (
        f"activation / weight / accumulator / parameter SRAM {config.activation_kib} / "
        f"{config.weight_kib} / {config.accumulator_kib} / {config.parameter_kib} KiB"
    )
    return (
        f"Written by `tilewright bench`. Config `{config.name}`: {config.rows}x{config.cols}, "
        f"{srams}, {config.lanes} vector lanes, {config.axi_data_bits}-bit bus, digest "
        f"`{config.digest[:16]}`.\n\n"
        "Cycles are measured on the RTL in Verilator, from the start write to the interrupt, batch "
        f"1, cold start. DRAM: latency {' or '.join(map(str, facts['dram']['latency_cycles']))} "
        f"cycles, {config.axi_bytes} bytes a cycle, reads and writes at the same time. "
        "In every row the RTL's whole DRAM equals the instruction-set simulator's byte for byte, "
        "and the outputs equal the reference's; rows that fail are listed below.\n\n"
        f"{machine['processor']}, {plural(machine['cores'], 'core')}, load average "
        f"{machine['load_average']:.1f} (other work slows the tools, not the cycles); {versions}. "
        f"RTL simulator generated and built in {facts['rtl_build_seconds']} s (0 when cached)."
    )


def kernel_row(result: Result, config: Config) -> tuple[Any, ...]:
    """Return the row of a kernel."""
    best = result.gemmini_best
    saved = None
    if best and result.cycles:
        saved = signed_percent((best - result.cycles) / best)
    return (
        result.name,
        result.macs // (config.rows * config.cols) or None,
        result.cycles,
        percent(result.utilization),
        result.gemmini_library,
        best,
        saved,
    )


def model_row(result: Result) -> tuple[Any, ...]:
    """Return the row of a model."""
    return (
        result.name,
        f"{result.macs / 1e6:,.2f}",
        result.cycles,
        percent(result.utilization),
        result.bytes_loaded >> 10,
        result.bytes_stored >> 10,
        result.host_operators,
    )


def speed_row(result: Result) -> tuple[Any, ...]:
    """Return the row of the tools' speeds."""
    rate = result.cycles_per_second
    error = None
    if result.cycles and result.estimated_cycles:
        off = result.estimated_cycles - result.cycles
        error = f"{off / result.cycles:+.3%}" if off else "equal"
    return (
        result.name,
        _seconds(result.compile_seconds),
        _seconds(result.rtl_seconds),
        f"{rate / 1e3:,.0f}" if rate else None,
        _seconds(result.iss_seconds),
        _seconds(result.ort_seconds),
        error,
    )


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; columns whose name begins with '>' are right-aligned."""
    names = [column.removeprefix(">") for column in columns]
    rules = ["---:" if column.startswith(">") else "---" for column in columns]
    lines = [names, rules, *([show(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
