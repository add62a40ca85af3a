"""How close the layers, outputs and accuracy of an int8 model are to the float model's."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.flows.quantization.flow import Result
from tilewright.flows.quantization.quality import Layer, Quality
from tilewright.flows.report.display import percent, plural, shorten, size, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def as_dict(result: Result, path: Path) -> dict[str, Any]:
    """Return JSON-able values; `path`: where the model is."""
    quality = result.quality
    return {
        "model": str(path),
        "bytes": result.model.ByteSize(),
        "calibrated_on": result.origin,
        "layers": [layer.as_dict() for layer in quality.layers],
        "layer_samples": quality.layer_samples,
        "outputs": [
            {
                "name": name,
                "signal_to_noise_db": quality.output(name).decibels,
                "same_largest": quality.same_largest(name),
                "samples": len(quality.given),
            }
            for name in quality.expected[0]
        ],
        "accuracy": None if result.accuracy is None else asdict(result.accuracy),
    }


def print_quantization(out: "Console", result: Result, path: Path) -> None:
    """Print the table of layers, and a line for the file, each output and the accuracy."""
    quality = result.quality
    out.print(_table(quality))
    lines = [f"{path}: {size(result.model.ByteSize())}, calibrated on {result.origin}"]
    lines += [sentence(name, quality) for name in quality.expected[0]]
    if result.accuracy is not None:
        found = result.accuracy
        lines.append(
            f"accuracy by output {found.output!r} on {plural(found.samples, 'sample')}: float "
            f"{percent(found.float32)}, int8 {percent(found.int8)}"
        )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _table(quality: Quality) -> "Table":
    measured = [layer.decibels for layer in quality.layers if layer.decibels is not None]
    worst = min(measured, default=None)
    rows = [
        (
            ">" if layer.decibels is not None and layer.decibels == worst else "",
            shorten(layer.name),
            _ratio(layer),
            shorten(", ".join(layer.operators)),
            layer.elements // quality.layer_samples,
        )
        for layer in quality.layers
    ]
    columns = ("", "layer's result", ">signal to noise, dB", "?operators", "?>elements")
    samples = plural(quality.layer_samples, "sample")
    return table(f"int8 against float, layer by layer, on {samples}", columns, rows)


def sentence(name: str, quality: Quality) -> str:
    """Say how far the int8 model's output is from the float model's."""
    output = quality.output(name)
    if not output.noise:
        return f"output {name!r}: equal to the float model's"
    ratio = "no" if output.decibels is None else f"{output.decibels:.1f} dB"
    return (
        f"output {name!r} against the float model: {ratio} signal to noise, largest element at the "
        f"same place in {quality.same_largest(name)} of {len(quality.given)} samples"
    )


def _ratio(layer: Layer) -> str:
    if not layer.noise:
        return "equal"
    return "no signal" if layer.decibels is None else f"{layer.decibels:.1f}"
