"""How good answers are on Google-Landmarks v2: recognition by GAP, retrieval by mAP@100.

Not in the paper, which is older. Unlike Oxford5k's, these average precisions are the finite sum of
precisions at the right answers, never trapezoids. Photos go by their names; in `retrieval` their
numbers serve as well. Source: ``metrics.py`` of tensorflow/models, with which these agree.

Symbols: ``M`` photos or queries that have truth, ``m`` right answers of a query. Axes: ``q`` queries,
``k`` cutoffs.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from jaxtyping import Bool, Int

from delfjax.datasets.google_files import Prediction
from delfjax.evaluation.metrics import Scores

LIMIT = 100  # results that count


def global_average_precision(
    predictions: Mapping[str, Prediction],
    solution: Mapping[str, Collection[int]],
    *,
    ignore_without_truth: bool = False,
) -> float:
    """Compute ``GAP = 1/M sum_i P(i) rel(i)``, also called micro-AP, over all predictions in one list.

    It is sorted by score, the highest first; then, as Kaggle does, by photo, and by landmark. ``P(i)``
    is the precision down to place ``i``, and ``rel(i)`` whether it is right.

    Args:
        predictions: At most one for each photo.
        solution: The landmarks of each photo, maybe none. A prediction for such a photo is wrong.
        ignore_without_truth: Leave those predictions out.

    Returns:
        0 to 1; NaN if no photo has a landmark.

    Raises:
        ValueError: A photo is not in the solution, or a score is NaN.
    """
    _check_known(predictions, solution)
    if unsure := [photo for photo, each in predictions.items() if isnan(each.score)]:
        raise ValueError(f"photo {unsure[0]!r}: its score is NaN; expected a number")
    ranked = sorted(
        (-each.score, photo, each.landmark)
        for photo, each in predictions.items()
        if solution[photo] or not ignore_without_truth
    )
    right = np.array([landmark in solution[photo] for _, photo, landmark in ranked], bool)
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / (_with_truth(solution) or np.nan))


def top1_accuracy(
    predictions: Mapping[str, Prediction], solution: Mapping[str, Collection[int]]
) -> float:
    """Compute the share of photos with landmarks for which one of them is predicted.

    Returns:
        0 to 1, a photo without prediction being wrong; NaN if no photo has a landmark.

    Raises:
        ValueError: A photo is not in the solution.
    """
    _check_known(predictions, solution)
    right = sum(each.landmark in solution[photo] for photo, each in predictions.items())
    return right / (_with_truth(solution) or np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievalScores(Scores):
    """The metrics of each query, and where its first right result is.

    Attributes:
        first_position: From 1; one more than the results that count, where none is right.
    """

    first_position: Int[np.ndarray, " q"]

    @property
    def mean_position(self) -> float:
        """Mean over queries of the first right position."""
        return float(self._mean(self.first_position))

    @property
    def median_position(self) -> float:
        """Median over queries of the first right position."""
        counted = self.first_position[~np.isnan(self.average_precision)]
        return float(np.median(counted)) if len(counted) else np.nan


def retrieval(
    predictions: Mapping[Hashable, Sequence[Hashable]],
    solution: Mapping[Hashable, Collection[Hashable]],
    *,
    limit: int = LIMIT,
    ks: Sequence[int] | None = None,
) -> RetrievalScores:
    """Compute ``AP = 1/min(m, limit) sum_k P(k) rel(k)`` over the first ``limit`` results, and more.

    A result that is listed again uses up a rank, and is never right. Queries without right answers
    have NaN and are in no mean; those without predictions are.

    Args:
        predictions: Results of each query, best first.
        solution: The right ones; the order of these queries is that of the scores.
        limit: How many results count.
        ks: Cutoffs of precision and recall; None: 1 to ``limit``.

    Raises:
        ValueError: A query is not in the solution, or a cutoff is beyond the limit.
    """
    _check_known(predictions, solution)
    ks = range(1, limit + 1) if ks is None else ks
    if limit < 1 or not all(1 <= k <= limit for k in ks):
        raise ValueError(f"limit {limit}, ks {tuple(ks)}: expected ks of 1 to the limit")
    ranked = [_right(predictions.get(query, ()), solution[query], limit) for query in solution]
    right = np.array(ranked, bool).reshape(-1, limit)
    counts, places = right.cumsum(axis=1), np.arange(1, limit + 1)
    m = np.array([len(set(photos)) or np.nan for photos in solution.values()], float)
    cut = np.array(ks, int) - 1
    defined = np.where(np.isnan(m), np.nan, 1)[:, None]
    return RetrievalScores(
        ks=tuple(ks),
        average_precision=(right * counts / places).sum(axis=1) / np.minimum(m, limit),
        precision_at=defined * (counts / places)[:, cut],
        recall_at=counts[:, cut] / m[:, None],
        first_position=np.where(right.any(axis=1), right.argmax(axis=1) + 1, limit + 1),
    )


def _right(
    ranking: Sequence[Hashable], photos: Collection[Hashable], limit: int
) -> Bool[np.ndarray, " k"]:
    """Return whether each of the first results is right, and not listed before."""
    right, left = np.zeros(limit, bool), set(photos)
    for place, photo in enumerate(ranking[:limit]):
        right[place] = photo in left
        left.discard(photo)
    return right


def _check_known(
    predictions: Mapping[Hashable, object], solution: Mapping[Hashable, object]
) -> None:
    if strange := predictions.keys() - solution.keys():
        raise ValueError(
            f"prediction for {strange.pop()!r}, which the solution lacks; leave out what is ignored"
        )


def _with_truth(solution: Mapping[str, Collection[int]]) -> int:
    return sum(bool(landmarks) for landmarks in solution.values())
