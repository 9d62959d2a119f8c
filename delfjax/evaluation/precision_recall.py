"""Compute precision and recall over the results of all queries together (Sec. 5: Eq. 4 and Fig. 5).

The paper puts the results of all queries into one list, sorted by score. Distractor queries have no
correct results, so they can only lower the precision. The precision-recall curve shows whether
scores separate correct from wrong results across queries. mAP cannot show that. As in Fig. 5,
recall is the number of correct results, not a fraction. Not in the paper: the photo from which a
query was taken is not a result of this query, because every method finds it.

Axes: ``r`` results of all queries, ``s`` distinct scores, ``q`` queries and distractor queries, ``k``
recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy.typing import ArrayLike

from delfjax.datasets.benchmark import Truth
from delfjax.evaluation.benchmark import Evaluation
from delfjax.evaluation.significance import mean_score, resample

MIN_RECALL = 10  # number of correct results at which the axis of Fig. 5 begins
# Not in the paper:
CURVE_POINTS = 60  # points of a summarized curve, evenly spaced on a logarithmic axis of recall


@dataclass(frozen=True, kw_only=True, eq=False)
class PooledResults:
    """Search results of all queries in one list, in any order.

    Attributes:
        scores: Score of each result, such as the number of RANSAC inliers.
        correct: Whether each result is a correct photo of its query.
        queries: Index of the query of each result, from 0.
        positives: Number of correct photos of each query, found or not. 0 for distractor queries.
    """

    scores: Real[np.ndarray, " r"]
    correct: Bool[np.ndarray, " r"]
    queries: Int[np.ndarray, " r"]
    positives: Int[np.ndarray, " q"]

    @cached_property
    def _sorted(self) -> tuple[Int[np.ndarray, " r"], Int[np.ndarray, " s"]]:
        """The rows, highest score first, and the place of the last row of each distinct score."""
        order = np.argsort(-self.scores, kind="stable")
        return order, np.cumsum(np.unique(-self.scores, return_counts=True)[1]) - 1


def pool(evaluation: Evaluation) -> PooledResults:
    """Put the results of all queries and distractor queries into one list.

    The default protocol of the benchmark defines which results are correct. Junk (photos that count
    neither as correct nor as wrong) and the photo of the query are left out. The score of a result is
    ``Ranking.scores``, if the search computes such scores. Otherwise, only verified photos are kept,
    and their score is the number of RANSAC inliers. If no photo of a query was verified, all photos of
    this query are kept, and their score is the number of votes.
    """
    benchmark, own = evaluation.benchmark, evaluation.benchmark.own_photos
    no_positives = Truth(np.empty(0, int), np.empty(0, int))
    truths = [*benchmark.truths[benchmark.default_protocol]]
    truths += [no_positives] * len(benchmark.distractor_queries)
    scores, correct, queries, positives = [], [], [], []
    for query, (result, truth) in enumerate(zip(evaluation.results, truths, strict=True)):
        ranking = result.ranking
        others = truth.positives[truth.positives != own.get(query, -1)]
        kept = truth.is_scored(ranking.images) & (ranking.images != own.get(query, -1))
        score, verified = ranking.scores, ranking.inliers >= 0
        if score is None and verified.any():
            score, kept = ranking.inliers, kept & verified
        scores.append((ranking.votes if score is None else score)[kept])
        correct.append(np.isin(ranking.images[kept], others))
        queries.append(np.full(kept.sum(), query))
        positives.append(len(others))
    return PooledResults(
        scores=np.concatenate(scores),
        correct=np.concatenate(correct),
        queries=np.concatenate(queries),
        positives=np.array(positives),
    )


def precision_at_recall(
    results: PooledResults,
    recalls: Real[np.ndarray, " k"],
    weights: Float[np.ndarray, " q"] | None = None,
) -> Float[np.ndarray, " k"]:
    """Compute the precision at given recalls, which are numbers of correct results (Fig. 5).

    Let ``R_q`` be the results of query ``q`` with a score of at least a threshold, and ``R_q^TP``
    the correct results in ``R_q``. The precision is ``PRE = sum_q |R_q^TP| / sum_q |R_q|``, and the
    recall is ``REC = sum_q |R_q^TP|`` (Eq. 4). The highest threshold that reaches a recall is used.
    Results with equal scores pass a threshold together. ``weights`` says how often each query
    counts. None: once.

    Returns:
        Precision at each recall, 0 to 1. NaN if all results together do not reach the recall.
    """
    order, ends = results._sorted
    counts = np.ones(len(order)) if weights is None else weights[results.queries[order]]
    retrieved, correct = np.cumsum([counts, counts * results.correct[order]], axis=1)[:, ends]
    precisions = np.append(correct / np.maximum(retrieved, 1e-9), np.nan)
    # Thresholds are in falling order, so the first one that reaches a recall is the highest.
    return precisions[np.searchsorted(correct, recalls - 1e-6)]  # weighted counts are rounded


def mean_precision(results: PooledResults, weights: Float[np.ndarray, " q"] | None = None) -> float:
    """Compute the mean precision of a precision-recall curve (Fig. 5), 0 to 1. Not in the paper.

    The mean is over 60 recalls, from 10 to the number of positives (correct photos) of all queries,
    evenly spaced on a logarithmic axis. If a recall is not reached, its precision is 0. ``weights``
    says how often each query counts (None: once), also in the number of positives.
    """
    total = max(1, int(results.positives.sum()))
    recalls = np.geomspace(min(MIN_RECALL, total), total, CURVE_POINTS)
    if weights is not None:
        recalls *= weights @ results.positives / total
    return float(np.nan_to_num(precision_at_recall(results, recalls, weights)).mean())


def summarize_curve(results: PooledResults, landmarks: Sequence[int]) -> dict[str, Any]:
    """Summarize the precision-recall curve of Fig. 5 as a dict for a result file.

    Args:
        results: Results of all queries and distractor queries.
        landmarks: Landmark of each query, without the distractor queries.

    Returns:
        A dict with precisions in percent. ``recalls`` (numbers of correct results) and
        ``precisions`` are the points of the curve. ``mean`` is the `mean_precision` of the curve.
        ``draws`` holds the mean precision of bootstrap resamples, in which landmarks and distractor
        queries are drawn separately; see `delfjax.evaluation.significance.resample`. ``interval`` is
        the 95% interval of ``mean``.
    """
    recalls = np.geomspace(1, max(1, int(results.correct.sum())), CURVE_POINTS).round().astype(int)
    recalls = np.unique(recalls)
    distractors = np.arange(len(results.positives) - len(landmarks))
    draws = [mean_precision(results, each) for each in resample(landmarks, distractors)]
    curve = {
        "recalls": recalls.tolist(),
        "precisions": _percent(np.nan_to_num(precision_at_recall(results, recalls))),
        "positives": int(results.positives.sum()),
        "mean": _percent(mean_precision(results)),
        "draws": _percent(draws),
    }
    _, low, high = mean_score([{"curve": curve, "landmarks": landmarks}], curve=True)
    return curve | {"interval": _percent(np.array([low, high]) / 100)}


def _percent(values: ArrayLike) -> Any:  # noqa: ANN401 - a number or a list
    return (100 * np.asarray(values)).round(2).tolist()
