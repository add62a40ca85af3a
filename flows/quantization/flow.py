"""From a float ONNX file to an int8 model that is compared with it."""

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.flows.accuracy import check_labels, load_labels
from tilewright.flows.quantization.calibration import RANDOM, Normalization, calibration_samples
from tilewright.flows.quantization.preparation import load_model, prepare
from tilewright.flows.quantization.quality import Accuracy, Quality, measure
from tilewright.flows.quantization.quantizer import Options, quantize
from tilewright.flows.quantization.shapes import batch_of, inputs_of
from tilewright.flows.report.display import plural
from tilewright.flows.report.progress import status
from tilewright.support.errors import InputError, ModelError
from tilewright.support.records import record

if TYPE_CHECKING:
    from onnx import ModelProto

    from tilewright.flows.runtime.tensors import Sample


@record(frozen=True, kw_only=True)
class Request:
    """What is quantized, and with which samples; the fields are the command's options."""

    model: Path
    options: Options = field(default_factory=Options)
    calibration: str = RANDOM
    samples: int | None = None
    seed: int = 0
    normalization: Normalization = field(default_factory=Normalization)
    data: str | None = None
    """Samples to compare on; None: those of the calibration."""
    labels: Path | None = None
    """One label for each of these samples."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    one_sample: bool = False


@record(frozen=True, kw_only=True)
class Result:
    """The int8 model, what it was calibrated on, and how close it is to the float model."""

    model: "ModelProto"
    origin: str
    quality: Quality
    accuracy: Accuracy | None


def quantize_file(request: Request) -> Result:
    """Read a float model, quantize it and compare both. Raises ModelError, InputError."""
    is_random = request.calibration == RANDOM
    if request.labels is not None and request.data is None and is_random:
        raise InputError("--labels needs --data or --calibration with the samples they belong to")
    labels = None if request.labels is None else load_labels(request.labels)
    loaded = load_model(request.model)
    try:
        with status("folding constants and batch normalization"):
            prepared = prepare(loaded, shapes=request.shapes, one_sample=request.one_sample)
        chosen = compared = _samples(
            request, prepared, "--calibration", request.calibration, request.samples
        )
        if request.data is not None:
            compared = _samples(request, prepared, "--data", request.data)
        if request.labels is not None and labels is not None:
            check_labels(labels, len(compared), request.labels)
        with status(f"calibrating on {plural(len(chosen), 'sample')}"):
            quantized = quantize(prepared, chosen, request.options)
        with status(f"comparing on {plural(len(compared), 'sample')}"):
            quality = measure(prepared, quantized, compared)
    except ModelError as error:
        raise ModelError(f"{request.model}: {error}") from None
    return Result(
        model=quantized,
        origin=plural(len(chosen), "random sample" if is_random else "sample"),
        quality=quality,
        accuracy=None if labels is None else quality.accuracy(labels),
    )


def _samples(
    request: Request, prepared: "ModelProto", option: str, source: str, count: int | None = None
) -> "list[Sample]":
    return calibration_samples(
        source,
        inputs_of(prepared),
        count=count,
        seed=request.seed,
        normalization=request.normalization,
        batch=batch_of(prepared),
        option=option,
    )
