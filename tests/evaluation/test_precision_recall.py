"""Precision and recall over the results of all queries: worked examples, properties, errors."""

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from evaluations import evaluation_of, ranked
from hypothesis import given
from hypothesis import strategies as st

from delfjax.datasets.benchmark import Benchmark, Query
from delfjax.datasets.truth import Truth
from delfjax.evaluation.precision_recall import (
    PooledResults,
    mean_precision,
    pool,
    precision_at_recall,
    summarize_curve,
)


def pooled(scores, correct, queries=None) -> PooledResults:
    correct = np.array(correct, bool)
    queries = np.zeros(len(correct), int) if queries is None else np.array(queries)
    return PooledResults(scores=np.array(scores), correct=correct, queries=queries)


def select(results: PooledResults, rows) -> PooledResults:
    return pooled(results.scores[rows], results.correct[rows], results.queries[rows])


def random_results(seed: int, distractor_queries: int) -> PooledResults:
    """Return ten results for each of thirty queries, where correct ones score higher, and of others."""
    random = np.random.default_rng(seed)
    queries = np.repeat(np.arange(30 + distractor_queries), 10)
    correct = (random.random(len(queries)) < 0.4) & (queries < 30)
    return pooled(random.poisson(np.where(correct, 14, 6)), correct, queries)


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


def test_distractor_queries_lower_precision():
    results, recalls = random_results(0, distractor_queries=30), np.array([10, 40, 80])
    without = select(results, results.queries < 30)
    assert len(without.scores) == 300
    with_distractors = precision_at_recall(results, recalls)
    assert (with_distractors <= precision_at_recall(without, recalls)).all()


def test_results_may_be_in_any_order():
    results, recalls = random_results(1, distractor_queries=5), np.array([30, 60])
    shuffled = select(results, np.random.default_rng(0).permutation(len(results.scores)))
    expected = precision_at_recall(results, recalls)
    np.testing.assert_array_equal(precision_at_recall(shuffled, recalls), expected)
    options = {"positives": 130, "queries": 35}
    assert summarize_curve(shuffled, **options) == summarize_curve(results, **options)


# Mean precision


def test_mean_precision_of_perfect_results():
    """Precision is 1 if all positives are found first, and 0 from the first that is missing."""
    perfect = pooled(np.arange(100, 0, -1), np.ones(100), np.arange(100))
    assert mean_precision(perfect, 100) == pytest.approx([1])
    assert mean_precision(perfect, 1000) == pytest.approx([0.5], abs=0.02)


def test_mean_precision_agrees_with_the_precisions():
    results, positives = random_results(0, distractor_queries=10), 130
    recalls = np.geomspace(10, positives, 60)
    expected = np.nan_to_num(precision_at_recall(results, recalls)).mean()
    assert mean_precision(results, positives) == pytest.approx([expected])


def test_a_resample_repeats_the_results_of_its_queries():
    results, random = random_results(2, distractor_queries=5), np.random.default_rng(0)
    query_counts = random.multinomial(35, np.full(35, 1 / 35), 4)
    precisions = mean_precision(results, 100, query_counts)
    for counts, precision in zip(query_counts, precisions, strict=True):
        repeated = select(
            results, np.repeat(np.arange(len(results.scores)), counts[results.queries])
        )
        assert mean_precision(repeated, 100) == pytest.approx([precision])


# Summary


def test_a_summary_holds_the_curve_and_its_mean():
    results = random_results(0, distractor_queries=10)
    summary = summarize_curve(results, positives=130, queries=40)
    expected = precision_at_recall(results, np.array(summary["recalls"]))
    np.testing.assert_allclose(summary["precisions"], 100 * expected, atol=0.005)
    assert summary["recalls"][-1] == results.correct.sum()
    assert summary["mean"] == pytest.approx(100 * mean_precision(results, 130)[0], abs=0.005)
    low, high = summary["interval"]
    assert 0 < low < summary["mean"] < high < 100
    assert len(summary["draws"]) == 500
    np.testing.assert_array_equal(summary["draws"], np.round(summary["draws"], 2))
    np.testing.assert_allclose(
        np.quantile(summary["draws"], [0.025, 0.975]), [low, high], atol=0.01
    )


def test_a_summary_of_no_correct_result():
    summary = summarize_curve(pooled([3, 2], [0, 0], [0, 1]), positives=5, queries=2)
    assert (summary["recalls"], summary["precisions"], summary["mean"]) == ([1], [0], 0)


def test_a_score_that_is_nan_is_an_error(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"of \d+ scores are NaN; expected numbers"):
        pooled([1.0, np.nan], [1, 1])
