"""Precision and recall over the results of all queries: worked examples, properties, errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation_of, ranked
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from delfjax.datasets.benchmark import Benchmark, Query, Truth
from delfjax.evaluation.precision_recall import (
    PooledResults,
    mean_precision,
    pool,
    precision_at_recall,
    summarize_curve,
)
from delfjax.evaluation.significance import resample


def pooled(scores, correct, queries=None, positives=None) -> PooledResults:
    """Return results whose positives, one number per query, are all found unless given."""
    correct = np.array(correct, bool)
    queries = np.zeros(len(correct), int) if queries is None else np.array(queries, int)
    if positives is None:
        positives = np.bincount(queries, correct, minlength=1).astype(int)
    return PooledResults(
        scores=np.array(scores), correct=correct, queries=queries, positives=np.array(positives)
    )


def select(results: PooledResults, rows) -> PooledResults:
    found = results.scores[rows], results.correct[rows], results.queries[rows]
    return pooled(*found, results.positives)


def random_results(seed: int, distractor_queries: int) -> PooledResults:
    """Return ten results for each of thirty queries, where correct ones score higher, and of others."""
    random = np.random.default_rng(seed)
    queries = np.repeat(np.arange(30 + distractor_queries), 10)
    correct = (random.random(len(queries)) < 0.4) & (queries < 30)
    positives = np.where(np.arange(30 + distractor_queries) < 30, 5, 0)
    positives = np.maximum(positives, np.bincount(queries, correct).astype(int))
    return pooled(random.poisson(np.where(correct, 14, 6)), correct, queries, positives)


# Pooling


BENCHMARK = Benchmark(
    name="two queries",
    root=Path(),
    database=("0.jpg", "1.jpg", "2.jpg", "3.jpg"),
    queries=(Query(name="query", photo="query.jpg"),),
    truths={
        "first": (Truth(np.array([0]), np.array([1])),),
        "second": (Truth(np.array([0, 1]), np.array([], int)),),
    },
    distractor_queries=(Query(name="distractor", photo="distractor.jpg"),),
)


def columns(results: PooledResults) -> list[list]:
    return [results.scores.tolist(), results.correct.tolist(), results.queries.tolist()]


def test_pooling_leaves_out_junk_and_photos_that_were_not_verified():
    results = ranked([1, 0, 2, 3], [9, 7, 5, -1]), ranked([0, 1], [3, 0])
    evaluation = evaluation_of(BENCHMARK, *results)
    assert columns(pool(evaluation)) == [
        [7, 5, 3, 0],
        [True, False, False, False],
        [0, 0, 1, 1],
    ]


def test_the_photo_of_a_query_is_no_result_of_it():
    queries = Query(name="a", photo="1.jpg"), Query(name="b", photo="3.jpg")
    truths = {"first": (Truth(np.array([0, 1])), Truth(np.array([2])))}
    benchmark = replace(BENCHMARK, queries=queries, truths=truths, distractor_queries=())
    results = ranked([1, 0, 2], [9, 7, 5]), ranked([3, 2, 1], [9, 6, 4])
    found = pool(evaluation_of(benchmark, *results))
    assert columns(found) == [[7, 5, 6, 4], [True, False, True, False], [0, 0, 1, 1]]
    assert found.positives.tolist() == [1, 1]


def test_pooling_keeps_all_results_of_another_score():
    results = ranked([0, 2], [-1, -1], [0.5, -0.5]), ranked([3, 1], [-1, 4], [0.4, 0.3])
    pooled_results = pool(evaluation_of(BENCHMARK, *results))
    assert columns(pooled_results) == [
        [0.5, -0.5, 0.4, 0.3],
        [True, False, False, False],
        [0, 0, 1, 1],
    ]


def test_pooling_scores_rankings_without_verification_by_their_votes():
    results = ranked([0, 2], [-1, -1]), ranked([3, 1], [-1, -1])
    for result, votes in zip(results, ([9, 7], [5, 3]), strict=True):
        result.ranking.votes[:] = votes
    assert pool(evaluation_of(BENCHMARK, *results)).scores.tolist() == [9, 7, 5, 3]


# Precision at a recall. Oracle O17: results of two queries and of two distractor queries
WORKED = pooled([12, 5, 9, 8, 7, 3], [1, 0, 1, 1, 0, 0], [0, 0, 1, 1, 2, 3])


def test_worked_example():
    np.testing.assert_array_equal(precision_at_recall(WORKED, np.array([1, 2, 3])), 1)
    lower = pooled([12, 5, 9, 4, 7, 3], WORKED.correct, WORKED.queries)
    np.testing.assert_allclose(precision_at_recall(lower, np.array([1, 2, 3])), [1, 1, 3 / 5])


def test_a_recall_that_is_not_reached_has_no_precision():
    assert np.isnan(precision_at_recall(WORKED, np.array([4]))).all()
    empty = pooled(np.empty(0), [])
    assert np.isnan(precision_at_recall(empty, np.array([1]))).all()


@pytest.mark.parametrize("correct", [[1, 0, 0, 1], [0, 0, 1, 1]])
def test_equal_scores_pass_a_threshold_together(correct):
    precisions = precision_at_recall(pooled([4, 4, 4, 2], correct), np.array([1, 2]))
    np.testing.assert_allclose(precisions, [1 / 3, 2 / 4])


def test_scores_may_be_negative():
    precisions = precision_at_recall(pooled([0.5, -0.2, -1.0], [1, 0, 1]), np.array([1, 2]))
    np.testing.assert_allclose(precisions, [1, 2 / 3])


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_precision_agrees_with_counting(pairs):
    scores, correct = (np.array(column) for column in zip(*pairs, strict=True))
    recalls = np.arange(1, correct.sum() + 1)
    precisions = precision_at_recall(pooled(scores, correct), recalls)
    for recall, precision in zip(recalls.tolist(), precisions, strict=True):
        thresholds = sorted(set(scores.tolist()), reverse=True)
        lists = [correct[scores >= threshold] for threshold in thresholds]
        shortest = next(each for each in lists if each.sum() >= recall)
        assert precision == pytest.approx(shortest.mean())


def test_results_may_be_in_any_order():
    results, recalls = random_results(1, distractor_queries=5), np.array([30, 60])
    shuffled = select(results, np.random.default_rng(0).permutation(len(results.scores)))
    expected = precision_at_recall(results, recalls)
    np.testing.assert_array_equal(precision_at_recall(shuffled, recalls), expected)
    assert summarize_curve(shuffled, range(30)) == summarize_curve(results, range(30))


# Mean precision


def test_mean_precision_of_perfect_results():
    """Precision is 1 if all positives are found first, and 0 from the first that is missing."""
    perfect = pooled(np.arange(100, 0, -1), np.ones(100), np.arange(100))
    assert mean_precision(perfect) == pytest.approx(1)
    missing = replace(perfect, positives=np.full(100, 10))
    assert mean_precision(missing) == pytest.approx(0.5, abs=0.02)


def test_mean_precision_agrees_with_the_precisions():
    results = random_results(0, distractor_queries=10)
    recalls = np.geomspace(10, results.positives.sum(), 60)
    expected = np.nan_to_num(precision_at_recall(results, recalls)).mean()
    assert mean_precision(results) == pytest.approx(expected)


def test_weights_repeat_the_results_and_positives_of_a_query():
    results, random = random_results(2, distractor_queries=5), np.random.default_rng(0)
    for _ in range(4):
        weights = random.integers(0, 3, 35)
        rows = np.repeat(np.arange(len(results.scores)), weights[results.queries])
        repeated = select(results, rows)
        recalls = np.geomspace(10, results.positives.sum(), 60)
        recalls *= weights @ results.positives / results.positives.sum()
        expected = precision_at_recall(repeated, recalls)
        found = precision_at_recall(results, recalls, weights.astype(float))
        np.testing.assert_allclose(found, expected)
        mean = mean_precision(results, weights.astype(float))
        assert mean == pytest.approx(np.nan_to_num(expected).mean())


# Summary


def test_a_summary_holds_the_curve_and_its_mean():
    results, landmarks = random_results(0, distractor_queries=10), np.repeat(np.arange(10), 3)
    summary = summarize_curve(results, landmarks.tolist())
    expected = precision_at_recall(results, np.array(summary["recalls"]))
    np.testing.assert_allclose(summary["precisions"], 100 * expected, atol=0.005)
    assert summary["recalls"][-1] == results.correct.sum()
    assert summary["mean"] == pytest.approx(100 * mean_precision(results), abs=0.005)
    low, high = summary["interval"]
    assert 0 < low < summary["mean"] < high < 100
    weights = [*resample(landmarks, np.arange(10))]
    for draw, each in zip(summary["draws"][:5], weights, strict=False):
        assert draw == pytest.approx(100 * mean_precision(results, each), abs=0.005)
    assert len(summary["draws"]) == len(weights)
    assert high - low == pytest.approx(2 * t.ppf(0.975, 9) * np.std(summary["draws"]), abs=0.02)


def test_a_summary_of_no_correct_result():
    results = pooled([3, 2], [0, 0], [0, 1], positives=[5, 0])
    summary = summarize_curve(results, [0])
    assert (summary["recalls"], summary["precisions"], summary["mean"]) == ([1], [0], 0)
