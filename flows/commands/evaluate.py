"""`tilewright evaluate`: accuracy of a model on a data set, agreement with ONNX Runtime."""

from pathlib import Path

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.commands.options import (
    FilePath,
    GivenConfig,
    config_options,
    import_options,
    json_option,
)
from tilewright.support.errors import InputError


@click.command(name="evaluate")
@click.argument("model", type=FilePath)
@click.option(
    "--data",
    type=FilePath,
    required=True,
    help="A .npz file with an array for each model input: samples stacked as [n, *shape].",
)
@click.option(
    "--labels",
    "labels_file",
    type=FilePath,
    help="A .npz file with the class of each sample, an array [n] of integers; negative: unknown.",
)
@click.option("--float", "float_file", type=FilePath, help="The float model, to compare with.")
@click.option("--output", metavar="NAME", help="The output with the classes.  [default: the first]")
@click.option("--samples", type=click.IntRange(1), help="How many.  [default: all]")
@config_options()
@import_options()
@json_option()
def command(
    model: Path,
    data: Path,
    labels_file: Path | None,
    float_file: Path | None,
    output: str | None,
    samples: int | None,
    given: GivenConfig,
    options: ImportOptions,
    json_files: tuple[Path, ...],
) -> None:
    """Evaluate the int8 ONNX MODEL on a data set.

    It runs on the project's reference, many samples at once: the same bytes as on simulator and
    RTL. Top-1 and top-5 need --labels. ONNX Runtime runs the same model, optimizations off, and
    the model of --float.
    """
    from tilewright.flows.accuracy import check_labels, load_labels
    from tilewright.flows.evaluation import evaluate
    from tilewright.flows.models import import_file
    from tilewright.flows.report.display import console
    from tilewright.flows.report.evaluation import print_evaluation
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.runtime.tensors import load_samples
    from tilewright.support.files import check_targets

    check_targets(json_files, [model, data, labels_file, float_file, given.config_file])
    config = given.resolve()
    imported = import_file(model, config, options)
    inputs = load_samples(data, imported.inputs, None, imported.batch)
    labels = None
    if labels_file is not None:
        labels = load_labels(labels_file)
        check_labels(labels, len(inputs), labels_file)
    if samples is not None and samples > len(inputs):
        raise InputError(f"{data}: {samples} samples asked for, {len(inputs)} there")
    found = evaluate(
        model,
        imported,
        inputs[:samples],
        labels=None if labels is None else labels[:samples],
        output=output,
        float_path=float_file,
    )
    if not write_json(json_files, {"model": model.stem} | found.as_dict()):
        print_evaluation(console(), found, model.name)
