"""Compute precision and recall over the results of all queries together (Sec. 5: Eq. 4 and Fig. 5).

The paper puts the results of all queries into one list, sorted by score. Distractor queries have no
correct results, so they can only lower the precision. The precision-recall curve shows whether
scores separate correct from wrong results across queries. mAP cannot show that. As in Fig. 5,
recall is the number of correct results, not a fraction.

Axes: ``r`` results of all queries, ``s`` distinct scores, ``q`` queries, ``k`` recalls.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from delfjax.datasets.truth import Truth
from delfjax.evaluation.benchmark import Evaluation

MIN_RECALL = 10  # number of correct results at which the axis of Fig. 5 begins
# Not in the paper:
CURVE_POINTS = 60  # points of a summarized curve, evenly spaced on a logarithmic axis of recall
RESAMPLES = 500  # bootstrap resamples (queries drawn with replacement) of a summarized curve


@dataclass(frozen=True, kw_only=True, eq=False)
class PooledResults:
    """Search results of all queries in one list, in any order.

    Attributes:
        scores: Score of each result, such as the number of RANSAC inliers.
        correct: Whether each result is a correct photo of its query.
        queries: Index of the query of each result, from 0.

    Raises:
        ValueError: If a score is NaN.
    """

    scores: Real[np.ndarray, " r"]
    correct: Bool[np.ndarray, " r"]
    queries: Int[np.ndarray, " r"]

    def __post_init__(self) -> None:
        if np.isnan(self.scores).any():
            raise ValueError(
                f"{np.isnan(self.scores).sum()} of {len(self.scores)} scores are NaN; expected numbers. "
                "Fix: leave out results without a score"
            )


def pool(evaluation: Evaluation) -> PooledResults:
    """Put the results of all queries and distractor queries into one list.

    The default protocol of the benchmark defines which results are correct. Junk (photos that count
    neither as correct nor as wrong) is left out. The score of a result is ``Ranking.scores``, if the
    search computes such scores. Otherwise, only verified photos are kept, and their score is the
    number of RANSAC inliers. If no photo of a query was verified, all photos of this query are
    kept, and their score is the number of votes.
    """
    benchmark = evaluation.benchmark
    no_positives = Truth(np.empty(0, int), np.empty(0, int))
    truths = [*benchmark.truths[benchmark.default_protocol]]
    truths += [no_positives] * len(benchmark.distractor_queries)
    scores, correct, queries = [], [], []
    for query, (result, truth) in enumerate(zip(evaluation.results, truths, strict=True)):
        ranking = result.ranking
        kept, verified = truth.is_scored(ranking.images), ranking.inliers >= 0
        score = ranking.scores
        if score is None and verified.any():
            score, kept = ranking.inliers, kept & verified
        scores.append((ranking.votes if score is None else score)[kept])
        correct.append(np.isin(ranking.images[kept], truth.positives))
        queries.append(np.full(kept.sum(), query))
    return PooledResults(
        scores=np.concatenate(scores),
        correct=np.concatenate(correct),
        queries=np.concatenate(queries),
    )


def precision_at_recall(
    results: PooledResults, recalls: Real[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Compute the precision at given recalls, which are numbers of correct results (Fig. 5).

    Let ``R_q`` be the results of query ``q`` with a score of at least a threshold, and ``R_q^TP``
    the correct results in ``R_q``. The precision is ``PRE = sum_q |R_q^TP| / sum_q |R_q|``, and the
    recall is ``REC = sum_q |R_q^TP|`` (Eq. 4). The highest threshold that reaches a recall is used.

    Returns:
        Precision at each recall, 0 to 1. NaN if all results together do not reach the recall.
    """
    results, ends = _sort(results)
    return _precisions(results, ends, recalls, np.ones_like(results.queries))


def mean_precision(
    results: PooledResults,
    positives: int,
    query_counts: Int[np.ndarray, "resamples q"] | None = None,
) -> Float[np.ndarray, " resamples"]:
    """Compute the mean precision of a precision-recall curve (Fig. 5). Not in the paper.

    The mean is over 60 recalls, from 10 to the number of positives, evenly spaced on a logarithmic
    axis. A recall is a number of correct results. If a recall is not reached, its precision is 0.

    Args:
        results: Results of all queries.
        positives: Number of positives (correct photos) of all queries together.
        query_counts: How often each bootstrap resample contains each query. None: each query once.

    Returns:
        Mean precision of each resample, 0 to 1.
    """
    results, ends = _sort(results)
    recalls = np.geomspace(min(MIN_RECALL, positives), positives, CURVE_POINTS)
    once = [np.ones_like(results.queries)]
    counts = once if query_counts is None else (row[results.queries] for row in query_counts)
    resampled = (_precisions(results, ends, recalls, each) for each in counts)
    return np.array([np.nan_to_num(precisions).mean() for precisions in resampled])


def summarize_curve(results: PooledResults, *, positives: int, queries: int) -> dict[str, Any]:
    """Summarize the precision-recall curve of Fig. 5 as a dict for a result file.

    Args:
        results: Results of all queries.
        positives: Number of positives (correct photos) of all queries together.
        queries: Number of queries, including distractor queries and queries without results.

    Returns:
        A dict with precisions in percent. ``recalls`` (numbers of correct results) and
        ``precisions`` are the points of the curve. ``mean`` is the `mean_precision` of the curve,
        and ``interval`` is the 95% bootstrap interval of ``mean`` over queries. ``draws`` holds the
        mean precision of each bootstrap resample.
    """
    recalls = np.geomspace(1, max(1, int(results.correct.sum())), CURVE_POINTS).round().astype(int)
    recalls = np.unique(recalls)
    # A fixed seed gives all results of one benchmark the same resamples, so that
    # `significance.paired_curve_difference` can subtract them one by one.
    random = np.random.default_rng(0)
    query_counts = random.multinomial(queries, np.full(queries, 1 / queries), RESAMPLES)
    resampled = mean_precision(results, positives, query_counts)
    return {
        "recalls": recalls.tolist(),
        "precisions": _percent(np.nan_to_num(precision_at_recall(results, recalls))),
        "positives": positives,
        "mean": _percent(mean_precision(results, positives))[0],
        "interval": _percent(np.quantile(resampled, [0.025, 0.975])),
        "draws": _percent(resampled),
    }


def _sort(results: PooledResults) -> tuple[PooledResults, Int[np.ndarray, " s"]]:
    """Sort results, highest score first. Return them and the last row of each distinct score.

    Results with equal scores pass a threshold together, so a curve has one point for all of them.
    """
    order = np.argsort(-results.scores, kind="stable")
    results = PooledResults(**{name: values[order] for name, values in vars(results).items()})
    _, counts = np.unique(-results.scores, return_counts=True)
    return results, np.cumsum(counts) - 1


def _precisions(
    results: PooledResults,
    ends: Int[np.ndarray, " s"],
    recalls: Real[np.ndarray, " k"],
    counts: Int[np.ndarray, " r"],
) -> Float[np.ndarray, " k"]:
    """Compute the precision at each recall. Each sorted result counts ``counts`` times."""
    retrieved, correct = np.cumsum(counts)[ends], np.cumsum(counts * results.correct)[ends]
    precisions = np.append(correct / np.maximum(retrieved, 1), np.nan)
    # Thresholds are in falling order, so the first one that reaches a recall is the highest.
    return precisions[np.searchsorted(correct, recalls)]


def _percent(values: Float[np.ndarray, " _"]) -> list[float]:
    percent: list[float] = (100 * values).round(2).tolist()
    return percent
