"""What a program's layers cost: work and DRAM traffic from the program, cycles from a run."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.flows.report.display import percent, shorten
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.hw.spec.operations.transfer import Load, Transfer
from tilewright.hw.spec.program import Listing, chain_ends
from tilewright.support.records import record

Retired = tuple[Engine, int, int]
"""Engine, which of its retirements (from 1), and the cycle since the start."""


@record(frozen=True, kw_only=True)
class LayerReport:
    """One layer: its work, its traffic, and where known its cycles."""

    name: str
    section: str
    """Name of its section; "" where the program has one."""
    operator: str
    sources: tuple[str, ...]
    macs: int
    instructions: int
    load_bytes: int
    """DRAM bytes read, words at their pitch."""
    store_bytes: int
    cycles: int | None = None
    """From the end of the layer that ended before it to its own end: they sum up to the run.

    Of layers that run together, the last one has the cycles of all, and the others have none.
    """
    utilization: float | None = None
    """MACs (of all layers with these cycles) over those that the array could have done in them."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return dataclasses.asdict(self)


def transfer_bytes(instruction: Instruction, config: Config) -> int:
    """Return the DRAM bytes that a LOAD or STORE moves; 0 for other instructions."""
    if not isinstance(instruction, Transfer):
        return 0
    return instruction.words * instruction.pitch(config)


def layer_reports(program: Listing, retired: Iterable[Retired] = ()) -> tuple[LayerReport, ...]:
    """Return a report for each layer of the program; with `retired` also its cycles."""
    loads: dict[int, int] = defaultdict(int)
    stores: dict[int, int] = defaultdict(int)
    counts: dict[int, int] = defaultdict(int)
    shapes = [instruction.shape for instruction in program.instructions]
    alike = dict(zip(shapes, program.instructions, strict=True))
    of_layers = zip(program.instruction_layers.tolist(), shapes, strict=True)
    for (layer, shape), times in Counter(of_layers).items():
        counts[layer] += times
        target = loads if isinstance(alike[shape], Load) else stores
        target[layer] += times * transfer_bytes(alike[shape], program.config)
    cycles = layer_cycles(program, retired)
    macs: dict[int, int] = defaultdict(int)
    for described, end in zip(program.layers, chain_ends(program.layers), strict=True):
        macs[end] += described.macs
    return tuple(
        LayerReport(
            name=layer.name,
            section=layer.section if len(program.sections) > 1 else "",
            operator=layer.operator,
            sources=layer.sources,
            macs=layer.macs,
            instructions=counts[number],
            load_bytes=loads[number],
            store_bytes=stores[number],
            cycles=cycles.get(number),
            utilization=utilization(macs[number], cycles.get(number), program.config),
        )
        for number, layer in enumerate(program.layers)
    )


def utilization(macs: int, cycles: int | None, config: Config) -> float | None:
    """Return the busy share of the array; None without cycles or without MACs."""
    if not cycles or not macs:
        return None
    return macs / (cycles * config.rows * config.cols)


def layer_cycles(program: Listing, retired: Iterable[Retired]) -> dict[int, int]:
    """Return the cycles of each layer that has instructions; of layers that run together, the
    last one has those of all.

    A layer ends with its last retirement. What runs ahead (weights of the next layer, say) is
    part of the layer during which it runs, so the cycles sum up to the end of the last layer.
    """
    layers: dict[Engine, list[int]] = defaultdict(list)
    of_layers = program.instruction_layers.tolist()
    for instruction, layer in zip(program.instructions, of_layers, strict=True):
        if instruction.engine is not None:
            layers[instruction.engine].append(layer)
    latest: dict[int, int] = defaultdict(int)
    for engine, number, cycle in retired:
        layer = layers[engine][number - 1]
        if cycle > latest[layer]:
            latest[layer] = cycle
    together = chain_ends(program.layers)
    ends: dict[int, int] = {}
    for layer, cycle in latest.items():
        if layer >= 0:
            ends[together[layer]] = max(ends.get(together[layer], 0), cycle)
    cycles, previous = {}, 0
    for layer, end in sorted(ends.items(), key=lambda item: item[1]):
        cycles[layer] = end - previous
        previous = end
    return cycles


def layer_rows(reports: Sequence[LayerReport]) -> list[tuple[Any, ...]]:
    """Return the table rows of the reports, see `layer_columns`."""
    return [
        (
            layer_name(report),
            report.operator,
            report.macs,
            report.instructions,
            report.cycles,
            percent(report.utilization),
            report.load_bytes,
            report.store_bytes,
        )
        for report in reports
    ]


def layer_name(report: LayerReport) -> str:
    """Return the layer's name for tables, behind its section's where there are several."""
    name = shorten(report.name)
    return f"{report.section}: {name}" if report.section else name


def total_row(
    reports: Sequence[LayerReport], config: Config, cycles: int | None = None
) -> tuple[Any, ...]:
    """Return the row below `layer_rows`; `cycles` of the whole run, by default the layers' sum."""
    macs = sum(report.macs for report in reports)
    if cycles is None:
        cycles = sum(report.cycles or 0 for report in reports)
    return (
        "total",
        "",
        macs,
        sum(report.instructions for report in reports),
        cycles,
        percent(utilization(macs, cycles, config)),
        sum(report.load_bytes for report in reports),
        sum(report.store_bytes for report in reports),
    )


def layer_columns() -> list[str]:
    """Return the column names of `layer_rows`, marked as for `display.table`."""
    return ["<layer", "?operator", "?>MACs", "?>instructions", ">cycles", ">utilization",
            "?>loaded B", "?>stored B"]  # fmt: skip
