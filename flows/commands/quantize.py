"""`tilewright quantize`: a float ONNX model becomes an int8 QDQ model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from tilewright.flows.commands.options import FilePath, json_option
from tilewright.support.errors import InputError, ModelError

if TYPE_CHECKING:
    from tilewright.flows.runtime.tensors import Sample

COMPARED_SAMPLES = 16


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
@click.option(
    "--mean",
    default="0",
    show_default=True,
    help="Subtracted from pixels (0 to 255): one value, or one a channel, with commas.",
)
@click.option("--scale", help="Factor behind that, as for --mean.  [default: 1/255]")
@click.option("--fix-batch", is_flag=True, help="Fix a dynamic first dimension of an input to 1.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=N[,N...]",
    help="Size of a symbolic dimension, or an input's shape; may be repeated.",
)
@click.option("--per-tensor", is_flag=True, help="One weight scale a layer, not one a channel.")
@click.option("--symmetric", is_flag=True, help="Activation zero points of 0.")
@click.option(
    "--activations",
    multiple=True,
    metavar="OPERATOR=KIND",
    help="What operators of a type read is `symmetric` or `asymmetric`; may be repeated.",
)
@json_option()
def command(
    model: Path,
    output: Path,
    calibration: str,
    samples: int | None,
    seed: int,
    mean: str,
    scale: str | None,
    fix_batch: bool,
    shapes: tuple[str, ...],
    per_tensor: bool,
    symmetric: bool,
    activations: tuple[str, ...],
    json_files: tuple[Path, ...],
) -> None:
    """Quantize the float ONNX model to int8, in the QDQ form that `compile` takes.

    ONNX Runtime's static quantizer sets the ranges to the smallest and largest value that occurs
    on the calibration samples. Old opsets are converted, batch normalization is folded.
    """
    from tilewright.flows.quantization import quantizer
    from tilewright.flows.quantization.calibration import Normalization, calibration_samples
    from tilewright.flows.quantization.overrides import parse_activations
    from tilewright.flows.quantization.shapes import batch_of, inputs_of, parse_shapes
    from tilewright.flows.report.display import plural, size
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.support.files import check_targets, write_file

    check_targets([output, *json_files], [model, Path(calibration)])
    normalization = Normalization(
        mean=parse_values("--mean", mean),
        scale=Normalization().scale if scale is None else parse_values("--scale", scale),
    )
    options = quantizer.Options(
        per_tensor=per_tensor, symmetric=symmetric, by_operator=parse_activations(activations)
    )
    sizes = parse_shapes(shapes)
    loaded = quantizer.load_model(model)
    try:
        with status("folding constants and batch normalization"):
            prepared = quantizer.prepare(loaded, shapes=sizes, one_sample=fix_batch)
        chosen = calibration_samples(
            calibration,
            inputs_of(prepared),
            count=samples,
            seed=seed,
            normalization=normalization,
            batch=batch_of(prepared),
        )
        with status(f"calibrating on {plural(len(chosen), 'sample')}"):
            quantized = quantizer.quantize(prepared, chosen, options)
            compared = chosen[:COMPARED_SAMPLES]
            given = quantizer.run_model(quantized, compared)
            expected = quantizer.run_model(prepared, compared)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from None
    data = quantized.SerializeToString()
    write_file(output, data)
    origin = plural(len(chosen), "random sample" if calibration == "random" else "sample")
    sentences = {name: comparison(name, given, expected) for name in expected[0]}
    found = {
        "model": str(output),
        "bytes": len(data),
        "calibrated_on": origin,
        "outputs": [{"name": name, "found": text} for name, text in sentences.items()],
    }
    if write_json(json_files, found):
        return
    click.echo(f"{output}: {size(len(data))}, calibrated on {origin}")
    for text in sentences.values():
        click.echo(text)


def parse_values(option: str, text: str) -> tuple[float, ...]:
    """Return the numbers of a text with commas. Raises InputError."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} needs numbers with commas between them, got {text!r}") from None
    if not np.isfinite(values).all():
        raise InputError(f"{option} needs finite numbers, got {text!r}")
    return values


def comparison(name: str, given: Sequence["Sample"], expected: Sequence["Sample"]) -> str:
    """Say how far the int8 model's output is from the float model's, over some samples."""
    ours = np.stack([sample[name] for sample in given]).astype(np.float64)
    theirs = np.stack([sample[name] for sample in expected]).astype(np.float64)
    noise = float(((ours - theirs) ** 2).sum())
    signal = float((theirs**2).sum())
    if noise == 0:
        return f"output {name!r}: equal to the float model's"
    ratio = f"{10 * np.log10(signal / noise):.1f} dB" if signal else "no"
    flat_ours, flat_theirs = ours.reshape(len(ours), -1), theirs.reshape(len(theirs), -1)
    same = int((flat_ours.argmax(axis=1) == flat_theirs.argmax(axis=1)).sum())
    return (
        f"output {name!r} against the float model: {ratio} signal to noise, largest element at the "
        f"same place in {same} of {len(ours)} samples"
    )
