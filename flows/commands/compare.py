"""`tilewright compare`: a model against ONNX Runtime, operator by operator."""

from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath, input_options, json_option
from tilewright.flows.runtime.wanted import WantedInputs


@click.command(name="compare")
@click.argument("model", type=FilePath)
@input_options
@json_option()
@click.option(
    "--fail-above",
    type=click.IntRange(0),
    metavar="STEPS",
    help="Exit with status 1 where an operator differs by more quantization steps.",
)
def command(
    model: Path,
    wanted: WantedInputs,
    json_files: tuple[Path, ...],
    fail_above: int | None,
) -> None:
    """Compare what the accelerator computes of the ONNX MODEL with ONNX Runtime.

    Each operator is given ONNX Runtime's values, so that only its own arithmetic differs; `with
    earlier` is the same from the section's inputs on. The first operator that differs is marked.
    """
    from tilewright.flows.execution import model_inputs
    from tilewright.flows.models import import_file
    from tilewright.flows.report.comparison import compare_model, print_comparison
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.support.files import check_targets

    check_targets(json_files, [model, wanted.input_file])
    imported = import_file(model)
    inputs = model_inputs(imported, imported.batch, wanted)
    with status("comparing"):
        comparison = compare_model(model, imported, inputs)
    if not write_json(json_files, comparison.as_dict()):
        print_comparison(console(), comparison, model.name)
    if fail_above is not None and comparison.largest > fail_above:
        raise SystemExit(1)
