"""Model inputs and outputs as files: .npz with one array a tensor, stacked over samples."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.support.errors import InputError
from tilewright.support.files import write_file

Array = NDArray[Any]
Sample = dict[str, Array]
"""The tensors of one inference, by name."""

SEED = 0


class Spec(Protocol):
    """Name, NumPy dtype name and static shape of a model input or output."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def load_arrays(path: Path) -> dict[str, Array]:
    """Read a .npz file. Raises InputError when it is missing or no such file."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: a single array; save it with numpy.savez(NAME=array)")
        with archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile):
        raise InputError(f"{path}: not a .npz file of plain arrays (numpy.savez)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def load_samples(path: Path, specs: Sequence[Spec], count: int | None = None) -> list[Sample]:
    """Read the inputs of `count` samples (all by default) from a .npz file.

    An array is one sample of the input's shape, or samples stacked as [n, *shape]. Raises
    InputError for missing or unknown names, wrong shapes and dtypes, and too few samples.
    """
    arrays = load_arrays(path)
    check_names(arrays, specs, str(path))
    stacked = {spec.name: _stack(arrays[spec.name], spec, path) for spec in specs}
    lengths = {name: len(array) for name, array in stacked.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"{path}: the inputs differ in their number of samples: {lengths}")
    available = next(iter(lengths.values()))
    if count is not None and count > available:
        raise InputError(f"{path}: {count} samples asked for, {available} there")
    chosen = available if count is None else count
    return [{name: array[i] for name, array in stacked.items()} for i in range(chosen)]


def check_names(arrays: Mapping[str, Any], specs: Sequence[Spec], where: str) -> None:
    """Raise InputError unless the arrays' names are those of the model's inputs."""
    names = [spec.name for spec in specs]
    expected = ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)
    expected = expected or "no inputs"
    for name in names:
        if name not in arrays:
            raise InputError(f"{where}: input {name!r} is missing; the model needs {expected}")
    for name in arrays:
        if name not in names:
            raise InputError(f"{where}: the model has no input {name!r}; it needs {expected}")


def check_tensor(array: Array, spec: Spec, where: str) -> None:
    """Raise InputError unless the array has the input's dtype and shape."""
    if array.dtype != np.dtype(spec.dtype):
        raise InputError(
            f"{where}: input {spec.name!r} must be {spec.dtype}, got {array.dtype}; "
            f"convert it with .astype(numpy.{spec.dtype})"
        )
    if array.shape != tuple(spec.shape):
        raise InputError(
            f"{where}: input {spec.name!r} must have shape {list(spec.shape)}, "
            f"got {list(array.shape)}"
        )


def _stack(array: Array, spec: Spec, path: Path) -> Array:
    """Return the samples of one input as [n, *shape]."""
    shape = tuple(spec.shape)
    if array.shape == shape:
        array = array[None]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise InputError(
            f"{path}: input {spec.name!r} must have shape {list(shape)}, or [n, "
            f"{', '.join(map(str, shape))}] for n samples, got {list(array.shape)}"
        )
    if not len(array):
        raise InputError(f"{path}: input {spec.name!r} has no samples")
    check_tensor(array[0], spec, str(path))
    return array


def random_samples(
    specs: Sequence[Spec],
    count: int,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    seed: int = SEED,
) -> list[Sample]:
    """Return `count` seeded random samples.

    They are uniform over `ranges[name]`; by default integers over their dtype, floating-point
    numbers from -1 to 1.
    """
    generator = np.random.default_rng(seed)
    return [
        {spec.name: _random_tensor(spec, generator, ranges or {}) for spec in specs}
        for _ in range(count)
    ]


def _random_tensor(
    spec: Spec, generator: np.random.Generator, ranges: Mapping[str, tuple[float, float]]
) -> Array:
    dtype = np.dtype(spec.dtype)
    if dtype == np.bool_:
        return generator.integers(0, 2, spec.shape).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        first, last = ranges.get(spec.name, (info.min, info.max))
        return generator.integers(int(first), int(last), spec.shape, dtype=dtype, endpoint=True)
    low, high = ranges.get(spec.name, (-1.0, 1.0))
    return generator.uniform(low, high, spec.shape).astype(dtype)


def save_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write outputs, each tensor stacked over the samples as [n, *shape]."""
    buffer = io.BytesIO()
    names = samples[0] if samples else {}
    arrays: dict[str, Any] = {n: np.stack([sample[n] for sample in samples]) for n in names}
    np.savez(buffer, **arrays)
    write_file(path, buffer.getvalue())
