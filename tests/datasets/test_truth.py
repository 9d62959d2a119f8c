"""Ground truth: the protocols of each benchmark, the relevance of a result, invalid photo numbers."""

from typing import get_args

import jaxtyping
import numpy as np
import pytest

from delfjax.datasets.truth import (
    RevisitedProtocol,
    Truth,
    holidays_truth,
    join_photo_numbers,
    oxford_truth,
    relevance,
    revisited_truth,
)


@pytest.fixture
def unchecked(monkeypatch):
    """Turn off the shape checks of the test run, so that the function's own error is raised."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def as_lists(truth: Truth) -> tuple[list[int], list[int]]:
    return truth.positives.tolist(), truth.junk.tolist()


def test_good_and_ok_photos_of_oxford_are_positives():
    assert as_lists(oxford_truth(good=[4, 1], ok=[3], junk=[7])) == ([4, 1, 3], [7])
    assert as_lists(oxford_truth(good=[4], ok=[], junk=[])) == ([4], [])


def test_the_query_of_holidays_is_junk():
    assert as_lists(holidays_truth(5, [6, 7])) == ([6, 7], [5])


REVISITED = [([10, 56, 100], [0], [6, 90]), ([], [5], [99, 100]), ([33], [66, 99], [])]


@pytest.mark.parametrize(
    ("protocol", "positives", "junk"),
    [
        ("easy", [[10, 56, 100], [], [33]], [[6, 90, 0], [99, 100, 5], [66, 99]]),
        ("medium", [[10, 56, 100, 0], [5], [33, 66, 99]], [[6, 90], [99, 100], []]),
        ("hard", [[0], [5], [66, 99]], [[6, 90, 10, 56, 100], [99, 100], [33]]),
    ],
)
def test_protocols_of_the_revisited_sets(protocol, positives, junk):
    truths = [revisited_truth(*query, protocol) for query in REVISITED]
    assert [truth.positives.tolist() for truth in truths] == positives
    assert [truth.junk.tolist() for truth in truths] == junk


def test_relevance():
    truth = oxford_truth(good=[0], ok=[2], junk=[5])
    assert [relevance(truth, image) for image in (0, 2, 5, 9)] == [
        *("correct", "correct", "junk", "wrong")
    ]


def test_photo_numbers_keep_their_order_and_become_int64():
    joined = join_photo_numbers("photos", [3, 1], [], np.array([2], np.uint8))
    assert joined.tolist() == [3, 1, 2]
    assert joined.dtype == np.int64


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("numbers", [[1.0], [-1], [[1, 2]], ["1"], [True]])
def test_photo_numbers_have_to_be_integers_from_0(numbers):
    with pytest.raises(ValueError, match=r"good: .* expected a flat list of integers from 0"):
        join_photo_numbers("good", numbers)


@pytest.mark.parametrize(
    ("positives", "junk", "message"),
    [
        ([1, 1], [], r"positives and junk: \[1\] listed twice"),
        ([], [-2], "positives and junk: .* integers from 0"),
        ([1, 2], [2, 3], r"positives and junk: \[2\] listed twice"),
    ],
)
def test_invalid_truths(positives, junk, message):
    with pytest.raises(ValueError, match=message):
        Truth(np.array(positives, int), np.array(junk, int))


def test_a_photo_cannot_be_of_two_kinds():
    with pytest.raises(ValueError, match=r"good and ok: \[3\]"):
        oxford_truth([3], [3], [])
    with pytest.raises(ValueError, match=r"positives and junk: \[0\]"):
        holidays_truth(0, [0, 1])
    for protocol in get_args(RevisitedProtocol):
        with pytest.raises(ValueError, match="listed twice"):
            revisited_truth([1], [1], [], protocol)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_protocol_of_the_revisited_sets():
    with pytest.raises(ValueError, match="'all': expected 'easy', 'medium' or 'hard'"):
        revisited_truth([1], [2], [3], "all")
