"""`tilewright explain`: why a model takes the cycles it takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    FilePath,
    GivenConfig,
    config_options,
    import_options,
    json_option,
)
from tilewright.hw.spec.dram import MEMORY_LATENCY

if TYPE_CHECKING:
    from tilewright.flows.report.explanation import Explanation, LayerExplanation

NOTABLE_LOSS = 0.05
"""Padding below this is not worth a line."""


@click.command(name="explain")
@click.argument("model", type=FilePath)
@config_options()
@click.option(
    "--latency",
    type=click.IntRange(1),
    default=MEMORY_LATENCY,
    show_default=True,
    help="DRAM latency in cycles.",
)
@import_options()
@click.option("--no-gains", is_flag=True, help="Do not compile again without each optimization.")
@json_option("-o", "--output")
def command(
    model: Path,
    given: GivenConfig,
    latency: int,
    options: ImportOptions,
    no_gains: bool,
    json_files: tuple[Path, ...],
) -> None:
    """Explain the cycles of the ONNX MODEL, layer by layer.

    For each layer: cycles by the timing model, the array's ceiling, traffic, what limits it, where
    its maps live, what is lost to padding, where engines may meet at a bank. Then what each
    optimization of the compiler gains.
    """
    from tilewright.flows.models import import_file
    from tilewright.flows.report.coverage import coverage_sentence
    from tilewright.flows.report.display import console, table
    from tilewright.flows.report.explanation import explain
    from tilewright.flows.report.islands import print_islands
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.support.files import check_targets

    config = given.resolve()
    check_targets(json_files, [model, given.config_file])
    imported = import_file(model, config, options)
    with status(f"compiling {model.name} for {config.name}"):
        found = explain(imported, config, latency=latency, with_gains=not no_gains)
    if write_json(json_files, found.as_dict() | {"model": model.name}):
        return
    out = console()
    out.print(coverage_sentence(imported.coverage), markup=False)
    title = (
        f"{model.name} on {config.name} ({config.rows}x{config.cols}), cycles by the timing model"
    )
    rows = [layer_row(layer) for layer in found.layers]
    out.print(table(title, COLUMNS, [*rows, total_row(found)]))
    if any(is_notable(layer) for layer in found.layers):
        padded = [layer for layer in found.layers if is_notable(layer)]
        out.print(table("Padding", PADDING_COLUMNS, map(padding_row, padded)))
    meetings = list(meeting_rows(found))
    if meetings:
        title = (
            "Meetings at a bank's port: they may cost "
            f"{found.refused_cycles} of {found.cycles} cycles at most"
        )
        out.print(table(title, MEETING_COLUMNS, meetings))
    if found.gains:
        out.print(table("Optimizations, all on", GAIN_COLUMNS, gain_rows(found)))
    print_islands(out, found.program)


COLUMNS = (
    "<layer", "?operator", "?shape", ">cycles", "?>ceiling", ">util.", "?>loaded B",
    "?>stored B", "?maps", "=limited by",
)  # fmt: skip
PADDING_COLUMNS = ("<layer", ">multiplications lost", ">best util.", "=why")
MEETING_COLUMNS = (
    "<layer", "refused", "served", "?port", "?banks", "?buffers refused", "?buffers served",
    ">cycles <=",
)  # fmt: skip
GAIN_COLUMNS = ("optimization", "=meaning", ">cycles without", ">gain", ">gain %")


def layer_row(layer: "LayerExplanation") -> tuple[Any, ...]:
    """Return the row of a layer."""
    from tilewright.flows.report.display import percent
    from tilewright.flows.report.report import layer_name

    report = layer.report
    return (
        layer_name(report),
        report.operator,
        layer.shape,
        report.cycles,
        layer.padding.ceiling_cycles if layer.padding else None,
        percent(report.utilization),
        report.load_bytes,
        report.store_bytes,
        " ".join(places(layer)),
        layer.occupancy.sentence if layer.occupancy else None,
    )


def places(layer: "LayerExplanation") -> Iterator[str]:
    """Yield the places of the inputs, an arrow, and the place of the output."""
    *inputs, result = layer.maps
    yield from (item.place for item in inputs)
    yield "->"
    yield result.place


def total_row(found: "Explanation") -> tuple[Any, ...]:
    """Return the row below the layers."""
    from tilewright.flows.report.display import percent
    from tilewright.flows.report.report import utilization

    used = utilization(found.macs, found.cycles, found.program.config)
    loaded = sum(layer.report.load_bytes for layer in found.layers)
    stored = sum(layer.report.store_bytes for layer in found.layers)
    sums = (found.cycles, found.ceiling_cycles or None, percent(used), loaded, stored)
    return ("total", "", "", *sums, "", "")


def is_notable(layer: "LayerExplanation") -> bool:
    """Whether the layer's padding is worth a line."""
    best = layer.ceiling_utilization
    return best is not None and best < 1 - NOTABLE_LOSS


def padding_row(layer: "LayerExplanation") -> tuple[Any, ...]:
    """Return the row of the table of padding."""
    from tilewright.flows.report.display import percent
    from tilewright.flows.report.report import layer_name

    assert layer.padding is not None
    why = "; ".join(layer.padding.reasons)
    return (
        layer_name(layer.report),
        percent(layer.padding.loss),
        percent(layer.ceiling_utilization),
        why,
    )


def meeting_rows(found: "Explanation") -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table of meetings."""
    from tilewright.flows.report.report import layer_name

    for layer in found.layers:
        for meeting in layer.meetings:
            values = meeting.as_dict()
            yield (
                layer_name(layer.report),
                values["loser"],
                values["winner"],
                f"{values['memory']} {values['port']}",
                " ".join(map(str, meeting.banks)),
                ", ".join(meeting.loser_buffers),
                ", ".join(meeting.winner_buffers),
                meeting.refused_cycles,
            )


def gain_rows(found: "Explanation") -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table of optimizations."""
    from tilewright.flows.report.display import signed_percent

    for gain in found.gains:
        if gain.cycles is None:
            yield gain.name, gain.meaning, "does not fit", None, None
            continue
        share = (gain.cycles - found.cycles) / gain.cycles if gain.cycles else None
        gained = gain.cycles - found.cycles
        yield gain.name, gain.meaning, gain.cycles, gained, signed_percent(share)
