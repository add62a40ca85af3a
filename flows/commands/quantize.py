"""`tilewright quantize`: a float ONNX model becomes an int8 QDQ model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from tilewright.flows.commands.options import FilePath, collected, json_option
from tilewright.support.errors import InputError

if TYPE_CHECKING:
    from tilewright.flows.quantization.calibration import Normalization
    from tilewright.flows.quantization.quantizer import Options


def parse_values(option: str, text: str) -> tuple[float, ...]:
    """Return the numbers of a text with commas. Raises InputError."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} needs numbers with commas between them, got {text!r}") from None
    if not np.isfinite(values).all():
        raise InputError(f"{option} needs finite numbers, got {text!r}")
    return values


def normalization_of(mean: str, scale: str | None) -> "Normalization":
    """Return what --mean and --scale say. Raises InputError."""
    from tilewright.flows.quantization.calibration import Normalization

    given = {} if scale is None else {"scale": parse_values("--scale", scale)}
    return Normalization(mean=parse_values("--mean", mean), **given)


def options_of(activations: tuple[str, ...], **others: bool) -> "Options":
    """Return how the model is quantized. Raises InputError."""
    from tilewright.flows.quantization.overrides import parse_activations
    from tilewright.flows.quantization.quantizer import Options

    return Options(by_operator=parse_activations(activations), **others)


normalization_options = collected(
    (
        click.option(
            "--mean",
            default="0",
            show_default=True,
            help="Subtracted from pixels (0 to 255): one value, or one a channel, with commas.",
        ),
        click.option("--scale", help="Factor behind that, as for --mean.  [default: 1/255]"),
    ),
    "normalization",
    normalization_of,
)
"""The command gets `normalization`."""

int8_options = collected(
    (
        click.option(
            "--per-tensor", is_flag=True, help="One weight scale a layer, not one a channel."
        ),
        click.option("--symmetric", is_flag=True, help="All activation zero points are 0."),
        click.option(
            "--activations",
            multiple=True,
            metavar="OPERATOR=KIND",
            help="What operators of a type read is `symmetric` or `asymmetric`; may be repeated.",
        ),
    ),
    "options",
    options_of,
)
"""The command gets `options`."""


@click.command(name="quantize")
@click.argument("model", type=FilePath, metavar="FLOAT.onnx")
@click.option("-o", "--output", type=FilePath, required=True, help="The int8 model.")
@click.option(
    "--calibration",
    default="random",
    show_default=True,
    metavar="FILE.npz|FOLDER|random",
    help="Arrays named after the inputs, stacked over samples; images; or random tensors.",
)
@click.option("--samples", type=int, help="How many.  [default: all, 100 images, 8 random]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random tensors."
)
@normalization_options
@click.option("--fix-batch", is_flag=True, help="Fix a dynamic first dimension of an input to 1.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=N[,N...]",
    help="Size of a symbolic dimension, or an input's shape; may be repeated.",
)
@int8_options
@click.option(
    "--data",
    metavar="FILE.npz|FOLDER",
    help="Samples to compare both models on.  [default: those of the calibration]",
)
@click.option(
    "--labels",
    type=FilePath,
    help="A .npz file with one label for each of these samples: adds both models' accuracy.",
)
@json_option()
def command(
    model: Path,
    output: Path,
    calibration: str,
    samples: int | None,
    seed: int,
    normalization: "Normalization",
    fix_batch: bool,
    shapes: tuple[str, ...],
    options: "Options",
    data: str | None,
    labels: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Quantize the float ONNX model to int8, in the QDQ form that `compile` takes.

    ONNX Runtime's static quantizer sets the ranges to the smallest and largest value that occurs
    on the calibration samples. Old opsets are converted, batch normalization is folded. The table
    says how far each layer is from the float model's, the worst one is marked.
    """
    from tilewright.flows.quantization.flow import Request, quantize_file
    from tilewright.flows.quantization.shapes import parse_shapes
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.quality import as_dict, print_quantization
    from tilewright.support.files import check_targets, write_file

    sources = [Path(name) for name in (calibration, data) if name is not None]
    check_targets([output, *json_files], [model, labels, *sources])
    request = Request(
        model=model,
        options=options,
        calibration=calibration,
        samples=samples,
        seed=seed,
        normalization=normalization,
        data=data,
        labels=labels,
        shapes=parse_shapes(shapes),
        one_sample=fix_batch,
    )
    result = quantize_file(request)
    write_file(output, result.model.SerializeToString())
    if not write_json(json_files, as_dict(result, output)):
        print_quantization(console(), result, output)
