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

Labels = NDArray[np.int64]
"""Of each sample the index of its class among its scores, negative where it is not known."""


def load_labels(path: Path) -> Labels:
    """Read one label a sample, [n], from a .npz file: its only array, or the one named LABELS.

    Raises InputError for other files, for what are no integers, and where no label is known.
    """
    arrays = load_arrays(path)
    if len(arrays) != 1 and LABELS not in arrays:
        raise InputError(
            f"{path}: must have one array, or one named {LABELS!r}; it has {', '.join(arrays)}"
        )
    array = arrays[LABELS] if LABELS in arrays else next(iter(arrays.values()))
    labels = array.reshape(-1) if array.shape in ((), (len(array), 1)) else array
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{path}: labels must be integers, one a sample as [n], got "
            f"{array.dtype}{list(array.shape)}"
        )
    if not (labels >= 0).any():
        raise InputError(f"{path}: labels from 0 up are classes, and there is none")
    return labels.astype(np.int64)


def check_labels(labels: Labels, samples: int, path: Path) -> None:
    """Raise InputError unless there is one label for each sample."""
    if len(labels) != samples:
        raise InputError(f"{path}: {len(labels)} labels for {samples} samples")


def check_classes(labels: Labels, classes: int) -> None:
    """Raise InputError for a label that is none of so many classes."""
    if labels.max(initial=-1) >= classes:
        raise InputError(
            f"labels must be below {classes}, the number of the model's scores, got {labels.max()}"
        )


def ranks(scores: Sequence[NDArray[Any]], labels: Labels) -> NDArray[np.int64]:
    """Return how many scores come before that of the label, for each sample with a known one.

    scores: one array of any shape a sample; of equal scores the first comes first. Raises
    InputError for a label without a score.
    """
    check_classes(labels, scores[0].size)
    pairs = zip(scores, labels.tolist(), strict=True)
    return np.array([_rank(item.reshape(-1), n) for item, n in pairs if n >= 0], np.int64)


def _rank(scores: NDArray[Any], label: int) -> int:
    own = scores[label]
    return int(np.count_nonzero(scores > own) + np.count_nonzero(scores[:label] == own))


def top_accuracy(scores: Sequence[NDArray[Any]], labels: Labels, top: int = 1) -> float:
    """Return the share of the known labels that are among the `top` largest of their scores.

    The arguments and the errors are those of `ranks`.
    """
    return float((ranks(scores, labels) < top).mean())
