"""Calibration data: a .npz file, a folder of images, or seeded random tensors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tilewright.flows.quantization.shapes import FloatInput
from tilewright.flows.report.display import plural
from tilewright.flows.runtime.tensors import Array, Sample, load_samples
from tilewright.hw.spec.batch import Batch
from tilewright.support.errors import InputError, ToolError
from tilewright.support.records import record

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
WIDE_MODES = ("I", "F")
"""What Pillow's modes of more than 8 bits a channel begin with; it would cut their values off."""
MAX_IMAGES = 100
"""Images of a folder that are used where no number is given."""
RANDOM = "random"
"""The source that is no file."""
RANDOM_SAMPLES = 8


@record(frozen=True, kw_only=True)
class Normalization:
    """What turns pixels (0 to 255) into a model's inputs: (pixel - mean) * scale."""

    mean: tuple[float, ...] = (0.0,)
    """One value, or one a channel."""
    scale: tuple[float, ...] = (1 / 255,)


def calibration_samples(
    source: str,
    inputs: Sequence[FloatInput],
    *,
    count: int | None = None,
    seed: int = 0,
    normalization: Normalization | None = None,
    batch: Batch | None = None,
    option: str = "--calibration",
) -> list[Sample]:
    """Return samples from `source`: "random", a folder of images, or a .npz file.

    `batch`: that of the model, whose samples a file may hold as [n, ...]; `option` names the source
    in messages.
    By default all samples of a file, the first MAX_IMAGES images, or RANDOM_SAMPLES random ones.
    Raises InputError when the source does not fit the model's inputs.
    """
    if count is not None and count < 1:
        raise InputError(f"--samples must be at least 1, got {count}")
    if source == RANDOM:
        return random_calibration(inputs, count or RANDOM_SAMPLES, seed)
    path = Path(source)
    if path.is_dir():
        return image_samples(path, inputs, count, normalization or Normalization())
    if not path.exists():
        raise InputError(
            f"{option} {source}: no such file or folder; give a .npz file, a folder of images "
            "or the word random"
        )
    samples = load_samples(path, inputs, count, batch)
    for number, sample in enumerate(samples):
        for name, array in sample.items():
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise InputError(
                    f"{path}: input {name!r} must be finite, sample {number} has NaN or infinity"
                )
    return samples


def random_calibration(inputs: Sequence[FloatInput], count: int, seed: int) -> list[Sample]:
    """Return samples of the standard normal distribution; float inputs only."""
    for item in inputs:
        if not np.issubdtype(np.dtype(item.dtype), np.floating):
            raise InputError(
                f"input {item.name!r} is {item.dtype}, and random calibration is for float inputs; "
                "give --calibration FILE.npz with representative values"
            )
    generator = np.random.default_rng(seed)
    return [
        {item.name: generator.normal(0, 1, item.shape).astype(item.dtype) for item in inputs}
        for _ in range(count)
    ]


def image_samples(
    folder: Path, inputs: Sequence[FloatInput], count: int | None, normalization: Normalization
) -> list[Sample]:
    """Return the folder's images in the order of their names, cut and resized to the input.

    The input must be the only one, a float [1, channels, height, width] or [1, height, width,
    channels] with 1 or 3 channels. Raises InputError.
    """
    if len(inputs) != 1:
        raise InputError(f"{folder}: images calibrate a model with one input, not {len(inputs)}")
    first, height, width, channels = _image_axes(inputs[0])
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no image there; known are {', '.join(IMAGE_SUFFIXES)}")
    if count is not None and len(paths) < count:
        raise InputError(f"{folder}: {plural(count, 'image')} asked for, {len(paths)} there")
    mean = _per_channel("--mean", normalization.mean, channels)
    scale = _per_channel("--scale", normalization.scale, channels)
    samples = []
    for path in paths[: count or MAX_IMAGES]:
        pixels = (_read_image(path, height, width, channels) - mean) * scale
        tensor = pixels.transpose(2, 0, 1) if first else pixels
        samples.append({inputs[0].name: tensor[None].astype(inputs[0].dtype)})
    return samples


def _image_axes(item: FloatInput) -> tuple[bool, int, int, int]:
    """Return whether the channels come first, and height, width and channels."""
    floating = np.issubdtype(np.dtype(item.dtype), np.floating)
    if floating and len(item.shape) == 4 and item.shape[0] == 1:
        _, *rest = item.shape
        if rest[0] in (1, 3):
            return True, rest[1], rest[2], rest[0]
        if rest[2] in (1, 3):
            return False, rest[0], rest[1], rest[2]
    raise InputError(
        f"images fit a float input [1, channels, height, width] or [1, height, width, channels] "
        f"with 1 or 3 channels; input {item.name!r} is {item.dtype}{list(item.shape)}"
    )


def _per_channel(option: str, values: tuple[float, ...], channels: int) -> Array:
    if len(values) not in (1, channels):
        raise InputError(f"{option} needs one value or {channels}, got {len(values)}")
    return np.array(values, np.float64)


def _read_image(path: Path, height: int, width: int, channels: int) -> Array:
    """Return the middle of an image at the given size, float64 [height, width, channels]."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ToolError("images need Pillow; pip install 'tilewright[images]'") from None
    try:
        with Image.open(path) as image:
            if image.mode.startswith(WIDE_MODES):
                raise InputError(f"{path}: must have 8 bits a channel; its mode is {image.mode}")
            converted = image.convert("RGB" if channels == 3 else "L")
            fitted = ImageOps.fit(converted, (width, height), Image.Resampling.BILINEAR)
            return np.asarray(fitted, np.float64).reshape(height, width, channels)
    except (UnidentifiedImageError, OSError, SyntaxError):
        raise InputError(f"{path}: not a readable image") from None
