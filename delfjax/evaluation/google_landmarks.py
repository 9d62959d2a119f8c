"""Metrics of Google-Landmarks v2: GAP for recognition and mAP@100 for retrieval.

The data set is newer than the paper. Both metrics are sums of the precision at each correct result,
not the trapezoids of `delfjax.evaluation.metrics`. They agree with ``metrics.py`` of the official
code in tensorflow/models.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from math import isnan

import numpy as np
from jaxtyping import Bool

from delfjax.datasets.google_files import Prediction
from delfjax.evaluation.metrics import Scores

MAX_RESULTS = 100  # results per query that count


def global_average_precision(
    predictions: Mapping[str, Prediction],
    solution: Mapping[str, Collection[int]],
    *,
    ignore_without_truth: bool = False,
) -> float:
    """Compute the global average precision (GAP, also micro-AP) of recognized landmarks.

    ``GAP = 1/M sum_i P(i) rel(i)``. All predictions form one list, sorted by score, then by photo
    and landmark as on Kaggle. ``P(i)`` is the precision of the first ``i`` predictions, ``rel(i)`` is
    1 if prediction ``i`` is correct and else 0, and ``M`` is the number of photos with a landmark.

    Args:
        predictions: Predicted landmark and score of each photo. Photos may be missing.
        solution: Correct landmarks of each photo. A prediction for a photo without landmarks is
            wrong.
        ignore_without_truth: Whether to leave out predictions for photos without landmarks instead.

    Returns:
        0 to 1; NaN if no photo has a landmark.

    Raises:
        ValueError: A photo is missing in the solution, or a score is NaN.
    """
    _check_known(predictions, solution)
    if invalid := [photo for photo, each in predictions.items() if isnan(each.score)]:
        raise ValueError(f"photo {invalid[0]!r}: its score is NaN; expected a number")
    ranked = sorted(
        (-each.score, photo, each.landmark)
        for photo, each in predictions.items()
        if solution[photo] or not ignore_without_truth
    )
    correct = np.array([landmark in solution[photo] for _, photo, landmark in ranked], bool)
    precision = correct.cumsum() / np.arange(1, len(correct) + 1)
    with_truth = sum(bool(landmarks) for landmarks in solution.values())
    return float(precision[correct].sum() / (with_truth or np.nan))


def score_retrieval(
    predictions: Mapping[Hashable, Sequence[Hashable]],
    solution: Mapping[Hashable, Collection[Hashable]],
    *,
    limit: int = MAX_RESULTS,
    ks: Sequence[int] | None = None,
) -> Scores:
    """Score ranked lists by ``AP = 1/min(m, limit) sum_k P(k) rel(k)``; their mean is mAP@100.

    ``m`` is the number of correct photos of the query, ``P(k)`` the precision of the first ``k``
    results, and ``rel(k)`` is 1 if result ``k`` is correct and else 0. A photo that is listed twice
    counts as wrong the second time.

    Args:
        predictions: Photos that each query retrieves, best first. A query without an entry scores 0.
        solution: Correct photos of each query. A query without any has NaN and is in no mean.
        limit: Number of results per query that count.
        ks: Cutoffs of precision and recall. None: 1 to ``limit``.

    Returns:
        Metrics of each query, in the order of ``solution``.

    Raises:
        ValueError: A query is missing in the solution, or a cutoff is out of range.
    """
    _check_known(predictions, solution)
    ks = range(1, limit + 1) if ks is None else ks
    if limit < 1 or not all(1 <= k <= limit for k in ks):
        raise ValueError(f"limit {limit}, ks {tuple(ks)}: expected 1 <= k <= limit for each k")
    rows = [_is_correct(predictions.get(q, ()), solution[q], limit) for q in solution]
    correct = np.array(rows, bool).reshape(-1, limit)
    hits, ranks = correct.cumsum(axis=1), np.arange(1, limit + 1)
    m = np.array([len(set(photos)) or np.nan for photos in solution.values()], float)
    columns = np.array(ks, int) - 1
    nan_without_truth = np.where(np.isnan(m), np.nan, 1)[:, None]
    return Scores(
        ks=tuple(ks),
        average_precision=(correct * hits / ranks).sum(axis=1) / np.minimum(m, limit),
        precision_at=nan_without_truth * (hits / ranks)[:, columns],
        recall_at=hits[:, columns] / m[:, None],
    )


def _is_correct(
    ranking: Sequence[Hashable], photos: Collection[Hashable], limit: int
) -> Bool[np.ndarray, " limit"]:
    """Return whether each of the first results is correct and is not listed before."""
    correct, remaining = np.zeros(limit, bool), set(photos)
    for rank, photo in enumerate(ranking[:limit]):
        correct[rank] = photo in remaining
        remaining.discard(photo)
    return correct


def _check_known(
    predictions: Mapping[Hashable, object], solution: Mapping[Hashable, object]
) -> None:
    if unknown := predictions.keys() - solution.keys():
        raise ValueError(
            f"prediction for {unknown.pop()!r}, which is not in the solution. Fix: remove predictions "
            "for photos that are ignored"
        )
