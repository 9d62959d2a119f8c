"""Precision and recall over all queries' results: the worked example, properties, intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfjax.evaluation.precision_recall import (
    POINTS,
    Pooled,
    mean_precision,
    precision_at,
    precision_intervals,
    precisions_at,
)

# Oracle O17: (score, correct) of two queries and two distractor queries.
WORKED = Pooled(
    scores=np.array([12, 5, 9, 8, 7, 3]),
    correct=np.array([True, False, True, True, False, False]),
    queries=np.array([0, 0, 1, 1, 2, 3]),
)


def test_the_worked_example():
    assert precision_at(WORKED, 1) == 1
    assert precision_at(WORKED, 3) == 1
    assert np.isnan(precision_at(WORKED, 4))
    last = WORKED._replace(scores=np.array([12, 5, 9, 4, 7, 3]))
    assert precision_at(last, 3) == pytest.approx(3 / 5)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_it_is_the_precision_of_the_shortest_list_that_finds_enough(results):
    scores, correct = (np.array(column) for column in zip(*results, strict=True))
    pooled = Pooled(scores, correct, np.zeros(len(scores), int))
    for recall in range(1, correct.sum() + 1):
        thresholds = sorted(set(scores.tolist()), reverse=True)
        lists = [correct[scores >= t] for t in thresholds if correct[scores >= t].sum() >= recall]
        assert precision_at(pooled, recall) == pytest.approx(lists[0].mean())


def many(seed: int, distractor_queries: int) -> Pooled:
    """Thirty queries of ten results, whose right ones score higher, and distractor queries."""
    random = np.random.default_rng(seed)
    queries = np.repeat(np.arange(30 + distractor_queries), 10)
    correct = (random.random(len(queries)) < 0.4) & (queries < 30)
    scores = random.poisson(np.where(correct, 14, 6))
    return Pooled(scores, correct, queries)


def test_intervals_hold_the_value_and_follow_from_the_seed():
    pooled, recalls = many(0, distractor_queries=10), np.array([10, 40, 80])
    intervals = precision_intervals(pooled, recalls, queries=40, resamples=100, seed=3)
    for recall, (low, high) in zip(recalls.tolist(), intervals, strict=True):
        assert low <= precision_at(pooled, recall) <= high
        assert low < high or low == 1
    assert intervals == precision_intervals(pooled, recalls, queries=40, resamples=100, seed=3)


def test_distractor_queries_only_lower_precision():
    alone, pooled = many(0, distractor_queries=0), many(0, distractor_queries=30)
    few = Pooled(*(column[pooled.queries < 30] for column in pooled))
    for recall in (10, 40, 80):
        assert precision_at(pooled, recall) <= precision_at(few, recall)
    assert len(alone.scores) == len(few.scores)


def test_queries_may_be_in_any_order():
    pooled, recalls = many(1, distractor_queries=5), np.array([30])
    order = np.random.default_rng(0).permutation(len(pooled.scores))
    mixed = Pooled(*(column[order] for column in pooled))
    assert precision_intervals(
        pooled, recalls, queries=35, resamples=50, seed=0
    ) == precision_intervals(mixed, recalls, queries=35, resamples=50, seed=0)


def test_a_recall_out_of_reach_is_an_error():
    with pytest.raises(ValueError, match="of 3 right results"):
        precision_intervals(WORKED, np.array([4]), queries=4, seed=0)


def test_a_query_without_results_is_drawn_too():
    """Nine queries with one right result each, and as many without any: half of a draw is empty."""
    pooled = Pooled(np.full(9, 5), np.ones(9, bool), np.arange(9))
    (low, high), *_ = precision_intervals(pooled, np.array([9]), queries=18, resamples=200, seed=0)
    assert (low, high) == (0, 1)


def test_the_mean_height_of_a_curve_by_hand():
    """All right results first: precision 1 to the last; half of them missing: 0 from there on."""
    perfect = Pooled(np.arange(100, 0, -1), np.ones(100, bool), np.arange(100))
    assert mean_precision(perfect, 100) == pytest.approx([1])
    assert mean_precision(perfect, 1000) == pytest.approx([0.5], abs=0.02)


def test_the_mean_height_is_that_of_precisions_at():
    pooled, positives = many(0, distractor_queries=10), 130
    recalls = np.geomspace(10, positives, POINTS)
    expected = np.nan_to_num(precisions_at(pooled, recalls)).mean()
    assert mean_precision(pooled, positives) == pytest.approx([expected])


def test_a_draw_is_the_results_of_the_queries_drawn():
    pooled, random = many(2, distractor_queries=5), np.random.default_rng(0)
    drawn = random.multinomial(35, np.full(35, 1 / 35), 4)
    for counts, found in zip(drawn, mean_precision(pooled, 100, drawn), strict=True):
        rows = np.repeat(np.arange(len(pooled.scores)), counts[pooled.queries])
        alone = Pooled(*(column[rows] for column in pooled))
        assert mean_precision(alone, 100) == pytest.approx([found])
