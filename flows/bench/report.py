"""The report of `tilewright bench` as Markdown; the same tables go to the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tilewright.flows.bench.measure import Result
from tilewright.flows.bench.tools import RtlSpeed
from tilewright.flows.report.display import percent, plural, signed_percent
from tilewright.flows.report.markdown import markdown_table
from tilewright.hw.spec.coverage import Coverage

Row = tuple[Any, ...]


class Section(NamedTuple):
    """A titled table; columns have the marks of `report.display.table`."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[Row]


KERNEL_COLUMNS = (
    "<kernel", ">ideal", ">cycles", ">utilization", "?>target", "?>Gemmini, library",
    ">Gemmini, best", ">cycles saved",
)  # fmt: skip
KERNEL_TEXT = """\
Ideal is MACs over rows x cols. Gemmini's cycles are from its own RTL in Verilator: 16x16, 320 KiB
of SRAM, 16 bytes/cycle, latency 64 (where not stated), cold start, from the first command to idle;
its own library, and the best of a few tilings tried by hand. Cycles saved are against the best.
Here: {configs}."""
MODEL_COLUMNS = (
    "<model",
    "config",
    ">MACs here",
    "?>operators here",
    "?>MMAC",
    "?>ideal",
    ">cycles",
    ">utilization",
    "?>KiB loaded",
    "?>KiB stored",
    "?>host operators",
)
MODEL_TEXT = """\
MACs and operators here are the share of all that the model has, quantized or not, that runs on the
accelerator."""  # fmt: skip
TIMING_COLUMNS = (
    "<", "?config", ">cycles on RTL", ">timing model", ">error", ">largest error of a layer",
    "?>in cycles",
)  # fmt: skip
TIMING_TEXT = """\
Cycles by the timing model against those of the RTL: of the whole run, and of the layer where it is
furthest off (layers that run together count as one)."""
SPEED_COLUMNS = (
    "<", "config", ">compile s", "?>again s", ">RTL s", "?>RTL kHz", ">timing model s", ">ISS s",
    "?>ONNX Runtime s", "?>ISS / ONNX Runtime",
)  # fmt: skip
SPEED_TEXT = """\
Seconds of one inference: compiling with an empty cache and again with it; the RTL with the start of
its simulator, and its simulated clock; the timing model, median of three runs; the instruction-set
simulator with packing the inputs; ONNX Runtime with its optimizations on all cores."""
RTL_COLUMNS = (
    "config", ">generate s", ">build s", ">co-simulation kHz", ">bare kHz", ">share",
    ">clock only kHz", ">share",
)  # fmt: skip
RTL_TEXT = """\
Seconds to generate the Verilog and to build its simulator (0 when cached; `--fresh` builds anew).
Simulated clock per second of processor time for GEMM 256^3: under cocotb; the same program and DRAM
without Python; and the idle model, its clock toggled and nothing else. Shares are the
co-simulation's of the two."""
START_COLUMNS = ("command", ">s")


def sections(
    facts: dict[str, Any], results: Sequence[Result], speeds: Sequence[RtlSpeed]
) -> Iterator[Section]:
    """Yield the tables that have rows."""
    groups = {
        name: [result for result in results if result.group == name]
        for name in ("kernel", "product", "network", "model")
    }
    names = sorted({result.config for result in groups["kernel"]})
    text = KERNEL_TEXT.format(configs="; ".join(_config_line(facts, name) for name in names))
    found = [Section("Kernels", text, KERNEL_COLUMNS, [kernel_row(r) for r in groups["kernel"]])]
    for group, title in (
        ("product", "Large products"), ("network", "Networks"), ("model", "Models"),
    ):  # fmt: skip
        found.append(
            Section(title, MODEL_TEXT, MODEL_COLUMNS, [model_row(r) for r in groups[group]])
        )
    measured = [result for result in results if result.cycles]
    found += [
        Section("Timing model", TIMING_TEXT, TIMING_COLUMNS, [timing_row(r) for r in measured]),
        Section("Tools", SPEED_TEXT, SPEED_COLUMNS, [speed_row(r) for r in measured]),
        Section("RTL simulator", RTL_TEXT, RTL_COLUMNS, [rtl_row(speed) for speed in speeds]),
        Section("Command line", "", START_COLUMNS, list(facts["start_seconds"].items())),
    ]
    return (section for section in found if section.rows)


