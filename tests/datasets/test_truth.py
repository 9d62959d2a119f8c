"""Ground truth: the relevance of a result, invalid photo numbers."""

import jaxtyping
import numpy as np
import pytest

from delfjax.datasets.benchmark import Truth, check_photo_numbers, relevance


@pytest.fixture
def unchecked(monkeypatch):
    """Turn off the shape checks of the test run, so that the function's own error is raised."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_relevance():
    truth = Truth(np.array([0, 2]), np.array([5]))
    assert [relevance(truth, image) for image in (0, 2, 5, 9)] == [
        *("correct", "correct", "junk", "wrong")
    ]


def test_photo_numbers_keep_their_order_and_become_int64():
    for numbers in ([3, 1], np.array([3, 1], np.uint8)):
        found = check_photo_numbers("photos", numbers)
        assert found.tolist() == [3, 1]
        assert found.dtype == np.int64
    assert check_photo_numbers("photos", []).dtype == np.int64


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("numbers", [[1.0], [-1], [[1, 2]], ["1"], [True]])
def test_photo_numbers_have_to_be_integers_from_0(numbers):
    with pytest.raises(ValueError, match=r"good: .* expected a flat list of photo indices"):
        check_photo_numbers("good", numbers)


@pytest.mark.parametrize(
    ("positives", "junk", "message"),
    [
        ([1, 1], [], r"positives and junk: \[1\] occur more than once"),
        ([], [-2], "positives and junk: .* integers from 0"),
        ([1, 2], [2, 3], r"positives and junk: \[2\] occur more than once"),
    ],
)
def test_invalid_truths(positives, junk, message):
    with pytest.raises(ValueError, match=message):
        Truth(np.array(positives, int), np.array(junk, int))
