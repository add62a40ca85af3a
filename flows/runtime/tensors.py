"""Model inputs and outputs as files: .npz with one array a tensor, stacked over samples."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.batch import Batch
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


def load_samples(
    path: Path, specs: Sequence[Spec], count: int | None = None, batch: Batch | None = None
) -> list[Sample]:
    """Read the inputs of `count` samples (all by default) from a .npz file.

    An array is one sample of the input's shape, or samples stacked as [n, *shape], a leading 1 of
    the shape left out or not; for a model with a batch what one inference takes, or such arrays
    stacked. Raises InputError for missing or
    unknown names, wrong shapes and dtypes, and too few samples.
    """
    arrays = load_arrays(path)
    check_names(arrays, specs, str(path))
    shared = {
        spec.name: arrays[spec.name]
        for spec in specs
        if batch is not None and spec.name not in batch.inputs
    }
    stacked = {
        spec.name: _stack(_one_by_one(arrays[spec.name], spec, path, batch), spec, path)
        for spec in specs
        if spec.name not in shared
    }
    for spec in specs:
        if spec.name in shared:
            check_tensor(shared[spec.name], spec, str(path))
    lengths = {name: len(array) for name, array in stacked.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"{path}: the inputs differ in their number of samples: {lengths}")
    available = next(iter(lengths.values()))
    if count is not None and count > available:
        raise InputError(f"{path}: {count} samples asked for, {available} there")
    chosen = available if count is None else count
    return [
        {name: np.asarray(array[i]) for name, array in stacked.items()} | shared
        for i in range(chosen)
    ]


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


def _one_by_one(array: Array, spec: Spec, path: Path, batch: Batch | None) -> Array:
    """Return the array with samples [n, 1, ...] in place of a batch's [N, ...] or [n, N, ...]."""
    rank, behind = len(spec.shape), tuple(spec.shape[1:])
    if batch is None:
        return array
    given = array.shape[-rank:]
    if array.ndim - rank not in (0, 1) or given[1:] != behind or batch.size not in (None, given[0]):
        shape = ", ".join(map(str, batch.shape(spec.name, spec.shape)))
        raise InputError(
            f"{path}: input {spec.name!r} must have shape [{shape}], or [n, {shape}] for n "
            f"inferences, got {list(array.shape)}"
        )
    return array.reshape(-1, 1, *behind)


def _stack(array: Array, spec: Spec, path: Path) -> Array:
    """Return the samples of one input as [n, *shape]."""
    shape, given = tuple(spec.shape), list(array.shape)
    if shape[:1] == (1,) and array.ndim == len(shape):
        array = array[:, None]
    elif array.shape == shape:
        array = array[None]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise InputError(
            f"{path}: input {spec.name!r} must have shape {list(shape)}, or [n, "
            f"{', '.join(map(str, shape))}] for n samples, got {given}"
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
        return np.asarray(generator.integers(0, 2, spec.shape)).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        first, last = ranges.get(spec.name, (info.min, info.max))
        values = generator.integers(int(first), int(last), spec.shape, dtype=dtype, endpoint=True)
        return np.asarray(values)
    low, high = ranges.get(spec.name, (-1.0, 1.0))
    return np.asarray(generator.uniform(low, high, spec.shape)).astype(dtype)


def save_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write outputs, each tensor stacked over the samples as [n, *shape]."""
    names = samples[0] if samples else {}
    save_arrays(path, {n: np.stack([sample[n] for sample in samples]) for n in names})


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_file(path, buffer.getvalue())