def markdown(facts: dict[str, Any], results: Sequence[Result], speeds: Sequence[RtlSpeed]) -> str:
    """Return the whole report."""
    parts = ["# Benchmark", _introduction(facts)]
    for section in sections(facts, results, speeds):
        parts += [
            f"## {section.title}",
            section.text,
            markdown_table(section.columns, section.rows),
        ]
    failed = [f"- {result.name}: {result.error}" for result in results if result.error]
    if failed:
        parts += ["## Failed", "\n".join(failed)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _introduction(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    machine, dram = facts["machine"], facts["dram"]
    latencies = " or ".join(map(str, dram["latency_cycles"]))
    configs = "\n".join(f"- {_config_line(facts, name)}" for name in facts["configs"])
    return (
        "Written by `tilewright bench`. Cycles are measured on the RTL in Verilator, from the "
        "start write to the interrupt, batch 1, cold start. DRAM: latency "
        f"{latencies} cycles, the bus's "
        "full width a cycle, reads and writes at the same time. In every row the RTL's whole DRAM "
        "equals the instruction-set simulator's byte for byte, and the outputs equal the "
        f"reference's; rows that fail are listed below.\n\nConfigs:\n\n{configs}\n\n"
        f"{machine['processor']}, {plural(machine['cores'], 'core')}, load average "
        f"{machine['load_average']:.1f} (other work slows the tools, not the cycles); {versions}."
    )


def _config_line(facts: dict[str, Any], name: str) -> str:
    config = facts["configs"][name]
    kib = [config[f"{sram}_kib"] for sram in ("activation", "weight", "accumulator", "parameter")]
    return (
        f"`{name}`, {config['rows']}x{config['cols']}, activation / weight / accumulator / "
        f"parameter SRAM {' / '.join(map(str, kib))} = {config['sram_kib']} KiB, "
        f"{config['lanes']} vector lanes, {config['depthwise_taps']} depthwise taps, "
        f"{config['axi_data_bits']}-bit bus, digest `{config['digest'][:16]}`"
    )


def kernel_row(result: Result) -> Row:
    """Return the row of a kernel."""
    best = result.gemmini_best
    saved = None
    if best and result.cycles:
        saved = signed_percent((best - result.cycles) / best)
    return (
        result.name,
        result.ideal,
        result.cycles,
        percent(result.utilization),
        result.target,
        result.gemmini_library,
        best,
        saved,
    )


def model_row(result: Result) -> Row:
    """Return the row of a large product, a network or a model; one that did not run is empty."""
    if result.cycles is None:
        return (result.name, result.config, *[None] * (len(MODEL_COLUMNS) - 2))
    return (
        result.name,
        result.config,
        *_coverage(result),
        f"{result.macs / 1e6:,.2f}",
        result.ideal,
        result.cycles,
        percent(result.utilization),
        result.bytes_loaded >> 10,
        result.bytes_stored >> 10,
        result.host_operators,
    )


def _coverage(result: Result) -> Row:
    if result.coverage is None:
        return None, None
    found = Coverage(**result.coverage)
    return percent(found.macs_share), f"{found.operators_accelerator} of {found.operators_total}"


def timing_row(result: Result) -> Row:
    """Return the row of the timing model's errors."""
    off = None
    if result.cycles and result.estimated_cycles:
        off = (result.estimated_cycles - result.cycles) / result.cycles
    return (
        result.name,
        result.config,
        result.cycles,
        result.estimated_cycles,
        _share(off, signed=True),
        _share(result.layer_error),
        result.layer_error_cycles,
    )


def speed_row(result: Result) -> Row:
    """Return the row of the tools' speeds."""
    rate, ratio = result.cycles_per_second, None
    if result.iss_seconds and result.ort_seconds:
        ratio = f"{result.iss_seconds / result.ort_seconds:,.1f}"
    return (
        result.name,
        result.config,
        _seconds(result.compile_seconds),
        _seconds(result.recompile_seconds),
        _seconds(result.rtl_seconds),
        f"{rate / 1e3:,.0f}" if rate else None,
        _seconds(result.timing_seconds),
        _seconds(result.iss_seconds),
        _seconds(result.ort_seconds),
        ratio,
    )


def rtl_row(speed: RtlSpeed) -> Row:
    """Return the row of a config's RTL simulator."""
    return (
        speed.config,
        f"{speed.generate_seconds:.1f}",
        f"{speed.build_seconds:.1f}",
        f"{speed.cosim_hertz / 1e3:,.0f}",
        f"{speed.bare_hertz / 1e3:,.0f}",
        percent(speed.cosim_hertz / speed.bare_hertz),
        f"{speed.clock_hertz / 1e3:,.0f}",
        percent(speed.cosim_hertz / speed.clock_hertz),
    )


def _share(value: float | None, *, signed: bool = False) -> str | None:
    if value is None:
        return None
    return "equal" if not value else f"{value:+.3%}" if signed else f"{value:.3%}"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"
