"""Labels and accuracy."""

import numpy as np
import pytest

from tilewright.flows.accuracy import check_labels, load_labels, ranks, top_accuracy
from tilewright.support.errors import InputError


def test_accuracy_counts_labels_among_the_largest_scores():
    scores = [np.array([[[1.0, 3.0, 2.0]]]), np.array([5.0, 4.0, 3.0]), np.array([1.0, 1.0, 1.0])]
    labels = np.array([2, 0, 1])
    assert top_accuracy(scores, labels) == 1 / 3
    assert top_accuracy(scores, labels, top=2) == 1.0


def test_of_equal_scores_the_first_comes_first():
    scores = [np.array([[3, 7, 7, -2]], np.int8)] * 4
    assert ranks(scores, np.arange(4)).tolist() == [2, 0, 1, 3]


def test_negative_labels_are_not_counted():
    random = np.random.default_rng(1)
    scores = list(random.permuted(np.tile(np.arange(8.0), (50, 1)), axis=1))
    labels = random.integers(-1, 8, 50)
    known = [(s, n) for s, n in zip(scores, labels, strict=True) if n >= 0]
    assert len(known) < 50
    for top in (1, 5):
        expected = np.mean([n in np.argsort(s)[-top:] for s, n in known])
        assert top_accuracy(scores, labels, top) == expected


def test_labels_without_a_score():
    with pytest.raises(InputError, match="labels must be below 3, the number"):
        top_accuracy([np.zeros(3)], np.array([3]))


@pytest.mark.parametrize("arrays", [{"y": [1, 0]}, {"x": [7.0], "labels": [[1], [0]]}])
def test_labels_are_the_only_array_or_the_one_of_that_name(tmp_path, arrays):
    np.savez(tmp_path / "y.npz", **{name: np.array(array) for name, array in arrays.items()})
    assert load_labels(tmp_path / "y.npz").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [1], "b": [2]}, "must have one array, or one named 'labels'; it has a, b"),
        ({"a": [0.5]}, "labels must be integers, one a sample as [n], got float64[1]"),
        ({"a": [-1]}, "labels from 0 up are classes, and there is none"),
        ({"a": [[0, 1], [1, 0]]}, "got int64[2, 2]"),
    ],
)
def test_files_that_hold_no_labels(tmp_path, arrays, message):
    np.savez(tmp_path / "y.npz", **{name: np.array(array) for name, array in arrays.items()})
    with pytest.raises(InputError) as error:
        load_labels(tmp_path / "y.npz")
    assert message in str(error.value)


def test_another_number_of_labels(tmp_path):
    with pytest.raises(InputError, match="3 labels for 2 samples"):
        check_labels(np.zeros(3, np.int64), 2, tmp_path)
