"""Labels of a classifier's samples, and the share that it gets right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.runtime.tensors import load_arrays
from tilewright.support.errors import InputError

LABELS = "labels"
"""The name of the array where a file has several."""


def load_labels(path: Path) -> NDArray[np.int64]:
    """Read one label a sample, [n], from a .npz file: its only array, or the one named LABELS.

    Raises InputError for other files, and for what are no integers from 0 up.
    """
    arrays = load_arrays(path)
    if len(arrays) != 1 and LABELS not in arrays:
        raise InputError(
            f"{path}: must have one array, or one named {LABELS!r}; it has {', '.join(arrays)}"
        )
    array = arrays[LABELS] if LABELS in arrays else next(iter(arrays.values()))
    labels = array.reshape(-1) if array.shape in ((), (len(array), 1)) else array
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise InputError(
            f"{path}: labels must be integers from 0 up, one a sample as [n], got "
            f"{array.dtype}{list(array.shape)}"
        )
    return labels.astype(np.int64)


def check_labels(labels: NDArray[np.int64], samples: int, path: Path) -> None:
    """Raise InputError unless there is one label for each sample."""
    if len(labels) != samples:
        raise InputError(f"{path}: {len(labels)} labels for {samples} samples")


def top_accuracy(scores: Sequence[NDArray[Any]], labels: NDArray[np.int64], top: int = 1) -> float:
    """Return the share of samples whose label is among the `top` largest of its scores.

    scores: one array of any shape a sample; of equal scores the first counts as larger. Raises
    InputError for a label without a score.
    """
    flat = np.stack([item.reshape(-1) for item in scores])
    if labels.max() >= flat.shape[1]:
        raise InputError(
            f"labels must be below {flat.shape[1]}, the number of the model's scores, got "
            f"{labels.max()}"
        )
    best = np.argsort(-flat.astype(np.float64), axis=1, kind="stable")[:, :top]
    return float((best == labels[:, None]).any(axis=1).mean())
